"""Flows 3, 4 and 5: record RUNNING, run the guest in a fresh instance, record the outcome, and only then answer."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import msgspec
import structlog

from projectnil.domain.errors import (
    INTERRUPTED,
    ExecutionInterrupted,
    FunctionNotFound,
    FunctionNotReady,
    InvalidInput,
    Overloaded,
    PlatformUnavailable,
)
from projectnil.domain.executions import Completed, ExecutionStatus, Failed
from projectnil.domain.functions import FunctionStatus, ModuleSha256
from projectnil.domain.guest_errors import GuestBrokeAbi, GuestOutputInvalid
from projectnil.domain.ids import ExecutionId, FunctionId, NodeId, first_id_at, moment_of, new_execution_id
from projectnil.postgres import executions, functions, nodes, partitions
from projectnil.postgres.coalescer import Coalescer
from projectnil.postgres.connections import Connection, Pool
from projectnil.postgres.errors import CHECK_VIOLATED, CONNECTION_ERRORS, PARENT_GONE, ROW_ERRORS
from projectnil.postgres.executions import FinishedExecution, NewExecution
from projectnil.postgres.functions import Runnable
from projectnil.sandbox.modules import ModuleFile
from projectnil.sandbox.pool import SandboxPool

log = structlog.get_logger()

Outcome: TypeAlias = Completed | Failed

_CACHED_FUNCTIONS = 10_000
_LOOKS_AT_A_CHANGING_FUNCTION = 5
_RECORD_RETRY_S = 0.5
_RECORD_PATIENCE_S = 5.0
_CLOCK_MARGIN = timedelta(seconds=2)


class Run(msgspec.Struct, frozen=True):
    """An execution that has ended and is recorded. output: JSON text in UTF-8, None when it FAILED."""

    id: ExecutionId
    function_id: FunctionId
    status: ExecutionStatus
    output: bytes | None
    error_message: str | None
    created_at: datetime
    completed_at: datetime


class Executor:
    """Runs functions on this node. It alone knows which executions are in flight here."""

    def __init__(self, pool: Pool, upkeep_pool: Pool, sandbox: SandboxPool, node_id: NodeId, lease_s: float) -> None:
        """upkeep_pool: kept from requests, so that no crowd of them can keep this node from renewing its lease."""
        self._pool = pool
        self._upkeep_pool = upkeep_pool
        self._sandbox = sandbox
        self._node_id = node_id
        self._lease_s = lease_s
        self._inserts: Coalescer[NewExecution, datetime | None] = Coalescer(pool, self._insert_rows)
        self._finishes: Coalescer[FinishedExecution, datetime | None] = Coalescer(pool, executions.finish)
        self._cache: OrderedDict[FunctionId, Runnable] = OrderedDict()
        self._in_flight: dict[ExecutionId, None] = {}
        self._tasks: set[asyncio.Task[Run]] = set()
        self._unsettled: dict[ExecutionId, asyncio.Task[None]] = {}
        self._stopping = False

    async def execute(self, function_id: FunctionId, input_json: bytes) -> Run:
        """Run a function on JSON text that was checked to be storable; returns once the outcome is durable.

        A failure of the guest is a Run that FAILED. Raises FunctionNotFound, FunctionNotReady (nothing is recorded);
        Overloaded, PlatformUnavailable, ExecutionInterrupted when the platform is at fault.
        """
        if self._stopping:
            raise Overloaded("the platform is stopping")
        # Whoever asked may go away; what has begun is finished and recorded all the same.
        task = asyncio.create_task(self._execute(function_id, input_json))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def prepare(self, function_id: FunctionId) -> None:
        """Translate a READY function's module ahead of its first execution."""
        self._cache.pop(function_id, None)
        runnable = await self._runnable(function_id)
        await self._module(function_id, runnable)

    async def stop(self, grace_s: float) -> None:
        """Take no more; give what runs `grace_s` to end; record the rest as interrupted. Leaves no sandbox behind."""
        self._stopping = True
        await self._sandbox.stop(grace_s)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_RECORD_PATIENCE_S)
        for settling in self._unsettled.values():
            settling.cancel()

    async def end_lease(self) -> None:
        """Leave in good order. With an outcome unrecorded the lease lapses instead, and another node recovers it."""
        if not self._in_flight and not self._unsettled:
            async with self._upkeep_pool.acquire() as conn:
                await nodes.delete(conn, self._node_id)

    async def renew_lease(self) -> None:
        """Tell the other nodes that this one lives, and how far back its executions go."""
        async with self._upkeep_pool.acquire() as conn:
            await nodes.renew_api(conn, self._node_id, self._lease_s, self._oldest_id())

    def _oldest_id(self) -> UUID:
        oldest = min([*self._unsettled, next(iter(self._in_flight), new_execution_id())])
        # Within a millisecond ids are not ordered, and clocks are set back now and then.
        return first_id_at(moment_of(oldest) - _CLOCK_MARGIN)

    async def _execute(self, function_id: FunctionId, input_json: bytes) -> Run:
        execution_id, created_at, module = await self._start(function_id, input_json)
        try:
            log.info("execution.started", executionId=str(execution_id), functionId=str(function_id))
            outcome = await self._run(module, input_json)
            run = await self._record(execution_id, function_id, created_at, outcome)
        finally:
            del self._in_flight[execution_id]
        if run.status is ExecutionStatus.COMPLETED:
            log.info("execution.completed", executionId=str(execution_id), functionId=str(function_id))
        else:
            log.info(
                "execution.failed",
                executionId=str(execution_id),
                functionId=str(function_id),
                error=run.error_message,
            )
        return run

    async def _start(
        self, function_id: FunctionId, input_json: bytes
    ) -> tuple[ExecutionId, datetime, ModuleFile | GuestBrokeAbi]:
        """Record a RUNNING execution of what the function is right now."""
        for _ in range(_LOOKS_AT_A_CHANGING_FUNCTION):
            runnable = await self._runnable(function_id)
            module = await self._module(function_id, runnable)
            await self._sandbox.admit()
            execution_id = new_execution_id()
            self._in_flight[execution_id] = None
            new = NewExecution(execution_id, function_id, runnable.revision, input_json.decode())
            try:
                created_at = await self._insert(new)
            except BaseException:
                del self._in_flight[execution_id]
                raise
            if created_at is not None:
                return execution_id, created_at, module
            # The function is no longer what the cache says, or this node was taken for dead.
            del self._in_flight[execution_id]
            self._cache.pop(function_id, None)
            await self.renew_lease()
        raise Overloaded(f"function {function_id} is changing too fast to be run")

    async def _insert(self, new: NewExecution) -> datetime | None:
        try:
            return await self._inserts.submit(new)
        except PARENT_GONE:
            return None
        except ROW_ERRORS as error:
            raise InvalidInput(f"Postgres cannot hold it: {error}", "input") from error
        except CONNECTION_ERRORS as error:
            # It may have been stored before the connection broke: then it must not stay RUNNING.
            self._settle_later(_failed(new.id, INTERRUPTED, None))
            raise PlatformUnavailable("the database is not available; nothing was run") from error

    async def _insert_rows(self, conn: Connection, rows: Sequence[NewExecution]) -> list[datetime | None]:
        try:
            return await executions.insert_running(conn, self._node_id, rows)
        except CHECK_VIOLATED:
            # No partition for these ids: nobody made any for a long time, or the clock jumped.
            moments = [moment_of(row.id) for row in rows]
            if not await partitions.ensure(conn, min(moments), max(moments)):
                raise
            return await executions.insert_running(conn, self._node_id, rows)

    async def _run(
        self, module: ModuleFile | GuestBrokeAbi, input_json: bytes
    ) -> Outcome | PlatformUnavailable | Overloaded:
        if isinstance(module, GuestBrokeAbi):
            return Failed(module, "")
        try:
            return await self._sandbox.run(module, input_json)
        except (PlatformUnavailable, Overloaded) as error:
            return error

    async def _record(
        self,
        execution_id: ExecutionId,
        function_id: FunctionId,
        created_at: datetime,
        outcome: Outcome | PlatformUnavailable | Overloaded,
    ) -> Run:
        if isinstance(outcome, PlatformUnavailable | Overloaded):
            message = INTERRUPTED if self._stopping else f"interrupted: {outcome}"
            await self._finish(_failed(execution_id, message, None), function_id)
            _log_interrupted(execution_id, function_id, message)
            if isinstance(outcome, Overloaded):
                raise outcome
            raise ExecutionInterrupted(execution_id, message)
        finished = _finished(execution_id, outcome)
        try:
            completed_at = await self._finish(finished, function_id)
        except ROW_ERRORS as error:
            refused = GuestOutputInvalid(f"Postgres cannot hold it: {error}").describe()
            finished = _failed(execution_id, refused, outcome.logs)
            completed_at = await self._finish(finished, function_id)
        if completed_at is None:
            # Another node found this one's lease lapsed and said so, or the function was deleted meanwhile.
            raise ExecutionInterrupted(execution_id, INTERRUPTED)
        output = outcome.output if isinstance(outcome, Completed) and finished.error_message is None else None
        return Run(execution_id, function_id, finished.status, output, finished.error_message, created_at, completed_at)

    async def _finish(self, finished: FinishedExecution, function_id: FunctionId) -> datetime | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + _RECORD_PATIENCE_S
        while True:
            try:
                return await self._finishes.submit(finished)
            except CONNECTION_ERRORS as error:
                if clock() > deadline or self._stopping:
                    self._settle_later(finished)
                    problem = "the database went away before the outcome was recorded; it will be, once it is back"
                    raise PlatformUnavailable(problem) from error
                log.warning("execution.record_delayed", executionId=str(finished.id), functionId=str(function_id))
                await asyncio.sleep(_RECORD_RETRY_S)

    def _settle_later(self, finished: FinishedExecution) -> None:
        """Nobody waits for this outcome any more; it is recorded whenever the database is back."""
        self._unsettled[finished.id] = asyncio.create_task(self._settle(finished))

    async def _settle(self, finished: FinishedExecution) -> None:
        while True:
            await asyncio.sleep(_RECORD_RETRY_S)
            try:
                await self._finishes.submit(finished)
            except CONNECTION_ERRORS:
                continue
            del self._unsettled[finished.id]
            return

    async def _runnable(self, function_id: FunctionId) -> Runnable:
        cached = self._cache.get(function_id)
        if cached is not None:
            self._cache.move_to_end(function_id)
            return cached
        async with self._pool.acquire() as conn:
            runnable = await functions.get_runnable(conn, function_id)
        if runnable is None:
            raise FunctionNotFound(function_id)
        if runnable.status is not FunctionStatus.READY:
            raise FunctionNotReady(function_id, runnable.status.value)
        self._cache[function_id] = runnable
        if len(self._cache) > _CACHED_FUNCTIONS:
            self._cache.popitem(last=False)
        return runnable

    async def _module(self, function_id: FunctionId, runnable: Runnable) -> ModuleFile | GuestBrokeAbi:
        sha256 = runnable.sha256
        if sha256 is None:
            raise FunctionNotReady(function_id, runnable.status.value)

        async def load() -> bytes:
            return await self._load_wasm(function_id, sha256)

        return await self._sandbox.ensure_module(sha256, load)

    async def _load_wasm(self, function_id: FunctionId, sha256: ModuleSha256) -> bytes:
        async with self._pool.acquire() as conn:
            wasm = await functions.get_wasm(conn, function_id, sha256)
        if wasm is None:
            self._cache.pop(function_id, None)
            raise FunctionNotFound(function_id)
        return wasm


def _finished(execution_id: ExecutionId, outcome: Outcome) -> FinishedExecution:
    if isinstance(outcome, Failed):
        return _failed(execution_id, outcome.error.describe(), outcome.logs)
    return FinishedExecution(
        execution_id, ExecutionStatus.COMPLETED, outcome.output.decode(), None, outcome.logs or None
    )


def _failed(execution_id: ExecutionId, message: str, logs: str | None) -> FinishedExecution:
    return FinishedExecution(execution_id, ExecutionStatus.FAILED, None, message, logs or None)


def _log_interrupted(execution_id: ExecutionId, function_id: FunctionId, message: str) -> None:
    log.warning("execution.interrupted", executionId=str(execution_id), functionId=str(function_id), error=message)
