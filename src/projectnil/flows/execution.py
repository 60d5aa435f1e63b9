"""Flows 3, 4 and 5: record RUNNING, run the guest in a fresh instance, record the outcome, and only then answer."""

import asyncio
import contextlib
from datetime import datetime
from typing import NoReturn, TypeAlias

import msgspec
import structlog

from projectnil.domain.errors import (
    INTERRUPTED,
    ExecutionInterrupted,
    FunctionNotReady,
    Overloaded,
    PlatformUnavailable,
)
from projectnil.domain.executions import Completed, ExecutionStatus, Failed
from projectnil.domain.functions import ModuleSha256, module_sha256
from projectnil.domain.guest_errors import GuestBrokeAbi, GuestOutputInvalid
from projectnil.domain.ids import ExecutionId, FunctionId
from projectnil.flows import catalog
from projectnil.flows.ledger import Ledger, failure
from projectnil.flows.targets import ById, ByName, Target, Targets
from projectnil.postgres import functions
from projectnil.postgres.connections import Pool
from projectnil.postgres.errors import ROW_ERRORS
from projectnil.postgres.executions import FinishedExecution, NewExecution
from projectnil.postgres.functions import Runnable
from projectnil.sandbox.admission import Ticket
from projectnil.sandbox.code_cache import ModuleFile
from projectnil.sandbox.pool import SandboxPool

log = structlog.get_logger()

Outcome: TypeAlias = Completed | Failed

_LOOKS_AT_A_CHANGING_FUNCTION = 5
_STOP_PATIENCE_S = 1.0
# Well before the message of a result reappears.
_MOST_CHECKING_S = 5.0


class Run(msgspec.Struct, frozen=True):
    """An execution that has ended and is recorded. output: JSON text in UTF-8, None when it FAILED."""

    id: ExecutionId
    function_id: FunctionId
    function_name: str
    revision: int
    status: ExecutionStatus
    output: bytes | None
    error_message: str | None
    created_at: datetime
    completed_at: datetime


class _Started(msgspec.Struct, frozen=True):
    """An execution that is recorded as RUNNING, as `new`. ticket: the sandbox's; None when the module cannot run."""

    new: NewExecution
    created_at: datetime
    module: ModuleFile | GuestBrokeAbi
    ticket: Ticket | None


class _FunctionChanged(Exception):
    """The function became another one between two looks at it."""


class Executor:
    """Runs functions on this node."""

    def __init__(self, pool: Pool, sandbox: SandboxPool, ledger: Ledger) -> None:
        self._pool = pool
        self._sandbox = sandbox
        self._ledger = ledger
        self._targets = Targets(pool)
        self._under_way = 0
        self._quiet = asyncio.Event()  # nothing is under way; looked at when stopping
        self._stopping = False

    async def execute(self, function_id: FunctionId, input_json: bytes) -> Run:
        """Run a function on JSON text that was checked to be storable; returns once the outcome is durable.

        A failure of the guest is a Run that FAILED. Raises FunctionNotFound, FunctionNotReady (nothing is recorded);
        Overloaded, PlatformUnavailable, ExecutionInterrupted when the platform is at fault. Cancelling it interrupts
        the execution.
        """
        return await self._execute(ById(function_id), input_json)

    async def execute_named(self, name: str, input_json: bytes) -> Run:
        """As `execute`, of the only function of this name. Raises FunctionNameNotFound, FunctionNameShared as well."""
        return await self._execute(ByName(name), input_json)

    async def _execute(self, target: Target, input_json: bytes) -> Run:
        if self._stopping:
            raise Overloaded("the platform is stopping")
        self._under_way += 1
        try:
            started = await self._start(target, input_json)
            try:
                log.info("execution.started", executionId=started.new.id, functionId=started.new.function_id)
                return await self._record(started, await self._run(started, input_json))
            finally:
                self._ledger.abandon(started.new.id)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()

    async def prepare(self, function_id: FunctionId) -> None:
        """Translate a READY function's module ahead of its first execution."""
        target = ById(function_id)
        self._targets.forget(target, function_id)
        with contextlib.suppress(_FunctionChanged):
            await self._module(*await self._targets.look(target))

    async def why_it_cannot_run(self, wasm: bytes) -> str | None:
        """What keeps a module from ever running here, in words; None when nothing does, or when it could not be told.

        Its machine code is made meanwhile, and kept.
        """

        async def load() -> bytes:
            return wasm

        try:
            async with asyncio.timeout(_MOST_CHECKING_S):
                module = await self._sandbox.ensure_module(module_sha256(wasm), load)
        except (PlatformUnavailable, TimeoutError) as error:
            log.warning("module.not_checked", reason=str(error) or "it takes long to translate")
            return None  # an execution will tell
        return module.problem if isinstance(module, GuestBrokeAbi) else None

    async def stop(self, grace_s: float) -> None:
        """Take no more; give what runs `grace_s` to end; record the rest as interrupted. Leaves no sandbox behind."""
        self._stopping = True
        await self._sandbox.stop(grace_s)
        self._ledger.close()
        if self._under_way:
            self._quiet.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), _STOP_PATIENCE_S)

    async def _start(self, target: Target, input_json: bytes) -> _Started:
        """Record a RUNNING execution of what the function is right now."""
        for _ in range(_LOOKS_AT_A_CHANGING_FUNCTION):
            function_id, runnable = await self._targets.look(target)
            try:
                module = await self._module(function_id, runnable)
            except _FunctionChanged:
                continue
            new = _new_execution(self._ledger.new_id(), function_id, runnable, target, input_json)
            if isinstance(module, GuestBrokeAbi):  # it cannot run, so it needs no room
                started = await self._begin(new, module, None)
            else:
                started = await self._begin_admitted(new, module)
            if started is not None:
                return started
            # The function is no longer what was remembered, or this node was taken for dead.
            self._targets.forget(target, function_id)
            await self._ledger.renew_lease()
        raise Overloaded(f"function {function_id} is changing too fast to be run")

    async def _begin_admitted(self, new: NewExecution, module: ModuleFile) -> _Started | None:
        ticket = await self._sandbox.admit(new.function_id)
        started = None
        try:
            started = await self._begin(new, module, ticket)
        finally:
            if started is None:
                self._sandbox.withdraw(ticket)
        return started

    async def _begin(
        self, new: NewExecution, module: ModuleFile | GuestBrokeAbi, ticket: Ticket | None
    ) -> _Started | None:
        created_at = await self._ledger.begin(new)
        if created_at is None:
            return None
        return _Started(new, created_at, module, ticket)

    async def _run(self, started: _Started, input_json: bytes) -> Outcome:
        if isinstance(started.module, GuestBrokeAbi):
            return Failed(started.module, "")
        try:
            return await self._sandbox.run(started.module, input_json, started.new.function_id, started.ticket)
        except Overloaded as error:
            if await self._ledger.withdraw(started.new.id):
                log.info("execution.withdrawn", executionId=started.new.id, functionId=started.new.function_id)
                raise
            await self._record_interruption(started, error)
        except PlatformUnavailable as error:
            await self._record_interruption(started, error)

    async def _record_interruption(self, started: _Started, error: PlatformUnavailable | Overloaded) -> NoReturn:
        message = INTERRUPTED if self._stopping else f"interrupted: {error}"
        await self._ledger.finish(failure(started.new.id, message))
        log.warning(
            "execution.interrupted",
            executionId=started.new.id,
            functionId=started.new.function_id,
            error=message,
        )
        if isinstance(error, Overloaded):
            raise error
        raise await self._interrupted(started, message) from error

    async def _interrupted(self, started: _Started, message: str) -> ExecutionInterrupted:
        """What to tell the caller, who may look for the record."""
        return ExecutionInterrupted(
            started.new.id if await self._ledger.has_record_of(started.new.id) else None, message
        )

    async def _record(self, started: _Started, outcome: Outcome) -> Run:
        finished = _finished(started.new.id, outcome)
        try:
            completed_at = await self._ledger.finish(finished)
        except ROW_ERRORS as error:
            refused = GuestOutputInvalid(f"Postgres cannot hold it: {error}").describe()
            finished = failure(started.new.id, refused, outcome.logs)
            completed_at = await self._ledger.finish(finished)
        if completed_at is None:
            await catalog.get_function(self._pool, started.new.function_id)  # it may have been deleted meanwhile
            # Another node found this one's lease lapsed, and said so.
            raise await self._interrupted(started, INTERRUPTED)
        _log_finished(started, finished)
        return Run(
            started.new.id,
            started.new.function_id,
            started.new.function_name,
            started.new.revision,
            finished.status,
            outcome.output if isinstance(outcome, Completed) and finished.output is not None else None,
            finished.error_message,
            started.created_at,
            completed_at,
        )

    async def _module(self, function_id: FunctionId, runnable: Runnable) -> ModuleFile | GuestBrokeAbi:
        sha256 = runnable.sha256
        if sha256 is None:
            raise FunctionNotReady(function_id, runnable.status.value)

        async def load() -> bytes:
            return await self._load_wasm(function_id, sha256)

        return await self._sandbox.ensure_module(sha256, load)

    async def _load_wasm(self, function_id: FunctionId, sha256: ModuleSha256) -> bytes:
        async with self._pool.acquire() as conn:
            module = await functions.get_module(conn, function_id)
        if module is None or module.sha256 != sha256:
            self._targets.forget(ById(function_id), function_id)
            raise _FunctionChanged
        return module.wasm


def _new_execution(
    execution_id: ExecutionId, function_id: FunctionId, runnable: Runnable, target: Target, input_json: bytes
) -> NewExecution:
    by_name = isinstance(target, ByName)
    name = target.name if isinstance(target, ByName) else runnable.name
    return NewExecution(execution_id, function_id, runnable.revision, name, by_name, input_json.decode())


def _finished(execution_id: ExecutionId, outcome: Outcome) -> FinishedExecution:
    if isinstance(outcome, Failed):
        return failure(execution_id, outcome.error.describe(), outcome.logs)
    return FinishedExecution(execution_id, outcome.output.decode(), None, outcome.logs or None)


def _log_finished(started: _Started, finished: FinishedExecution) -> None:
    message = finished.error_message
    if message is None:
        log.info("execution.completed", executionId=started.new.id, functionId=started.new.function_id)
    else:
        log.info("execution.failed", executionId=started.new.id, functionId=started.new.function_id, error=message)
