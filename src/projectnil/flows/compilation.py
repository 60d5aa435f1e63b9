"""Flows 1 and 2, the compiler's part: take a job, compile it with no transaction open, answer and archive at once."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import ParamSpec, TypeVar

import msgspec
import structlog

from projectnil.compiler.toolchain import Toolchain
from projectnil.domain.compilation import (
    JOBS_QUEUE,
    RESULTS_QUEUE,
    CompilationJob,
    CompileCost,
    Compiled,
    Crashed,
    MalformedMessage,
    MessageHeaders,
    Outcome,
    Rejected,
    Stopped,
    decode_headers,
    decode_job,
    postponed,
    result_message,
)
from projectnil.domain.errors import CompilerLost, PlatformUnavailable, UnsupportedLanguage
from projectnil.domain.ids import FunctionId
from projectnil.domain.languages import Language
from projectnil.flows.lanes import Lanes, Stay, Worker
from projectnil.postgres import compilations, compile_costs, functions, queues, turns
from projectnil.postgres.connections import Connection, Pool, transaction
from projectnil.postgres.errors import CONNECTION_ERRORS, TRY_AGAIN
from projectnil.postgres.queues import Message

log = structlog.get_logger()

GIVE_UP_AFTER_S = 24 * 3600.0
LONGEST_PAUSE_S = 600.0

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _again_after_deadlock(step: Callable[_P, Awaitable[_R]]) -> Callable[_P, Awaitable[_R]]:
    """step: one transaction. Other programs lock rows of the queue in orders of their own."""

    @functools.wraps(step)
    async def twice(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return await step(*args, **kwargs)
        except TRY_AGAIN as error:
            log.warning("job.transaction.repeated", error=str(error))
            return await step(*args, **kwargs)

    return twice


class _Taken(msgspec.Struct, frozen=True):
    """A job that was read. headers.revision is None only where nothing is known of the job."""

    message: Message
    headers: MessageHeaders
    function_id: FunctionId
    job: CompilationJob


async def compile_next(
    pool: Pool, toolchain: Toolchain, *, visibility_s: int, max_reads: int, worker: Worker | None = None
) -> bool:
    """Take one job in the toolchain's language and see it through; False when there is none.

    visibility_s: how long a job stays hidden after its compiler died. max_reads: a job read more often kills its
    compilers, and is answered instead of tried. worker: in which lanes it is; by default alone. What the platform could
    not do leaves the job to reappear later, and a job that is too slow for its lane goes to the other one.
    """
    found = await _next(pool, worker or Worker(Lanes()), toolchain.language.value, visibility_s)
    if found is None:
        return False
    message, stay = found
    try:
        await _see_through(pool, message, toolchain, stay, visibility_s=visibility_s, max_reads=max_reads)
    finally:
        stay.end()
    return True


async def _next(pool: Pool, worker: Worker, language: str, visibility_s: int) -> tuple[Message, Stay] | None:
    """A job and its stay in a lane; None when there is none."""
    while True:
        async with pool.acquire() as conn:
            found = await worker.take(conn, language, visibility_s)
            if found is None and await turns.give_missing(conn):
                found = await worker.take(conn, language, visibility_s)
        if found is None:
            return None
        message, stay = found
        if message.reads == 1 or stay.in_slow_lane:
            return found
        # The compiler that had it died, perhaps of it.
        stay.end()
        async with transaction(pool) as conn:
            await queues.give_back(conn, message.id, 0)
            await turns.move_to_slow_lane(conn, message.id)


async def answer_unserved(pool: Pool, known: Iterable[Language], *, visibility_s: int) -> bool:
    """Answer one job in a language that no compiler of this release serves; False when there is none."""
    languages = [language.value for language in known]
    async with pool.acquire() as conn:
        messages = await queues.read_jobs_in_other_languages(conn, languages, visibility_s=visibility_s, most=1)
    for message in messages:
        taken = await _take(pool, message)
        if taken is not None:
            error = UnsupportedLanguage(taken.job.language, languages)
            await _answer(pool, taken, Rejected(str(error)), None)
    return bool(messages)


async def _see_through(
    pool: Pool, message: Message, toolchain: Toolchain, stay: Stay, *, visibility_s: int, max_reads: int
) -> None:
    taken = await _take(pool, message)
    if taken is None:
        return
    log.info("job.received", functionId=taken.function_id, revision=taken.headers.revision, reads=message.reads)
    if message.reads > max_reads:
        died = f"the compiler died {message.reads - 1} times while it compiled this source, which is not tried again"
        await _answer(pool, taken, Rejected(died), None)
    elif await _is_wanted(pool, taken, stay):
        await _compile(pool, taken, toolchain, stay, visibility_s)
    else:
        log.info("job.dropped", functionId=taken.function_id, reason="the function was changed, or has its result")


async def _compile(pool: Pool, taken: _Taken, toolchain: Toolchain, stay: Stay, visibility_s: int) -> None:
    try:
        async with _kept_hidden(pool, taken.message, visibility_s):
            outcome = await toolchain.compile(taken.job.source, stay.may_go_on)
    except CompilerLost as error:
        # It counts as a try, for the source may be what its compiler died of.
        log.warning("job.postponed", functionId=taken.function_id, error=str(error), reads=taken.message.reads)
        stay.note(None)
        await _move_to_slow_lane(pool, taken, stay)
    except PlatformUnavailable as error:
        await _postpone(pool, taken, str(error), visibility_s)
    except asyncio.CancelledError:
        # This compiler is told to stop; another one need not wait.
        await asyncio.shield(_give_back(pool, taken.message, 0, None))
        raise
    else:
        stay.note(outcome)
        await _settle(pool, taken, outcome, stay)


async def _settle(pool: Pool, taken: _Taken, outcome: Outcome, stay: Stay) -> None:
    match outcome:
        case Stopped():
            await _put_aside(pool, taken, stay, taken.headers)
        case Crashed(message, lacked_room=True):
            # It is tried again in another process.
            log.warning("compiler.crashed", functionId=taken.function_id, message=message)
            await _put_aside(pool, taken, stay, taken.headers)
        case Crashed(message) if taken.headers.crashes:
            await _answer(pool, taken, Rejected(message), stay)
        case Crashed(message):
            log.warning("compiler.crashed", functionId=taken.function_id, message=message)
            crashes = taken.headers.crashes + 1
            await _put_aside(pool, taken, stay, msgspec.structs.replace(taken.headers, crashes=crashes))
        case Compiled() | Rejected():
            await _answer(pool, taken, outcome, stay)


async def _put_aside(pool: Pool, taken: _Taken, stay: Stay, headers: MessageHeaders) -> None:
    """The job waits for its turn in the slow lane. It was no try that its source may have ended."""
    await _move_to_slow_lane(pool, taken, stay, headers)
    _log_end("job.put_aside", taken, stay.cost)


@_again_after_deadlock
async def _move_to_slow_lane(pool: Pool, taken: _Taken, stay: Stay, headers: MessageHeaders | None = None) -> None:
    """headers: given back with these at once. Its source and function are slow only where that was their fault."""
    async with transaction(pool) as conn:
        # The function first, then the queue, then the turns: every transaction takes its locks in this order.
        await _record(conn, taken, stay, is_slow=True if stay.source_is_slow else None)
        if headers is not None:
            await queues.give_back(conn, taken.message.id, 0, headers)
        if stay.source_is_slow:
            await turns.remember_slow(conn, taken.message.id)
        else:
            await turns.move_to_slow_lane(conn, taken.message.id)


async def _record(conn: Connection, taken: _Taken, stay: Stay, *, is_slow: bool | None) -> None:
    await compile_costs.record(conn, taken.function_id, taken.headers.revision, stay.cost, is_slow=is_slow)


@_again_after_deadlock
async def _is_wanted(pool: Pool, taken: _Taken, stay: Stay) -> bool:
    """Whether to compile the job; one that is not is archived. A job of a function we do not know is another api's."""
    function_id, revision = taken.function_id, taken.headers.revision
    async with transaction(pool) as conn:
        if await functions.mark_compiling(conn, function_id, revision):
            await compilations.mark_taken(conn, taken.message.id, slow=stay.in_slow_lane)
            return True
        if await functions.awaits_result(conn, function_id, revision) is None:
            return True
        await _archive(conn, taken)
        return False


async def _postpone(pool: Pool, taken: _Taken, reason: str, visibility_s: int) -> None:
    """What the platform could not compile is tried again after longer and longer pauses, for a day."""
    headers = postponed(taken.headers, reason, time.time())
    if headers.postponed_for_s(time.time()) >= GIVE_UP_AFTER_S:
        failed = f"the platform could not compile this source within 24 hours, and not by its fault: {reason}"
        await _answer(pool, taken, Rejected(f"{failed}; send it again once the platform is in order"), None)
        return
    hidden_s = min(visibility_s * 2 ** (min(headers.postponements, 20) - 1), LONGEST_PAUSE_S)
    await _give_back(pool, taken.message, hidden_s, headers)
    log.warning("job.postponed", functionId=taken.function_id, error=reason, againInS=hidden_s)


async def _give_back(pool: Pool, message: Message, hidden_s: float, headers: MessageHeaders | None) -> None:
    """Reads count tries, so that a deadly source is noticed; this one was none."""
    async with pool.acquire() as conn:
        await queues.give_back(conn, message.id, hidden_s, headers)


async def _take(pool: Pool, message: Message) -> _Taken | None:
    """The job in a message, or None for a message that is none: its function, where it names one, has FAILED then."""
    headers = decode_headers(message.headers, message.body)
    try:
        job = decode_job(message.body)
    except MalformedMessage as error:
        await _refuse(pool, message, headers, error)
        return None
    function_id = FunctionId(job.function_id)
    if headers.revision is None:
        async with pool.acquire() as conn:
            revision = await compilations.revision_of(conn, message.id, function_id)
        headers = msgspec.structs.replace(headers, revision=revision)
    return _Taken(message, headers, function_id, job)


async def _refuse(pool: Pool, message: Message, headers: MessageHeaders, error: MalformedMessage) -> None:
    function_id = error.function_id
    log.warning("job.failed", messageId=message.id, functionId=function_id, error=str(error))
    if function_id is None:
        async with pool.acquire() as conn:
            await queues.archive(conn, JOBS_QUEUE, message.id)
        return
    nameless = CompilationJob(function_id=function_id, language="", source="")
    reason = f"the compilation job cannot be read: {error}; send the source again"
    await _answer(pool, _Taken(message, headers, function_id, nameless), Rejected(reason), None)


async def _answer(pool: Pool, taken: _Taken, outcome: Compiled | Rejected, stay: Stay | None) -> None:
    """stay: in the lane where it was compiled; None for a job that was not."""
    is_sent = await _send_answer(pool, taken, outcome, stay)
    _log_answer(taken, outcome, stay.cost if stay is not None else CompileCost())
    if is_sent:
        log.info("result.published", functionId=taken.function_id, revision=taken.headers.revision)


@_again_after_deadlock
async def _send_answer(pool: Pool, taken: _Taken, outcome: Compiled | Rejected, stay: Stay | None) -> bool:
    """Whether a result was sent, which only a source that still counts gets."""
    function_id, revision = taken.function_id, taken.headers.revision
    async with transaction(pool) as conn:
        awaits = await functions.awaits_result(conn, function_id, revision)
        if stay is not None:
            await _learn(conn, taken, stay)
        # Should two compilers have had the job, the one that archives it answers it.
        mine = await queues.archive(conn, JOBS_QUEUE, taken.message.id)
        await compilations.mark_taken(conn, taken.message.id)
        wanted = mine and awaits is not False
        if wanted:
            headers = MessageHeaders(revision=revision)
            await queues.send(conn, RESULTS_QUEUE, result_message(taken.job, outcome), headers)
        else:
            await compilations.settle(conn, [taken.message.id])
    return wanted


def _log_answer(taken: _Taken, outcome: Compiled | Rejected, cost: CompileCost) -> None:
    if isinstance(outcome, Compiled):
        _log_end("job.compiled", taken, cost, wasmBytes=len(outcome.wasm))
    else:
        _log_end("job.failed", taken, cost, error=outcome.message[:500])


def _log_end(event: str, taken: _Taken, cost: CompileCost, **more: object) -> None:
    log.info(
        event,
        functionId=taken.function_id,
        revision=taken.headers.revision,
        **more,
        durationMs=cost.duration_ms,
        cpuMs=cost.cpu_ms,
        peakMemoryBytes=cost.peak_memory_bytes,
    )


async def _learn(conn: Connection, taken: _Taken, stay: Stay) -> None:
    """What it cost, and which lane its source and its function belong in."""
    await _record(conn, taken, stay, is_slow=stay.source_is_slow)
    if stay.source_is_slow:
        await turns.remember_slow(conn, taken.message.id)
    else:
        await turns.forget_slow(conn, taken.message.id)


async def _archive(conn: Connection, taken: _Taken) -> None:
    """Without a result."""
    await queues.archive(conn, JOBS_QUEUE, taken.message.id)
    await compilations.mark_taken(conn, taken.message.id)
    await compilations.settle(conn, [taken.message.id])


@contextlib.asynccontextmanager
async def _kept_hidden(pool: Pool, message: Message, visibility_s: int) -> AsyncIterator[None]:
    """While the block runs the job stays hidden; once this process dies it reappears after `visibility_s`."""

    async def extend() -> None:
        while True:
            await asyncio.sleep(visibility_s / 3)
            # A lost connection is for the main line to find: it cannot answer without one either.
            with contextlib.suppress(*CONNECTION_ERRORS):
                async with pool.acquire() as conn:
                    await queues.extend(conn, JOBS_QUEUE, message.id, visibility_s)

    extending = asyncio.create_task(extend())
    try:
        yield
    finally:
        extending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await extending
