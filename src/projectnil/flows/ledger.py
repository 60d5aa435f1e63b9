"""The writes of every execution, and what becomes of one whose write went wrong.

An execution is in the ledger from before its first write until its outcome is durable. Whatever ends it without that,
an error of the database or a surprise, leaves it in doubt: at each renewal of the lease its outcome is written again,
until the row has it or cannot come to be any more. Should this process die first, its lease lapses, and the oldest
execution that the renewal named tells other nodes how far back to look.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter

import msgspec
import structlog

from projectnil.domain.errors import INTERRUPTED, ExecutionInDoubt, InvalidInput, PlatformUnavailable
from projectnil.domain.executions import ExecutionStatus
from projectnil.domain.ids import ExecutionId, ExecutionIds, NodeId, first_id_at, moment_of
from projectnil.domain.text import storable
from projectnil.flows.troubles import RECORDING, Troubles
from projectnil.postgres import executions, nodes, partitions
from projectnil.postgres.coalescer import Coalescer
from projectnil.postgres.connections import STATEMENT_TIMEOUT_S, Connection, Pool
from projectnil.postgres.errors import CHECK_VIOLATED, DATABASE_ERRORS, PARENT_GONE, ROW_ERRORS, SERVER_TROUBLE
from projectnil.postgres.executions import FinishedExecution, NewExecution, WithdrawnExecution, Write

log = structlog.get_logger()

_RETRY_S = 0.5
_PATIENCE_S = 5.0
_CLOCK_MARGIN = timedelta(seconds=2)
# The server ends a statement after its timeout, also one whose client is gone; then no row can appear any more.
_IN_DOUBT_S = STATEMENT_TIMEOUT_S + 15


class _Doubt(msgspec.Struct):
    """outcome: what to write. until: on the loop's clock, when a row that never appeared is given up."""

    outcome: FinishedExecution
    until: float


class Ledger:
    """The executions in flight on this node."""

    def __init__(
        self, pool: Pool, upkeep_pool: Pool, node_id: NodeId, lease_s: float, troubles: Troubles | None = None
    ) -> None:
        """pool: for the two writes, with a connection beside those the writers keep.

        upkeep_pool: kept from requests, so that no crowd of them can keep this node from renewing its lease.
        """
        self._upkeep_pool = upkeep_pool
        self._node_id = node_id
        self._lease_s = lease_s
        self._troubles = troubles or Troubles()
        self._ids = ExecutionIds()
        self._rows: Coalescer[Write, datetime | None] = Coalescer(pool, self._record, attrgetter("size_bytes"))
        self._pool = pool
        self._in_flight: dict[ExecutionId, None] = {}
        self._doubts: dict[ExecutionId, _Doubt] = {}
        self._closing = False

    def new_id(self) -> ExecutionId:
        """A fresh id for an execution, by the database's clock."""
        return self._ids.new()

    async def begin(self, new: NewExecution) -> datetime | None:
        """Record RUNNING; returns the creation time, or None when the function is no longer what `new` says.

        Raises InvalidInput for an input that Postgres cannot hold, PlatformUnavailable when it is not there.
        """
        self._in_flight[new.id] = None
        try:
            created_at = await self._rows.submit(new)
        except BaseException as error:
            del self._in_flight[new.id]
            self._not_begun(new, error)
            return None
        if created_at is None:
            del self._in_flight[new.id]
        return created_at

    async def finish(self, finished: FinishedExecution) -> datetime | None:
        """Record the outcome; returns when that was, or None when another outcome was recorded, or the row deleted.

        Raises one of ROW_ERRORS for an outcome that Postgres cannot hold: the execution is then still in flight.
        Raises ExecutionInDoubt when it could not be recorded for a while; it will be.
        """
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                completed_at = await self._rows.submit(finished)
                if completed_at is None:
                    # Perhaps an earlier try did it, and only the word of it was lost.
                    completed_at = await self._recorded_before(finished)
            except ROW_ERRORS:
                raise
            except DATABASE_ERRORS as error:
                self._troubles.failed(RECORDING, error)
                if self._closing or asyncio.get_running_loop().time() > deadline:
                    self._doubt(finished)
                    raise ExecutionInDoubt(finished.id) from error
                log.warning("execution.record_delayed", executionId=finished.id, error=str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                del self._in_flight[finished.id]
                return completed_at

    async def has_record_of(self, execution_id: ExecutionId) -> bool:
        """Whether there is a row. One that is RUNNING can be lost when the database crashes."""
        async with self._pool.acquire() as conn:
            return await executions.get(conn, execution_id) is not None

    async def withdraw(self, execution_id: ExecutionId) -> bool:
        """The execution never began: its row goes. False when that could not be done."""
        try:
            gone = await self._rows.submit(WithdrawnExecution(execution_id)) is not None
        except DATABASE_ERRORS as error:
            log.warning("execution.withdrawal_failed", executionId=execution_id, error=str(error))
            return False
        if gone:
            del self._in_flight[execution_id]
        return gone

    def abandon(self, execution_id: ExecutionId) -> None:
        """The execution ended in an unexpected way: unless it has its outcome, it was interrupted."""
        if execution_id in self._in_flight:
            self._doubt(failure(execution_id, INTERRUPTED))

    async def renew_lease(self) -> None:
        """Tell the other nodes that this one lives and how far back its executions go; then settle what is in doubt."""
        async with self._upkeep_pool.acquire() as conn:
            if await self._renew(conn) > _CLOCK_MARGIN / 2:
                # The database's clock was set back: what begins from now on has smaller ids than were announced.
                await self._renew(conn)
            for doubt in list(self._doubts.values()):
                await self._settle(conn, doubt)

    async def _renew(self, conn: Connection) -> timedelta:
        """Returns by how much ids are smaller from now on."""
        asked_ns = self._ids.clock_ns()
        database_time = await nodes.renew_api(conn, self._node_id, self._lease_s, self._oldest_id())
        set_back_ns = self._ids.learn(database_time, asked_ns, self._ids.clock_ns())
        return timedelta(microseconds=set_back_ns / 1000)

    def close(self) -> None:
        """From now on nothing is tried twice: the platform stops."""
        self._closing = True

    async def end_lease(self) -> None:
        """Leave in good order. With an outcome unrecorded the lease lapses instead, and another node recovers it."""
        if not self._in_flight and not self._doubts:
            async with self._upkeep_pool.acquire() as conn:
                await nodes.delete(conn, self._node_id)

    def _oldest_id(self) -> str:
        oldest = min([*self._doubts, *self._in_flight, self._ids.new()])
        # Within a millisecond ids are not ordered, and what is known of the database's clock is not exact.
        return first_id_at(moment_of(oldest) - _CLOCK_MARGIN)

    async def _record(self, conn: Connection, rows: Sequence[Write]) -> list[datetime | None]:
        try:
            moments = await executions.record(conn, self._node_id, rows)
        except CHECK_VIOLATED:
            made_at = [moment_of(row.id) for row in rows if isinstance(row, NewExecution)]
            if not made_at:
                raise
            # No partition for these ids: none was made for a long time, or the clock jumped.
            await partitions.ensure(conn, min(made_at), max(made_at))
            moments = await executions.record(conn, self._node_id, rows)
        self._troubles.succeeded(RECORDING)
        return moments

    def _not_begun(self, new: NewExecution, error: BaseException) -> None:
        match error:
            case PARENT_GONE():
                return
            case CHECK_VIOLATED():
                raise PlatformUnavailable(f"the execution could not be recorded: {error}") from error
            case _ if isinstance(error, ROW_ERRORS):
                raise InvalidInput(f"Postgres cannot hold it: {error}", "input") from error
        # It may have been stored before the word of it was lost: then it must not stay RUNNING.
        self._doubt(failure(new.id, INTERRUPTED))
        if isinstance(error, DATABASE_ERRORS):
            self._troubles.failed(RECORDING, error)
            why = "cannot do this at the moment" if isinstance(error, SERVER_TROUBLE) else "is not available"
            raise PlatformUnavailable(f"the database {why}; the function was not run") from error
        raise error

    async def _recorded_before(self, finished: FinishedExecution) -> datetime | None:
        async with self._pool.acquire() as conn:
            recorded = await executions.get(conn, finished.id)
        if recorded is None or (recorded.status, recorded.error_message) != (finished.status, finished.error_message):
            return None
        return recorded.completed_at

    def _doubt(self, outcome: FinishedExecution) -> None:
        self._in_flight.pop(outcome.id, None)
        self._doubts[outcome.id] = _Doubt(outcome, asyncio.get_running_loop().time() + _IN_DOUBT_S)

    async def _settle(self, conn: Connection, doubt: _Doubt) -> None:
        outcome = doubt.outcome
        try:
            completed_at = (await executions.record(conn, self._node_id, [outcome]))[0]
        except ROW_ERRORS as error:
            doubt.outcome = failure(outcome.id, f"the outcome could not be recorded: {error}")
            return
        if completed_at is not None and outcome.status is ExecutionStatus.FAILED:
            log.warning("execution.interrupted", executionId=outcome.id, error=outcome.error_message)
        if completed_at is not None or asyncio.get_running_loop().time() > doubt.until:
            del self._doubts[outcome.id]


def failure(execution_id: ExecutionId, message: str, logs: str | None = None) -> FinishedExecution:
    """The outcome of an execution that FAILED, whether by the guest's fault or the platform's."""
    return FinishedExecution(execution_id, None, storable(message), logs or None)
