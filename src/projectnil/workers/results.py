"""Applies compilation results as they come: woken by NOTIFY, polling as the fallback."""

import asyncio

import structlog

from projectnil.domain.compilation import RESULTS_QUEUE
from projectnil.domain.errors import PlatformError
from projectnil.domain.functions import FunctionStatus
from projectnil.flows import results
from projectnil.flows.execution import Executor
from projectnil.postgres.connections import Pool
from projectnil.postgres.listening import Wakeup, listening
from projectnil.postgres.queues import Message
from projectnil.workers.patience import DATABASE_TROUBLE

log = structlog.get_logger()

_POLL_S = 2.0
# Results are applied beside each other, so that a module which takes long to translate keeps few others waiting.
_AT_ONCE = 16


async def apply_results(pool: Pool, database_url: str, executor: Executor, *, visibility_s: int) -> None:
    """Until the connection that listens is lost; raises PlatformUnavailable then."""
    wakeup = Wakeup()
    applying: set[asyncio.Task[None]] = set()
    async with listening(database_url, [RESULTS_QUEUE], wakeup) as listener:
        while not listener.is_closed():
            if len(applying) == _AT_ONCE:
                await asyncio.wait(applying, return_when=asyncio.FIRST_COMPLETED)
                continue
            message = await results.take_next(pool, visibility_s=visibility_s)
            if message is None:
                await wakeup.wait(_POLL_S)
                continue
            task = asyncio.create_task(_apply(pool, executor, message))
            applying.add(task)
            task.add_done_callback(applying.discard)


async def _apply(pool: Pool, executor: Executor, message: Message) -> None:
    try:
        applied = await results.apply(pool, message, executor.why_it_cannot_run)
        if applied.function_id is not None and applied.status is FunctionStatus.READY:
            await executor.prepare(applied.function_id)
    except (PlatformError, *DATABASE_TROUBLE) as error:
        # A result that was not applied reappears; a module that was not prepared is so by its first execution.
        log.warning("compilation.result.postponed", messageId=message.id, reason=str(error))
