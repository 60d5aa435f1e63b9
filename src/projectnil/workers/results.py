"""Applies compilation results as they come: woken by NOTIFY, polling as the fallback."""

import asyncio
from collections.abc import Coroutine
from typing import NamedTuple

import structlog

from projectnil.domain.compilation import RESULTS_QUEUE
from projectnil.domain.errors import PlatformError
from projectnil.domain.functions import FunctionStatus
from projectnil.domain.ids import FunctionId
from projectnil.domain.limits import MIB
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
# Then it keeps none waiting, and no more than these may be under way: each has a module in memory. What they hold
# together is bounded as well, but for the last one.
_SLOW_AFTER_S = 1.0
_MOST_AT_ONCE = 64
_MOST_BYTES = 64 * MIB
# How often a result is read whose application fails with an unexpected error.
_MOST_READS = 5
# Modules that are made ready for their first execution beside that. Past this number, the execution does it.
_MOST_PREPARING = 64


class _UnderWay(NamedTuple):
    """A result that is being applied. since: by the loop's clock, in seconds. size_bytes: of its message."""

    since: float
    size_bytes: int


async def apply_results(pool: Pool, database_url: str, executor: Executor, *, visibility_s: int) -> None:
    """Until the connection that listens is lost; raises PlatformUnavailable then."""
    wakeup = Wakeup()
    applying: dict[asyncio.Task[None], _UnderWay] = {}
    preparing: set[asyncio.Task[None]] = set()
    async with listening(database_url, [RESULTS_QUEUE], wakeup) as listener:
        while not listener.is_closed():
            if _is_full(applying):
                await asyncio.wait(applying, timeout=_SLOW_AFTER_S, return_when=asyncio.FIRST_COMPLETED)
                continue
            message = await results.take_next(pool, visibility_s=visibility_s)
            if message is None:
                await wakeup.wait(_POLL_S)
                continue
            task = asyncio.create_task(_apply(pool, executor, message, preparing))
            applying[task] = _UnderWay(task.get_loop().time(), len(message.body))
            task.add_done_callback(applying.pop)


def _is_full(applying: "dict[asyncio.Task[None], _UnderWay]") -> bool:
    oldest = asyncio.get_running_loop().time() - _SLOW_AFTER_S
    under_way = applying.values()
    return (
        len(under_way) >= _MOST_AT_ONCE
        or sum(each.size_bytes for each in under_way) >= _MOST_BYTES
        or sum(each.since > oldest for each in under_way) >= _AT_ONCE
    )


async def _apply(pool: Pool, executor: Executor, message: Message, preparing: "set[asyncio.Task[None]]") -> None:
    try:
        applied = await results.apply(pool, message, executor.why_it_cannot_run)
    except (PlatformError, *DATABASE_TROUBLE) as error:
        log.warning("compilation.result.postponed", messageId=message.id, reason=str(error))  # it reappears
        return
    except Exception as error:
        await _failed(pool, message, error)
        return
    if applied.function_id is None or applied.status is not FunctionStatus.READY:
        return
    if len(preparing) < _MOST_PREPARING:
        # In a task of its own: it may wait for translations of other modules, and no result waits for it.
        _start(_prepare(executor, applied.function_id), preparing)


async def _failed(pool: Pool, message: Message, error: Exception) -> None:
    """A fault of the platform: the result is tried again when it reappears, but not for ever."""
    log.error("compilation.result.failed", messageId=message.id, reads=message.reads, exc_info=error)
    if message.reads < _MOST_READS:
        return
    try:
        await results.give_up(pool, message, f"{type(error).__name__}: {error}")
    except Exception as second:
        log.error("compilation.result.failed", messageId=message.id, reads=message.reads, exc_info=second)


async def _prepare(executor: Executor, function_id: FunctionId) -> None:
    try:
        await executor.prepare(function_id)
    except (PlatformError, *DATABASE_TROUBLE) as error:
        log.warning("module.not_prepared", functionId=function_id, reason=str(error))  # its first execution does it


def _start(work: Coroutine[None, None, None], tasks: "set[asyncio.Task[None]]") -> None:
    """In the background. tasks: holds it until it is done."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
