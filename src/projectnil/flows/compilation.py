"""Flows 1 and 2, the compiler's part: take a job, compile it with no transaction open, answer and archive at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

import structlog

from projectnil.compiler.toolchain import Toolchain
from projectnil.domain.compilation import (
    JOBS_QUEUE,
    RESULTS_QUEUE,
    CompilationJob,
    Compiled,
    Rejected,
    decode_job,
    result_message,
)
from projectnil.domain.errors import InvalidInput, PlatformUnavailable, UnsupportedLanguage
from projectnil.domain.ids import FunctionId
from projectnil.domain.languages import Language
from projectnil.postgres import functions, queues
from projectnil.postgres.connections import Pool, transaction
from projectnil.postgres.errors import CONNECTION_ERRORS
from projectnil.postgres.queues import Message

log = structlog.get_logger()


async def compile_next(pool: Pool, toolchain: Toolchain, *, visibility_s: int, max_reads: int) -> bool:
    """Take one job in the toolchain's language and see it through; False when there is none.

    visibility_s: how long a job stays hidden after its compiler died. max_reads: a job read more often kills its
    compilers, and is answered instead of tried. An infrastructure failure leaves the job to reappear.
    """
    condition = {"language": toolchain.language.value}
    async with pool.acquire() as conn:
        messages = await queues.read(conn, JOBS_QUEUE, visibility_s=visibility_s, most=1, containing=condition)
    for message in messages:
        await _see_through(pool, message, toolchain, visibility_s=visibility_s, max_reads=max_reads)
    return bool(messages)


async def answer_unserved(pool: Pool, known: Iterable[Language], *, visibility_s: int) -> bool:
    """Answer one job in a language that no compiler of this release serves; False when there is none."""
    languages = [language.value for language in known]
    async with pool.acquire() as conn:
        messages = await queues.read_jobs_in_other_languages(conn, languages, visibility_s=visibility_s, most=1)
    for message in messages:
        job = await _decode(pool, message)
        if job is not None:
            error = UnsupportedLanguage(job.language, languages)
            await _answer(pool, message, job, Rejected(str(error)))
    return bool(messages)


async def _see_through(
    pool: Pool, message: Message, toolchain: Toolchain, *, visibility_s: int, max_reads: int
) -> None:
    job = await _decode(pool, message)
    if job is None:
        return
    log.info("job.received", functionId=job.function_id, revision=job.revision, reads=message.reads)
    if message.reads > max_reads:
        died = f"the compiler died {message.reads - 1} times while it compiled this source, which is not tried again"
        await _answer(pool, message, job, Rejected(died))
        return
    async with transaction(pool) as conn:
        wanted = await functions.mark_compiling(conn, FunctionId(job.function_id), job.revision)
        if not wanted:
            await queues.archive(conn, JOBS_QUEUE, message.id)
    if not wanted:
        log.info("job.dropped", functionId=job.function_id, reason="the function was deleted or changed")
        return
    try:
        async with _kept_hidden(pool, message, visibility_s):
            outcome = await toolchain.compile(job.source)
    except PlatformUnavailable as error:
        await _give_back(pool, message, hidden_s=visibility_s)
        log.warning("job.postponed", functionId=job.function_id, error=str(error))
        return
    except asyncio.CancelledError:
        # This compiler is told to stop; another one need not wait.
        await asyncio.shield(_give_back(pool, message, hidden_s=0))
        raise
    await _answer(pool, message, job, outcome)


async def _give_back(pool: Pool, message: Message, hidden_s: float) -> None:
    """Reads count deaths of compilers, so that a deadly source is noticed; this one was nobody's death."""
    async with pool.acquire() as conn:
        await queues.give_back(conn, JOBS_QUEUE, message.id, hidden_s)


async def _decode(pool: Pool, message: Message) -> CompilationJob | None:
    try:
        return decode_job(message.body)
    except InvalidInput as error:
        # Nobody can be answered: there is no function to name.
        async with pool.acquire() as conn:
            await queues.archive(conn, JOBS_QUEUE, message.id)
        log.warning("job.failed", messageId=message.id, error=str(error))
        return None


async def _answer(pool: Pool, message: Message, job: CompilationJob, outcome: Compiled | Rejected) -> None:
    function_id = FunctionId(job.function_id)
    async with transaction(pool) as conn:
        wanted = await functions.awaits_result(conn, function_id, job.revision)
        # Whoever archives the job answers it, should two compilers have had it.
        mine = await queues.archive(conn, JOBS_QUEUE, message.id)
        if wanted and mine:
            await queues.send(conn, RESULTS_QUEUE, result_message(job, outcome))
    if isinstance(outcome, Compiled):
        log.info("job.compiled", functionId=function_id, revision=job.revision, wasmBytes=len(outcome.wasm))
    else:
        log.info("job.failed", functionId=function_id, revision=job.revision, error=outcome.message[:500])
    if wanted and mine:
        log.info("result.published", functionId=function_id, revision=job.revision)


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
