"""Flows 1 and 2, the api's second half: a compiler's result and the removal of its message take effect together."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
import structlog

from projectnil.domain.compilation import (
    JOBS_QUEUE,
    RESULTS_QUEUE,
    CompilationResult,
    MalformedMessage,
    decode_headers,
    decode_result,
    wasm_of,
)
from projectnil.domain.errors import InvalidInput
from projectnil.domain.functions import Function, FunctionStatus
from projectnil.domain.ids import FunctionId
from projectnil.domain.matching import NoMatch, PublishedJob, is_of_an_earlier_try, match_result
from projectnil.domain.text import storable
from projectnil.flows import jobs
from projectnil.postgres import compilations, functions, queues
from projectnil.postgres.connections import Connection, Pool, transaction
from projectnil.postgres.queues import Message

log = structlog.get_logger()

# From a module's bytes to what keeps it from ever running here, in words; None when nothing does.
WhyItCannotRun: TypeAlias = Callable[[bytes], Awaitable[str | None]]

# A compiler removes its job right after it answered it, and then it is known whose answer that was.
_EVIDENCE_WAIT_S = 1
_EVIDENCE_READS = 3


class Applied(msgspec.Struct, frozen=True):
    """What became of one result. status is None when it did not count, or cannot be told apart yet."""

    function_id: FunctionId | None
    status: FunctionStatus | None


class _Answer(msgspec.Struct, frozen=True):
    """A result that names its function. verdict: the module, or why there is none. is_kept: in the archive."""

    message: Message
    function_id: FunctionId
    revision: int | None
    verdict: bytes | str
    is_kept: bool = False


class _Outcome(msgspec.Struct, frozen=True):
    """status: what the function became. reason: why it stays as it is. queued_again: with the job that was sent."""

    status: FunctionStatus | None = None
    reason: str = "the function was changed, or has its result"
    revision: int | None = None
    queued_again: Function | None = None


_POSTPONED = _Outcome(reason="postponed")


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
    answer = await _read(message, why_it_cannot_run)
    if answer is None:
        async with pool.acquire() as conn:
            await queues.archive(conn, RESULTS_QUEUE, message.id)
        return Applied(None, None)
    return await _apply(pool, answer)


async def give_up(pool: Pool, message: Message, reason: str) -> Applied:
    """Fail the function of a result that the platform cannot apply, whatever is tried. Its message is archived."""
    try:
        function_id: str | None = decode_result(message.body).function_id
    except MalformedMessage as error:
        function_id = error.function_id
    if function_id is None:
        async with pool.acquire() as conn:
            await queues.archive(conn, RESULTS_QUEUE, message.id)
        return Applied(None, None)
    revision = decode_headers(message.headers, message.body).revision
    verdict = storable(f"the result could not be applied: {reason}")
    return await _apply(pool, _Answer(message, FunctionId(function_id), revision, verdict, is_kept=True))


async def _apply(pool: Pool, answer: _Answer) -> Applied:
    message = answer.message
    async with transaction(pool) as conn:
        outcome = await _settle(conn, answer)
        if outcome is _POSTPONED:
            await queues.extend(conn, RESULTS_QUEUE, message.id, _EVIDENCE_WAIT_S)
        elif answer.is_kept:
            await queues.archive(conn, RESULTS_QUEUE, message.id)
        else:
            await queues.delete(conn, RESULTS_QUEUE, message.id)
    if outcome is not _POSTPONED:
        _log(answer, outcome)
    return Applied(answer.function_id, outcome.status)


async def _read(message: Message, why_it_cannot_run: WhyItCannotRun) -> _Answer | None:
    """None for a message that names no function. What cannot be used stays in the archive for its sender to see."""
    revision = decode_headers(message.headers, message.body).revision
    try:
        result = decode_result(message.body)
        function_id = FunctionId(result.function_id)
        return _Answer(message, function_id, revision, await _verdict(result, why_it_cannot_run))
    except MalformedMessage as error:
        if error.function_id is None:
            log.warning("compilation.result.dropped", messageId=message.id, reason=str(error))
            return None
        function_id, verdict = error.function_id, f"the compiler's answer cannot be read: {error}"
    except InvalidInput as error:
        verdict = f"the compiler's answer cannot be used: {error}"
    log.warning("compilation.result.unusable", messageId=message.id, functionId=function_id, reason=verdict)
    return _Answer(message, function_id, revision, storable(verdict), is_kept=True)


async def _verdict(result: CompilationResult, why_it_cannot_run: WhyItCannotRun) -> bytes | str:
    """The module, or why there is none. Raises InvalidInput when the result lacks what it says it has."""
    if not result.success:
        return storable(result.error or "") or "the compiler gave no reason"
    wasm = wasm_of(result)
    problem = await why_it_cannot_run(wasm)
    return wasm if problem is None else storable(f"it compiled, but the module cannot run here: {problem}")


async def _settle(conn: Connection, answer: _Answer) -> _Outcome:
    """Find the job that was answered, and let the function have the answer if it still counts."""
    function = await functions.lock(conn, answer.function_id)
    if function is None:
        return _Outcome(reason="there is no such function")
    if answer.revision is not None:
        if await _is_of_an_earlier_try(conn, answer):
            return _Outcome(revision=answer.revision)
        await compilations.settle_revision(conn, function.id, answer.revision, answer.message.sent_at)
        return await _mark(conn, answer, answer.revision)
    match await _match(conn, answer):
        case PublishedJob() as job:
            # It is answered.
            await queues.archive(conn, JOBS_QUEUE, job.id)
            await compilations.settle(conn, [job.id], answer.message.sent_at)
            return await _mark(conn, answer, job.revision)
        case NoMatch.EARLY:
            return _POSTPONED
        case NoMatch.UNCERTAIN:
            return await _queue_again(conn, answer, function)
        case NoMatch.LATE:
            return _Outcome()


async def _is_of_an_earlier_try(conn: Connection, answer: _Answer) -> bool:
    """Whether it is a failure that was sent before a compiler read the job of the same source, sent again."""
    if isinstance(answer.verdict, bytes):
        return False
    published = await compilations.list_of_function(conn, answer.function_id)
    return is_of_an_earlier_try([job for job in published if job.revision == answer.revision], answer.message.sent_at)


async def _match(conn: Connection, answer: _Answer) -> PublishedJob | NoMatch:
    message = answer.message
    others = await queues.other_results(conn, answer.function_id, but=message.id)
    if any(message_id < message.id for message_id in others):
        return NoMatch.EARLY  # one after the other, as they were sent
    published = await compilations.list_of_function(conn, answer.function_id)
    answered = [job.answered_at for job in published if job.answered_at is not None]
    matched = match_result(published, message.sent_at, [*others.values(), *answered])
    return NoMatch.UNCERTAIN if matched is NoMatch.EARLY and message.reads > _EVIDENCE_READS else matched


async def _queue_again(conn: Connection, answer: _Answer, function: Function) -> _Outcome:
    """Several sources may have this module: none gets it, and the newest source is compiled again."""
    if not function.awaits_result:
        return _Outcome()
    sent_at = answer.message.sent_at
    published = await compilations.list_of_function(conn, function.id)
    in_doubt = [job.id for job in published if job.answered_at is None and job.may_have_sent(sent_at)]
    superseded = await queues.delete_unread_jobs(conn, function.id)
    for job_id in in_doubt:
        await queues.archive(conn, JOBS_QUEUE, job_id)
    await compilations.settle(conn, in_doubt, sent_at, in_doubt=len(in_doubt) > 1)
    await compilations.settle(conn, superseded)
    await jobs.publish(conn, function)
    reason = "it may be the answer to more than one job; the newest source was queued again"
    return _Outcome(reason=reason, queued_again=function)


async def _mark(conn: Connection, answer: _Answer, revision: int) -> _Outcome:
    match answer.verdict:
        case bytes(wasm):
            counts = await functions.mark_ready(conn, answer.function_id, revision, wasm)
            return _Outcome(FunctionStatus.READY if counts else None, revision=revision)
        case error:
            counts = await functions.mark_failed(conn, answer.function_id, revision, error)
            return _Outcome(FunctionStatus.FAILED if counts else None, revision=revision)


def _log(answer: _Answer, outcome: _Outcome) -> None:
    if outcome.queued_again is not None:
        jobs.log_published(outcome.queued_again)
    if outcome.status is None:
        _log_end("compilation.result.dropped", answer, outcome, reason=outcome.reason)
    else:
        _log_end("compilation.result.applied", answer, outcome, status=outcome.status)


def _log_end(event: str, answer: _Answer, outcome: _Outcome, **more: object) -> None:
    log.info(event, messageId=answer.message.id, functionId=answer.function_id, revision=outcome.revision, **more)
