"""Flows 1, 2 and 6 over the real queues: the effect of a message and its removal are one."""

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import pytest
import structlog

from projectnil.domain.compilation import JOBS_QUEUE, RESULTS_QUEUE, CompilationResult, MessageHeaders
from projectnil.domain.functions import Function, FunctionStatus, NewFunction
from projectnil.domain.ids import FunctionId
from projectnil.domain.languages import Language
from projectnil.flows import catalog, compilation, registration, results, retention
from projectnil.postgres import queues
from projectnil.postgres.connections import Pool
from tests.support.fakes import WASM, FakeToolchain


def new(source: str = "good", name: str = "f") -> NewFunction:
    return NewFunction(name=name, description=None, language=Language.ASSEMBLYSCRIPT, source=source)


async def compile_one(pool: Pool, toolchain: FakeToolchain | None = None, max_reads: int = 3) -> bool:
    return await compilation.compile_next(pool, toolchain or FakeToolchain(), visibility_s=30, max_reads=max_reads)


async def apply_one(pool: Pool) -> results.Applied | None:
    return await results.apply_next(pool, visibility_s=30)


async def lengths(pool: Pool) -> tuple[int, int]:
    async with pool.acquire() as conn:
        return await queues.length(conn, JOBS_QUEUE), await queues.length(conn, RESULTS_QUEUE)


async def status(pool: Pool, function: Function) -> FunctionStatus:
    return (await catalog.get_function(pool, function.id)).status


async def reappear(pool: Pool, queue: str) -> None:
    """As if the visibility timeout had passed."""
    await pool.execute(f"UPDATE pgmq.q_{queue} SET vt = clock_timestamp()")


async def test_registering_stores_a_pending_function_and_its_job_together(pool: Pool) -> None:
    function = await registration.register(pool, new("good"))
    assert (function.status, function.revision) == (FunctionStatus.PENDING, 1)
    [[message, headers]] = await pool.fetch("SELECT message, headers FROM pgmq.q_compilation_jobs")
    assert json.loads(message) == {"functionId": function.id, "language": "assemblyscript", "source": "good"}
    assert json.loads(headers) == {"revision": 1}


async def test_a_result_has_exactly_the_fields_that_any_api_knows(pool: Pool) -> None:
    for source in ("good", "reject"):
        await registration.register(pool, new(source))
        await compile_one(pool)
    rows = await pool.fetch("SELECT message, headers FROM pgmq.q_compilation_results ORDER BY msg_id")
    ids = [row["id"] for row in await pool.fetch("SELECT id::text FROM functions ORDER BY id")]
    wasm = base64.b64encode(WASM + b"good").decode()
    assert [json.loads(row["message"]) for row in rows] == [
        {"functionId": ids[0], "success": True, "wasmBinary": wasm, "error": None},
        {"functionId": ids[1], "success": False, "wasmBinary": None, "error": "no good"},
    ]
    assert [json.loads(row["headers"]) for row in rows] == [{"revision": 1}] * 2


async def test_a_good_source_becomes_ready_with_its_binary(pool: Pool) -> None:
    function = await registration.register(pool, new("good"))
    assert await compile_one(pool)
    assert await status(pool, function) is FunctionStatus.COMPILING
    assert await lengths(pool) == (0, 1)
    applied = await apply_one(pool)
    assert applied == results.Applied(function.id, FunctionStatus.READY)
    module = await catalog.get_module(pool, function.id)
    assert module.wasm == WASM + b"good"
    assert module.sha256 == await catalog.get_module_name(pool, function.id)
    assert await lengths(pool) == (0, 0)
    assert await pool.fetchval("SELECT count(*) FROM pgmq.a_compilation_jobs") == 1


async def test_a_bad_source_becomes_failed_with_the_compilers_message(pool: Pool) -> None:
    function = await registration.register(pool, new("reject"))
    await compile_one(pool)
    await apply_one(pool)
    details = await catalog.get_function(pool, function.id)
    assert (details.status, details.compile_error) == (FunctionStatus.FAILED, "no good")


async def test_what_the_platform_cannot_do_is_tried_again_after_longer_and_longer_pauses(pool: Pool) -> None:
    function = await registration.register(pool, new("break"))
    pauses_s = []
    for tried in range(1, 7):
        assert await compile_one(pool)
        assert await lengths(pool) == (1, 0)
        assert await status(pool, function) is FunctionStatus.COMPILING
        assert not await compile_one(pool), "it is hidden for a while"
        [[pause_s, headers]] = await pool.fetch(
            "SELECT extract(epoch FROM vt - clock_timestamp())::float, headers FROM pgmq.q_compilation_jobs"
        )
        pauses_s.append(pause_s)
        told = json.loads(headers)
        assert (told["revision"], told["postponements"]) == (1, tried)
        assert told["postponedBecause"] == "the disk is full"
        await reappear(pool, JOBS_QUEUE)
    assert pauses_s == pytest.approx([30, 60, 120, 240, 480, 600], abs=20)
    assert await pool.fetchval("SELECT read_ct FROM pgmq.q_compilation_jobs") == 0


async def test_what_the_platform_cannot_do_for_a_day_ends_and_blames_the_platform(pool: Pool) -> None:
    function = await registration.register(pool, new("break"))
    await compile_one(pool)
    await pool.execute(
        "UPDATE pgmq.q_compilation_jobs SET vt = now(), headers = jsonb_set(headers, '{postponedSinceS}',"
        " to_jsonb((headers ->> 'postponedSinceS')::float - 24 * 3600))"
    )
    await compile_one(pool)
    assert await lengths(pool) == (0, 1)
    await apply_one(pool)
    details = await catalog.get_function(pool, function.id)
    assert details.status is FunctionStatus.FAILED
    assert details.compile_error == (
        "the platform could not compile this source within 24 hours, and not by its fault: the disk is full;"
        " send it again once the platform is in order"
    )


async def test_a_crowd_that_the_platform_cannot_compile_keeps_nobody_else_waiting(pool: Pool) -> None:
    for _ in range(200):
        await registration.register(pool, new("break"))
    function = await registration.register(pool, new("good"))
    toolchain = FakeToolchain()
    while await compile_one(pool, toolchain):
        pass
    assert len(toolchain.compiled) == 201
    await apply_one(pool)
    assert await status(pool, function) is FunctionStatus.READY


async def test_a_source_that_gets_its_compiler_killed_ends_after_three_tries(pool: Pool) -> None:
    function = await registration.register(pool, new("lose"))
    toolchain = FakeToolchain()
    for _ in range(4):
        assert await compile_one(pool, toolchain)
        await reappear(pool, JOBS_QUEUE)
    assert len(toolchain.compiled) == 3
    await apply_one(pool)
    details = await catalog.get_function(pool, function.id)
    assert details.status is FunctionStatus.FAILED
    assert "died 3 times" in (details.compile_error or "")


async def test_a_compiler_that_is_stopped_hands_its_job_back_at_once(pool: Pool) -> None:
    await registration.register(pool, new("good"))
    compiling = asyncio.Event()

    async def for_ever() -> None:
        compiling.set()
        await asyncio.sleep(60)

    stopped = asyncio.create_task(compile_one(pool, FakeToolchain(during=for_ever)))
    await compiling.wait()
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    assert await pool.fetchval("SELECT read_ct FROM pgmq.q_compilation_jobs") == 0
    assert await compile_one(pool)


class Killed(BaseException):
    """Stands for the end of the compiler's process: nothing of the flow runs after it."""


async def test_a_source_that_keeps_killing_its_compiler_is_answered_and_not_tried_again(pool: Pool) -> None:
    def die() -> None:
        raise Killed

    function = await registration.register(pool, new("deadly"))
    toolchain = FakeToolchain(during=die)
    for _ in range(3):
        with pytest.raises(Killed):
            await compile_one(pool, toolchain)
        await reappear(pool, JOBS_QUEUE)
    assert await compile_one(pool, toolchain)
    assert len(toolchain.compiled) == 3
    await apply_one(pool)
    details = await catalog.get_function(pool, function.id)
    assert details.status is FunctionStatus.FAILED
    assert details.compile_error is not None
    assert "died 3 times" in details.compile_error
    assert await lengths(pool) == (0, 0)


@pytest.mark.parametrize("revision", [99_999_999_999, 0, -1, "1", None])
@pytest.mark.parametrize("place", ["headers", "message"])
async def test_a_revision_that_no_row_can_have_is_passed_over(pool: Pool, revision: object, place: str) -> None:
    function = await registration.register(pool, new())
    bad = json.dumps({"revision": revision})
    await pool.execute("UPDATE pgmq.q_compilation_jobs SET headers = NULL")
    await pool.execute(f"UPDATE pgmq.q_compilation_jobs SET {place} = coalesce({place}, '{{}}') || $1::jsonb", bad)
    await compile_one(pool)
    await pool.execute("UPDATE pgmq.q_compilation_results SET headers = NULL")
    await pool.execute(f"UPDATE pgmq.q_compilation_results SET {place} = coalesce({place}, '{{}}') || $1::jsonb", bad)
    await apply_one(pool)
    assert await status(pool, function) is FunctionStatus.READY


async def test_messages_of_an_earlier_release_count(pool: Pool) -> None:
    """They have their revision in the body."""
    function = await registration.register(pool, new("old"))
    await registration.update(pool, function.id, new("good"))
    moved = "SET message = message || jsonb_build_object('revision', headers -> 'revision'), headers = NULL"
    await pool.execute(f"UPDATE pgmq.q_compilation_jobs {moved}")
    assert await compile_one(pool)
    assert await lengths(pool) == (1, 0), "the old source needs no result"
    assert await compile_one(pool)
    await pool.execute(f"UPDATE pgmq.q_compilation_results {moved}")
    assert await apply_one(pool) == results.Applied(function.id, FunctionStatus.READY)


async def test_another_compilers_capital_ids_count(pool: Pool) -> None:
    function = await registration.register(pool, new())
    result = json.dumps({"functionId": function.id.upper(), "success": True, "wasmBinary": "AA=="})
    await pool.execute("SELECT pgmq.send('compilation_results', $1::jsonb)", result)
    assert await apply_one(pool) == results.Applied(function.id, FunctionStatus.READY)


@pytest.mark.parametrize("identifier", ["{}\n", "{}0", " {}", "x"])
async def test_an_id_that_is_none_does_not_stop_the_queues(pool: Pool, identifier: str) -> None:
    function = await registration.register(pool, new())
    await assert_both_queues_go_on(pool, function, {"functionId": identifier.format(function.id)})


async def assert_both_queues_go_on(pool: Pool, function: Function, message: dict[str, Any]) -> None:
    """A job and a result that begin like `message` are put aside, and the function becomes READY."""
    job = json.dumps({**message, "language": "assemblyscript", "source": "s"})
    await pool.execute("SELECT pgmq.send('compilation_jobs', $1::jsonb)", job)
    result = json.dumps({**message, "success": True, "wasmBinary": "AA=="})
    await pool.execute("SELECT pgmq.send('compilation_results', $1::jsonb)", result)
    assert await apply_one(pool) == results.Applied(None, None)
    assert await compile_one(pool)
    assert await compile_one(pool)
    await apply_one(pool)
    assert await status(pool, function) is FunctionStatus.READY
    assert await lengths(pool) == (0, 0)


async def test_a_job_for_a_function_that_is_not_ours_is_answered_as_any_other(pool: Pool) -> None:
    stranger = "7d1f0c2e-3b44-4f6a-9a51-0d8c5a7e2b10"
    job = {"functionId": stranger, "language": "assemblyscript", "source": "good"}
    await pool.execute("SELECT pgmq.send('compilation_jobs', $1::jsonb)", json.dumps(job))
    assert await compile_one(pool)
    message = json.loads(await pool.fetchval("SELECT message FROM pgmq.q_compilation_results"))
    assert (message["functionId"], message["success"]) == (stranger, True)


async def messages_about(pool: Pool, function: Function) -> int:
    """In both queues and both archives."""
    tables = [f"pgmq.{kind}_{queue}" for kind in "qa" for queue in (JOBS_QUEUE, RESULTS_QUEUE)]
    about = " UNION ALL ".join(f"SELECT message FROM {table}" for table in tables)
    count: int = await pool.fetchval(f"SELECT count(*) FROM ({about}) WHERE message::text ILIKE $1", f"%{function.id}%")
    return count


async def test_a_deleted_function_leaves_no_message_behind(pool: Pool) -> None:
    other = await registration.register(pool, new("other"))
    function = await registration.register(pool, new("first"))
    await compile_one(pool)
    await compile_one(pool)
    await registration.update(pool, function.id, new("second"))
    await send_result(pool, FunctionId(function.id.upper()), success=False, error="x")
    malformed = json.dumps({"functionId": function.id.upper()})
    await pool.execute("SELECT pgmq.archive('compilation_results', pgmq.send('compilation_results', $1))", malformed)
    assert await messages_about(pool, function) == 5
    kept = await messages_about(pool, other)
    await registration.delete(pool, function.id)
    assert await messages_about(pool, function) == 0
    assert await messages_about(pool, other) == kept
    assert await pool.fetchval("SELECT count(*) FROM compilations WHERE function_id = $1", function.id) == 0


async def test_deleting_while_messages_are_read_waits_for_nobody_for_ever(pool: Pool) -> None:
    made = [await registration.register(pool, new(f"good {number}")) for number in range(20)]

    async def compile_all() -> None:
        while await compile_one(pool):
            pass

    await asyncio.gather(compile_all(), compile_all(), *(registration.delete(pool, function.id) for function in made))
    assert [await messages_about(pool, function) for function in made] == [0] * 20


async def test_a_function_changed_while_it_compiles_gets_no_result_of_its_old_source(pool: Pool) -> None:
    function = await registration.register(pool, new("old"))
    toolchain = FakeToolchain(during=lambda: registration.update(pool, function.id, new("new")))
    await compile_one(pool, toolchain)
    assert await lengths(pool) == (1, 0)
    await compile_one(pool)
    await apply_one(pool)
    details = await catalog.get_function(pool, function.id)
    assert (details.status, details.revision) == (FunctionStatus.READY, 2)


async def test_a_function_deleted_while_it_compiles_gets_no_result(pool: Pool) -> None:
    function = await registration.register(pool, new())
    await compile_one(pool, FakeToolchain(during=lambda: registration.delete(pool, function.id)))
    assert await lengths(pool) == (0, 0)


async def test_a_job_in_a_language_nobody_serves_is_answered_with_a_failure(pool: Pool) -> None:
    function = await registration.register(pool, new())
    await pool.execute("UPDATE pgmq.q_compilation_jobs SET message = jsonb_set(message, '{language}', '\"cobol\"')")
    assert not await compile_one(pool)
    assert await compilation.answer_unserved(pool, Language, visibility_s=30)
    await apply_one(pool)
    details = await catalog.get_function(pool, function.id)
    assert details.status is FunctionStatus.FAILED
    assert details.compile_error == "language 'cobol' is not supported; supported: assemblyscript"


async def test_a_job_this_compiler_was_told_not_to_serve_is_left_untouched(pool: Pool) -> None:
    await registration.register(pool, new())
    assert not await compilation.answer_unserved(pool, Language, visibility_s=30)
    assert await pool.fetchval("SELECT read_ct FROM pgmq.q_compilation_jobs") == 0


@pytest.mark.parametrize("message", ['{"language": "assemblyscript"}', '{"language": "assemblyscript", "source": 1}'])
async def test_a_job_that_names_no_function_is_archived_and_does_not_stop_the_queue(pool: Pool, message: str) -> None:
    await pool.execute("SELECT pgmq.send('compilation_jobs', $1::jsonb)", message)
    function = await registration.register(pool, new())
    assert await compile_one(pool)
    assert await compile_one(pool)
    await apply_one(pool)
    assert await status(pool, function) is FunctionStatus.READY


@pytest.mark.parametrize("change", ["- 'source'", "|| '{\"source\": 1}'"])
async def test_a_malformed_job_fails_the_function_that_it_names(pool: Pool, change: str) -> None:
    function = await registration.register(pool, new())
    await pool.execute(f"UPDATE pgmq.q_compilation_jobs SET message = message {change}")
    with structlog.testing.capture_logs() as logs:
        assert await compile_one(pool)
    assert [entry["functionId"] for entry in logs if "messageId" in entry] == [function.id]
    await apply_one(pool)
    details = await catalog.get_function(pool, function.id)
    assert details.status is FunctionStatus.FAILED
    assert details.compile_error is not None
    assert "source" in details.compile_error
    assert await lengths(pool) == (0, 0)


FOREIGN = """
INSERT INTO functions (name, language, source, status) VALUES ('f', 'assemblyscript', 'its source', 'PENDING')
RETURNING id::text
"""


@pytest.mark.parametrize(
    "fields",
    [
        {"language": "assemblyscript"},
        {"language": "assemblyscript", "source": None},
        {"language": "assemblyscript", "source": 5},
        {"source": "its source"},
        {"language": ["assemblyscript"], "source": "its source"},
        {},
    ],
)
async def test_a_malformed_job_of_another_api_fails_the_function_that_it_names(
    pool: Pool, fields: dict[str, Any]
) -> None:
    function_id = FunctionId(await pool.fetchval(FOREIGN))
    await pool.execute(
        "SELECT pgmq.send('compilation_jobs', $1::jsonb)", json.dumps({"functionId": function_id, **fields})
    )
    assert await compile_one(pool) or await compilation.answer_unserved(pool, Language, visibility_s=30)
    await apply_one(pool)
    details = await catalog.get_function(pool, function_id)
    assert details.status is FunctionStatus.FAILED
    assert "the compilation job cannot be read" in (details.compile_error or "")
    assert await lengths(pool) == (0, 0)


async def test_a_malformed_job_beside_a_good_one_leaves_the_function_to_that(pool: Pool) -> None:
    function = await registration.register(pool, new())
    await pool.execute("SELECT pgmq.send('compilation_jobs', $1::jsonb)", json.dumps({"functionId": function.id}))
    assert await compile_one(pool)
    assert await compilation.answer_unserved(pool, Language, visibility_s=30)
    while await apply_one(pool):
        pass
    assert await status(pool, function) is FunctionStatus.READY


async def test_a_job_without_a_language_fails_the_function_that_it_names(pool: Pool) -> None:
    function = await registration.register(pool, new())
    await pool.execute("UPDATE pgmq.q_compilation_jobs SET message = message - 'language'")
    assert await compilation.answer_unserved(pool, Language, visibility_s=30)
    await apply_one(pool)
    assert await status(pool, function) is FunctionStatus.FAILED


@pytest.mark.parametrize("message", ["{}", '"text"', '{"functionId": "x", "success": true}', "[]", "null"])
async def test_a_result_that_names_no_function_is_archived_and_does_not_stop_the_queue(
    pool: Pool, message: str
) -> None:
    await pool.execute("SELECT pgmq.send('compilation_results', $1::jsonb)", message)
    assert await apply_one(pool) == results.Applied(None, None)
    assert await lengths(pool) == (0, 0)
    assert await pool.fetchval("SELECT count(*) FROM pgmq.a_compilation_results") == 1


UNUSABLE: list[dict[str, Any]] = [
    {"success": True},
    *({"success": True, "wasmBinary": text} for text in ("", "!!!", "AA")),
]


@pytest.mark.parametrize("fields", UNUSABLE)
async def test_a_result_without_a_module_is_logged_with_its_id_and_kept(pool: Pool, fields: dict[str, Any]) -> None:
    function = await registration.register(pool, new())
    message = json.dumps({"functionId": function.id, **fields})
    await pool.execute("SELECT pgmq.send('compilation_results', $1::jsonb)", message)
    with structlog.testing.capture_logs() as logs:
        assert await apply_one(pool) == results.Applied(function.id, FunctionStatus.FAILED)
    (warning,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert (warning["functionId"], warning["messageId"]) == (function.id, 1)
    assert "wasmBinary" in warning["reason"]
    assert await pool.fetchval("SELECT count(*) FROM pgmq.a_compilation_results") == 1


@pytest.mark.parametrize("fields", [{}, {"success": "yes"}, {"success": True, "wasmBinary": 7}, {"error": {}}])
@pytest.mark.parametrize("headers", [None, '{"revision": 1}'])
async def test_a_malformed_result_fails_the_function_that_it_names(
    pool: Pool, fields: dict[str, Any], headers: str | None
) -> None:
    function = await registration.register(pool, new())
    message = json.dumps({"functionId": function.id, **fields})
    await pool.execute("SELECT pgmq.send('compilation_results', $1::jsonb, $2::jsonb)", message, headers)
    with structlog.testing.capture_logs() as logs:
        assert await apply_one(pool) == results.Applied(function.id, FunctionStatus.FAILED)
    (warning,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert (warning["functionId"], warning["messageId"]) == (function.id, 1)
    details = await catalog.get_function(pool, function.id)
    assert (details.compile_error or "").startswith("the compiler's answer cannot be read: ")
    assert await pool.fetchval("SELECT count(*) FROM pgmq.a_compilation_results") == 1


async def test_base64_with_line_breaks_is_base64(pool: Pool) -> None:
    function = await registration.register(pool, new())
    wasm = WASM + bytes(range(200))
    await send_result(
        pool, function.id, success=True, wasm_binary=base64.encodebytes(wasm).decode().replace("\n", "\r\n")
    )
    assert await apply_one(pool) == results.Applied(function.id, FunctionStatus.READY)
    assert (await catalog.get_module(pool, function.id)).wasm == wasm


async def test_applying_a_result_twice_changes_nothing(pool: Pool) -> None:
    function = await registration.register(pool, new())
    await compile_one(pool)
    await pool.execute("SELECT pgmq.send('compilation_results', message, headers) FROM pgmq.q_compilation_results")
    await apply_one(pool)
    before = await catalog.get_function(pool, function.id)
    assert await apply_one(pool) == results.Applied(function.id, None)
    assert await catalog.get_function(pool, function.id) == before


async def send_result(pool: Pool, function_id: FunctionId, revision: int | None = None, **fields: Any) -> None:
    result = CompilationResult(function_id=function_id, **fields)
    async with pool.acquire() as conn:
        await queues.send(conn, RESULTS_QUEUE, result, MessageHeaders(revision=revision))


async def test_a_result_of_an_older_revision_is_dropped(pool: Pool) -> None:
    function = await registration.register(pool, new("old"))
    await registration.update(pool, function.id, new("new"))
    await send_result(pool, function.id, success=True, wasm_binary="AGFzbQEAAAA=", revision=1)
    assert await apply_one(pool) == results.Applied(function.id, None)
    assert await status(pool, function) is FunctionStatus.PENDING


async def test_a_result_without_a_revision_is_applied_while_one_is_awaited_and_dropped_after(pool: Pool) -> None:
    function = await registration.register(pool, new())
    await send_result(pool, function.id, success=True, wasm_binary="AGFzbQEAAAA=")
    assert await apply_one(pool) == results.Applied(function.id, FunctionStatus.READY)
    await send_result(pool, function.id, success=False, error="too late")
    assert await apply_one(pool) == results.Applied(function.id, None)
    assert await status(pool, function) is FunctionStatus.READY


@pytest.mark.parametrize("binary", [None, "", "not base64!"])
async def test_a_success_without_a_usable_binary_fails_the_function_and_says_so(pool: Pool, binary: str | None) -> None:
    function = await registration.register(pool, new())
    await send_result(pool, function.id, success=True, wasm_binary=binary, revision=1)
    await apply_one(pool)
    details = await catalog.get_function(pool, function.id)
    assert details.status is FunctionStatus.FAILED
    assert details.compile_error is not None
    assert "wasmBinary" in details.compile_error


async def test_a_failure_without_a_reason_still_keeps_the_invariant(pool: Pool) -> None:
    function = await registration.register(pool, new())
    await send_result(pool, function.id, success=False, revision=1)
    await apply_one(pool)
    assert (await catalog.get_function(pool, function.id)).compile_error == "the compiler gave no reason"


async def test_extra_fields_of_a_message_are_ignored(pool: Pool) -> None:
    function = await registration.register(pool, new())
    await pool.execute('UPDATE pgmq.q_compilation_jobs SET message = message || \'{"tint": "blue"}\'')
    await compile_one(pool)
    await pool.execute('UPDATE pgmq.q_compilation_results SET message = message || \'{"tint": "blue"}\'')
    await apply_one(pool)
    assert await status(pool, function) is FunctionStatus.READY


async def test_only_another_source_compiles_anew(pool: Pool) -> None:
    function = await registration.register(pool, new("good"))
    await compile_one(pool)
    await apply_one(pool)
    renamed = await registration.update(pool, function.id, new("good", name="other"))
    assert (renamed.name, renamed.status, renamed.revision) == ("other", FunctionStatus.READY, 1)
    assert await lengths(pool) == (0, 0)
    changed = await registration.update(pool, function.id, new("reject"))
    assert (changed.status, changed.revision) == (FunctionStatus.PENDING, 2)
    assert await pool.fetchval("SELECT wasm_binary IS NULL FROM functions") is True
    assert await lengths(pool) == (1, 0)


async def test_another_compiler_may_have_had_the_job_but_it_is_answered_once(pool: Pool) -> None:
    function = await registration.register(pool, new())

    async def another_compiler_takes_it_too() -> None:
        await reappear(pool, JOBS_QUEUE)
        assert await compile_one(pool)

    await compile_one(pool, FakeToolchain(during=another_compiler_takes_it_too))
    assert await lengths(pool) == (0, 1)
    await apply_one(pool)
    assert await status(pool, function) is FunctionStatus.READY


async def jobs_of(pool: Pool, function: Function) -> int:
    count: int = await pool.fetchval(
        "SELECT count(*) FROM pgmq.q_compilation_jobs WHERE message ->> 'functionId' = $1", function.id
    )
    return count


async def test_the_same_source_again_compiles_what_has_failed(pool: Pool) -> None:
    function = await registration.register(pool, new("reject"))
    await compile_one(pool)
    await apply_one(pool)
    again = await registration.update(pool, function.id, new("reject", name="other"))
    assert (again.name, again.status, again.compile_error) == ("other", FunctionStatus.PENDING, None)
    assert again.revision == 1, "it counts sources"
    await pool.execute("UPDATE pgmq.q_compilation_jobs SET message = jsonb_set(message, '{source}', '\"good\"')")
    await compile_one(pool)
    await apply_one(pool)
    assert await status(pool, function) is FunctionStatus.READY


@pytest.mark.parametrize("taken", [False, True])
async def test_the_same_source_again_compiles_what_has_lost_its_job(pool: Pool, taken: bool) -> None:
    function = await registration.register(pool, new("good"))
    if taken:
        await pool.execute("UPDATE functions SET status = 'COMPILING'")
    await pool.execute("SELECT pgmq.pop('compilation_jobs')")
    again = await registration.update(pool, function.id, new("good"))
    assert again.status is FunctionStatus.PENDING
    assert await jobs_of(pool, function) == 1
    await compile_one(pool)
    await apply_one(pool)
    assert await status(pool, function) is FunctionStatus.READY


async def test_the_same_source_again_adds_no_job_to_one_that_is_under_way(pool: Pool) -> None:
    function = await registration.register(pool, new("good"))
    await registration.update(pool, function.id, new("good"))
    assert await jobs_of(pool, function) == 1, "it waits"
    await compile_one(pool, FakeToolchain(during=lambda: registration.update(pool, function.id, new("good"))))
    await registration.update(pool, function.id, new("good"))
    assert await jobs_of(pool, function) == 0, "its result waits"
    await apply_one(pool)
    await registration.update(pool, function.id, new("good"))
    assert await jobs_of(pool, function) == 0, "it is READY"


async def test_archived_messages_are_removed_when_they_are_old(pool: Pool) -> None:
    for _ in range(2):
        await registration.register(pool, new())
        await compile_one(pool)
        await apply_one(pool)
        await pool.execute("UPDATE pgmq.a_compilation_jobs SET archived_at = archived_at - interval '6 days'")
    await pool.execute("SELECT pgmq.archive('compilation_results', pgmq.send('compilation_results', '{}'))")
    assert await retention.prune_archives(pool, timedelta(days=7)) == 1
    assert await pool.fetchval("SELECT count(*) FROM pgmq.a_compilation_jobs") == 1
    assert await pool.fetchval("SELECT count(*) FROM pgmq.a_compilation_results") == 1
