"""Compilers that know the bodies of the messages and nothing else: whose answer is a result of theirs?"""

import base64
import json
from typing import Any

import pytest

from projectnil.domain.functions import Function, FunctionStatus, NewFunction
from projectnil.domain.languages import Language
from projectnil.flows import catalog, registration, results
from projectnil.postgres.connections import Pool
from tests.support.fakes import WASM

Job = dict[str, Any]


def new(source: str) -> NewFunction:
    return NewFunction(name="f", description=None, language=Language.ASSEMBLYSCRIPT, source=source)


async def read(pool: Pool) -> Job | None:
    """One job, as a reader that refuses every field it does not know."""
    row = await pool.fetchrow("SELECT msg_id, message FROM pgmq.read('compilation_jobs', 30, 1)")
    if row is None:
        return None
    body: Job = json.loads(row["message"])
    assert set(body) == {"functionId", "language", "source"}
    return {"id": row["msg_id"], **body}


async def send(pool: Pool, job: Job | None) -> None:
    assert job is not None
    wasm = base64.encodebytes(WASM + job["source"].encode()).decode()
    result = {"functionId": job["functionId"], "success": True, "wasmBinary": wasm, "error": None}
    await pool.execute("SELECT pgmq.send('compilation_results', $1::jsonb)", json.dumps(result))


async def remove(pool: Pool, job: Job | None, how: str = "archive") -> None:
    assert job is not None
    await pool.execute(f"SELECT pgmq.{how}('compilation_jobs', $1::bigint)", job["id"])


async def reappear(pool: Pool) -> None:
    await pool.execute("UPDATE pgmq.q_compilation_jobs SET vt = clock_timestamp()")


async def apply(pool: Pool, most: int = 10) -> list[FunctionStatus | None]:
    """Apply what there is; a result that waits for more to be known is looked at again at once."""
    applied: list[FunctionStatus | None] = []
    for _ in range(most):
        await pool.execute("UPDATE pgmq.q_compilation_results SET vt = clock_timestamp()")
        outcome = await results.apply_next(pool, visibility_s=30)
        if outcome is None:
            break
        applied.append(outcome.status)
    return applied


async def module_of(pool: Pool, function: Function) -> bytes | None:
    """What it would run, None unless it is READY."""
    if (await catalog.get_function(pool, function.id)).status is not FunctionStatus.READY:
        return None
    return (await catalog.get_module(pool, function.id)).wasm


async def compile_all(pool: Pool) -> None:
    """One job after the other, each answered and then removed."""
    while job := await read(pool):
        await send(pool, job)
        await remove(pool, job)


async def test_after_two_updates_in_a_row_the_newest_source_is_ready(pool: Pool) -> None:
    function = await registration.register(pool, new("first"))
    await registration.update(pool, function.id, new("second"))
    await registration.update(pool, function.id, new("third"))
    await compile_all(pool)
    assert await apply(pool) == [None, None, FunctionStatus.READY]
    assert await module_of(pool, function) == WASM + b"third"


async def test_results_of_jobs_that_nobody_was_seen_to_read_count_in_order(pool: Pool) -> None:
    function = await registration.register(pool, new("first"))
    await registration.update(pool, function.id, new("second"))
    await send(pool, {"functionId": function.id, "source": "first"})
    assert await apply(pool) == [None]
    assert (await catalog.get_function(pool, function.id)).status is FunctionStatus.PENDING
    await send(pool, {"functionId": function.id, "source": "second"})
    assert await apply(pool) == [FunctionStatus.READY]
    assert await module_of(pool, function) == WASM + b"second"


async def test_a_result_that_was_sent_twice_is_not_the_newer_source(pool: Pool) -> None:
    function = await registration.register(pool, new("first"))
    job = await read(pool)
    await send(pool, job)
    await remove(pool, job)
    assert await apply(pool) == [FunctionStatus.READY]
    await registration.update(pool, function.id, new("second"))
    await send(pool, job)
    assert await apply(pool) == [None]
    assert await module_of(pool, function) is None
    await compile_all(pool)
    assert await apply(pool) == [FunctionStatus.READY]
    assert await module_of(pool, function) == WASM + b"second"


async def test_two_compilers_at_once_may_answer_in_any_order(pool: Pool) -> None:
    function = await registration.register(pool, new("first"))
    first = await read(pool)
    await registration.update(pool, function.id, new("second"))
    second = await read(pool)
    await send(pool, second)
    await remove(pool, second, "delete")
    assert await apply(pool) == [FunctionStatus.READY]
    await send(pool, first)
    await remove(pool, first, "delete")
    assert await apply(pool) == [None]
    assert await module_of(pool, function) == WASM + b"second"


async def test_a_job_that_was_read_twice_is_queued_again(pool: Pool) -> None:
    function = await registration.register(pool, new("only"))
    await read(pool)
    await reappear(pool)
    job = await read(pool)
    await send(pool, job)
    assert await apply(pool) == [None]
    await remove(pool, job)
    again = await read(pool)
    assert again is not None
    assert again["source"] == "only"
    await send(pool, again)
    assert await apply(pool) == [FunctionStatus.READY]
    assert await module_of(pool, function) == WASM + b"only"


async def test_both_answers_to_a_job_that_was_read_twice_miss_the_newer_source(pool: Pool) -> None:
    function = await registration.register(pool, new("old"))
    first = await read(pool)
    await reappear(pool)
    await registration.update(pool, function.id, new("new"))
    second = await read(pool)
    assert second is not None
    assert second["source"] == "old"
    await send(pool, second)
    await remove(pool, second)
    assert await apply(pool) == [None]
    await send(pool, first)
    assert await apply(pool) == [None]
    assert await module_of(pool, function) is None
    await compile_all(pool)
    assert await apply(pool) == [FunctionStatus.READY]
    assert await module_of(pool, function) == WASM + b"new"


async def test_without_any_trace_of_its_job_a_result_makes_nothing_ready(pool: Pool) -> None:
    function = await registration.register(pool, new("old"))
    await read(pool)
    await registration.update(pool, function.id, new("new"))
    other = await read(pool)
    await send(pool, {"functionId": function.id, "source": "old"})
    assert await apply(pool) == [None] * 4, "it waits a little for one of the jobs to be removed"
    assert await module_of(pool, function) is None
    await send(pool, other)
    await apply(pool)
    await compile_all(pool)
    await apply(pool)
    assert await module_of(pool, function) == WASM + b"new"


async def test_the_same_source_again_is_compiled_while_a_result_of_an_older_one_waits(pool: Pool) -> None:
    function = await registration.register(pool, new("old"))
    await registration.update(pool, function.id, new("new"))
    await pool.execute("SELECT pgmq.purge_queue('compilation_jobs')")
    result = {"functionId": function.id, "success": False, "error": "old"}
    sent = "SELECT pgmq.send('compilation_results', $1::jsonb, $2::jsonb)"
    await pool.execute(sent, json.dumps(result), json.dumps({"revision": 1}))
    await registration.update(pool, function.id, new("new"))
    assert await read(pool) is not None
    await pool.execute(sent, json.dumps(result), json.dumps({"revision": 2}))
    await pool.execute("SELECT pgmq.purge_queue('compilation_jobs')")
    await registration.update(pool, function.id, new("new"))
    assert await read(pool) is None, "a result of this source waits to be applied"


async def test_a_job_that_was_popped_after_another_had_read_it_has_two_answers(pool: Pool) -> None:
    function = await registration.register(pool, new("old"))
    await registration.update(pool, function.id, new("new"))
    first, second = await read(pool), await read(pool)
    await send(pool, second)
    await reappear(pool)
    await pool.execute("SELECT pgmq.pop('compilation_jobs')")
    await apply(pool)
    await send(pool, first)
    await apply(pool)
    assert await module_of(pool, function) != WASM + b"old"


@pytest.mark.parametrize("headers", [None, '{"revision": 1}'])
async def test_a_failure_that_was_sent_twice_does_not_fail_the_source_when_it_is_sent_again(
    pool: Pool, headers: str | None
) -> None:
    function = await registration.register(pool, new("only"))
    job = await read(pool)
    failure = json.dumps({"functionId": function.id, "success": False, "error": "no room"})
    await pool.execute("SELECT pgmq.send('compilation_results', $1::jsonb, $2::jsonb)", failure, headers)
    await remove(pool, job)
    assert await apply(pool) == [FunctionStatus.FAILED]
    await registration.update(pool, function.id, new("only"))
    await pool.execute("SELECT pgmq.send('compilation_results', $1::jsonb, $2::jsonb)", failure, headers)
    assert await apply(pool) == [None]
    await compile_all(pool)
    assert await apply(pool) == [FunctionStatus.READY]
