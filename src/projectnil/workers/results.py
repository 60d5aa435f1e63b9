"""Applies compilation results as they come: woken by NOTIFY, polling as the fallback."""

import asyncio

import structlog

from projectnil.domain.compilation import RESULTS_QUEUE
from projectnil.domain.errors import PlatformError
from projectnil.domain.functions import FunctionStatus
from projectnil.domain.ids import FunctionId
from projectnil.flows import results
from projectnil.flows.execution import Executor
from projectnil.postgres.connections import Pool
from projectnil.postgres.listening import Wakeup, listening
from projectnil.workers.patience import DATABASE_TROUBLE

log = structlog.get_logger()

_POLL_S = 2.0


async def apply_results(pool: Pool, database_url: str, executor: Executor, *, visibility_s: int) -> None:
    """Until the connection that listens is lost; raises PlatformUnavailable then."""
    wakeup = Wakeup()
    preparing: set[asyncio.Task[None]] = set()
    async with listening(database_url, [RESULTS_QUEUE], wakeup) as listener:
        while not listener.is_closed():
            while (applied := await results.apply_next(pool, visibility_s=visibility_s)) is not None:
                if applied.function_id is not None and applied.status is FunctionStatus.READY:
                    # Beside the loop: a module that takes long to translate keeps nobody else waiting.
                    task = asyncio.create_task(_prepare(executor, applied.function_id))
                    preparing.add(task)
                    task.add_done_callback(preparing.discard)
            await wakeup.wait(_POLL_S)


async def _prepare(executor: Executor, function_id: FunctionId) -> None:
    try:
        await executor.prepare(function_id)
    except (PlatformError, *DATABASE_TROUBLE) as error:
        # The first execution will do it, and say why if it cannot.
        log.info("module.not_prepared", functionId=function_id, reason=str(error))
