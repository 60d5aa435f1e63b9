"""Flows 1 and 2, the api's second half: a compiler's result and the removal of its message take effect together."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
import structlog

from projectnil.domain.compilation import RESULTS_QUEUE, CompilationResult, decode_result, wasm_of
from projectnil.domain.errors import InvalidInput
from projectnil.domain.functions import FunctionStatus
from projectnil.domain.ids import FunctionId
from projectnil.domain.text import storable
from projectnil.postgres import functions, queues
from projectnil.postgres.connections import Connection, Pool, transaction
from projectnil.postgres.queues import Message

log = structlog.get_logger()

# From a module's bytes to what keeps it from ever running here, in words; None when nothing does.
WhyItCannotRun: TypeAlias = Callable[[bytes], Awaitable[str | None]]


class Applied(msgspec.Struct, frozen=True):
    """What became of one result. status is None when it no longer counted, and was dropped."""

    function_id: FunctionId | None
    status: FunctionStatus | None


async def take_next(pool: Pool, *, visibility_s: int) -> Message | None:
    """One result to apply, or None when the queue has none to show.

    visibility_s: when the message reappears, should it not have been applied by then.
    """
    async with pool.acquire() as conn:
        messages = await queues.read(conn, RESULTS_QUEUE, visibility_s=visibility_s, most=1)
    return messages[0] if messages else None


async def apply_next(pool: Pool, *, visibility_s: int) -> Applied | None:
    """Apply one result without looking at its module, or None when the queue has none to show."""
    message = await take_next(pool, visibility_s=visibility_s)
    return None if message is None else await apply(pool, message, _nothing_is_wrong)


async def _nothing_is_wrong(_wasm: bytes) -> None:
    return None


async def apply(pool: Pool, message: Message, why_it_cannot_run: WhyItCannotRun) -> Applied:
    """why_it_cannot_run: asked about a module, whichever compiler it came from, before its function is READY."""
    try:
        result = decode_result(message.body)
    except InvalidInput as error:
        # Kept in the archive for whoever wrote it; there is no function to tell.
        async with pool.acquire() as conn:
            await queues.archive(conn, RESULTS_QUEUE, message.id)
        log.warning("compilation.result.dropped", messageId=message.id, reason=str(error))
        return Applied(None, None)
    function_id = FunctionId(result.function_id)
    verdict = await _verdict(result, why_it_cannot_run)
    async with transaction(pool) as conn:
        status = await _mark(conn, function_id, result.revision, verdict)
        await queues.delete(conn, RESULTS_QUEUE, message.id)
    if status is None:
        log.info(
            "compilation.result.dropped",
            functionId=function_id,
            revision=result.revision,
            reason="the function was deleted or changed, or has its result",
        )
    else:
        log.info("compilation.result.applied", functionId=function_id, revision=result.revision, status=status)
    return Applied(function_id, status)


async def _mark(
    conn: Connection, function_id: FunctionId, revision: int | None, verdict: bytes | str
) -> FunctionStatus | None:
    match verdict:
        case bytes(wasm):
            counts = await functions.mark_ready(conn, function_id, revision, wasm)
            return FunctionStatus.READY if counts else None
        case error:
            counts = await functions.mark_failed(conn, function_id, revision, error)
            return FunctionStatus.FAILED if counts else None


async def _verdict(result: CompilationResult, why_it_cannot_run: WhyItCannotRun) -> bytes | str:
    """The module, or why there is none."""
    if not result.success:
        return storable(result.error or "") or "the compiler gave no reason"
    try:
        wasm = wasm_of(result)
    except InvalidInput as error:
        return f"the compiler's answer cannot be used: {error}"
    problem = await why_it_cannot_run(wasm)
    return wasm if problem is None else storable(f"it compiled, but the module cannot run here: {problem}")
