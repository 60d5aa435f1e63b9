"""Flows 1 and 2, the api's second half: a compiler's result and the removal of its message take effect together."""

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


class Applied(msgspec.Struct, frozen=True):
    """What became of one result. status is None when it no longer counted, and was dropped."""

    function_id: FunctionId | None
    status: FunctionStatus | None


async def apply_next(pool: Pool, *, visibility_s: int) -> Applied | None:
    """Apply one result, or None when the queue has none to show.

    visibility_s: when the message reappears, should this process die before it is applied.
    """
    async with pool.acquire() as conn:
        messages = await queues.read(conn, RESULTS_QUEUE, visibility_s=visibility_s, most=1)
    return await _apply(pool, messages[0]) if messages else None


async def _apply(pool: Pool, message: Message) -> Applied:
    try:
        result = decode_result(message.body)
    except InvalidInput as error:
        # Kept in the archive for whoever wrote it; there is no function to tell.
        async with pool.acquire() as conn:
            await queues.archive(conn, RESULTS_QUEUE, message.id)
        log.warning("compilation.result.dropped", messageId=message.id, reason=str(error))
        return Applied(None, None)
    function_id = FunctionId(result.function_id)
    async with transaction(pool) as conn:
        status = await _mark(conn, function_id, result)
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


async def _mark(conn: Connection, function_id: FunctionId, result: CompilationResult) -> FunctionStatus | None:
    match _verdict(result):
        case bytes(wasm):
            counts = await functions.mark_ready(conn, function_id, result.revision, wasm)
            return FunctionStatus.READY if counts else None
        case error:
            counts = await functions.mark_failed(conn, function_id, result.revision, error)
            return FunctionStatus.FAILED if counts else None


def _verdict(result: CompilationResult) -> bytes | str:
    """The module, or why there is none."""
    if not result.success:
        return storable(result.error or "") or "the compiler gave no reason"
    try:
        return wasm_of(result)
    except InvalidInput as error:
        return f"the compiler's answer cannot be used: {error}"
