"""Any sequence of registering, updating, compiling, applying and redelivering keeps the invariants."""

import asyncio
import base64
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from projectnil.domain.compilation import RESULTS_QUEUE, CompilationResult, MessageHeaders
from projectnil.domain.errors import FunctionNotFound
from projectnil.domain.functions import FunctionStatus, NewFunction
from projectnil.domain.ids import FunctionId
from projectnil.domain.languages import Language
from projectnil.flows import compilation, registration, results
from projectnil.postgres import queues
from projectnil.postgres.connections import Pool, open_pool
from tests.support.fakes import WASM, FakeToolchain

Result = TypeVar("Result")

SOURCES = st.sampled_from(["good one", "good two", "reject this", "break this"])


class Life(RuleBasedStateMachine):
    """Functions, their two queues, and a compiler that accepts, rejects and breaks. `sources` is what must be true."""

    url: str
    functions = Bundle("functions")

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._pool: Pool = self._run(open_pool(self.url, 4))
        self._run(
            self._pool.execute(
                "TRUNCATE functions CASCADE; TRUNCATE pgmq.q_compilation_jobs; TRUNCATE pgmq.q_compilation_results"
            )
        )
        self.sources: dict[FunctionId, list[str]] = {}

    def teardown(self) -> None:
        self._run(self._pool.close())
        self._runner.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(work)

    @rule(target=functions, source=SOURCES)
    def register(self, source: str) -> FunctionId:
        function = self._run(registration.register(self._pool, _new(source)))
        self.sources[function.id] = [source]
        return function.id

    @rule(function_id=functions, source=SOURCES)
    def update(self, function_id: FunctionId, source: str) -> None:
        function = self._run(registration.update(self._pool, function_id, _new(source)))
        if source != self.sources[function_id][-1]:
            self.sources[function_id].append(source)
        assert function.revision == len(self.sources[function_id])

    @rule(function_id=consumes(functions))
    def delete(self, function_id: FunctionId) -> None:
        self._run(registration.delete(self._pool, function_id))
        del self.sources[function_id]

    @rule()
    def compile_one(self) -> None:
        self._run(compilation.compile_next(self._pool, FakeToolchain(), visibility_s=30, max_reads=3))

    @rule()
    def apply_one(self) -> None:
        self._run(results.apply_next(self._pool, visibility_s=30))

    @rule()
    def everything_hidden_reappears(self) -> None:
        for queue in ("compilation_jobs", "compilation_results"):
            self._run(self._pool.execute(f"UPDATE pgmq.q_{queue} SET vt = clock_timestamp()"))

    @rule()
    def results_are_delivered_twice(self) -> None:
        self._run(
            self._pool.execute(
                "SELECT pgmq.send('compilation_results', message, headers) FROM pgmq.q_compilation_results"
                " WHERE headers ? 'revision'"
            )
        )

    @rule(function_id=functions, revision=st.integers(1, 4), success=st.booleans())
    def another_compiler_answers(self, function_id: FunctionId, revision: int, success: bool) -> None:
        result = CompilationResult(
            function_id=function_id,
            success=success,
            wasm_binary="AGFzbQEAAAA=" if success else None,
            error=None if success else "foreign",
        )
        self._run(self._send(result, MessageHeaders(revision=revision)))

    async def _send(self, result: CompilationResult, headers: MessageHeaders) -> None:
        async with self._pool.acquire() as conn:
            await queues.send(conn, RESULTS_QUEUE, result, headers)

    @invariant()
    def a_row_is_always_one_of_the_specified_states_of_its_newest_source(self) -> None:
        rows = self._run(self._pool.fetch("SELECT *, id::text AS id_text FROM functions"))
        assert {row["id_text"] for row in rows} == set(self.sources)
        for row in rows:
            assert row["source"] == self.sources[row["id_text"]][-1]
            assert row["revision"] == len(self.sources[row["id_text"]])
            if row["status"] == FunctionStatus.READY:
                own, claimed = WASM + row["source"].encode(), WASM
                assert row["wasm_binary"] in (own, claimed)
                assert row["compile_error"] is None
            if row["status"] == FunctionStatus.FAILED:
                assert row["compile_error"]

    @invariant()
    def whoever_waits_has_a_message_under_way(self) -> None:
        waiting = self._run(self._pool.fetch(_WAITING_WITHOUT_MESSAGE))
        assert waiting == []


class ForeignCompilers(RuleBasedStateMachine):
    """One function and compilers that know no revisions: they take several jobs, answer in any order, or never."""

    url: str
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._pool: Pool = self._runner.run(open_pool(self.url, 2))
        self._run_sql("TRUNCATE functions, pgmq.q_compilation_jobs, pgmq.q_compilation_results CASCADE")
        self._source = 1
        self._id = self._runner.run(registration.register(self._pool, _new("source 1"))).id

    def teardown(self) -> None:
        self._runner.run(self._pool.close())
        self._runner.close()

    def _run_sql(self, sql: str, *arguments: object) -> list[Any]:
        return self._runner.run(self._pool.fetch(sql, *arguments))

    @rule()
    def update(self) -> None:
        self._source += 1
        self._runner.run(registration.update(self._pool, self._id, _new(f"source {self._source}")))

    @rule(target=held, pops=st.booleans())
    def read(self, pops: bool) -> MultipleResults[tuple[int, str]]:
        call = "pgmq.pop('compilation_jobs')" if pops else "pgmq.read('compilation_jobs', $1, 1)"
        rows = self._run_sql(f"SELECT msg_id, message FROM {call}", *(() if pops else (30,)))
        return multiple(*((row["msg_id"], json.loads(row["message"])["source"]) for row in rows))

    @rule(job=consumes(held), removes=st.booleans(), times=st.integers(1, 2))
    def answer(self, job: tuple[int, str], removes: bool, times: int) -> None:
        job_id, source = job
        wasm = base64.b64encode(WASM + source.encode()).decode()
        result = {"functionId": self._id, "success": True, "wasmBinary": wasm, "error": None}
        for _ in range(times):
            self._run_sql("SELECT pgmq.send('compilation_results', $1::jsonb)", json.dumps(result))
        if removes:
            self._run_sql("SELECT pgmq.archive('compilation_jobs', $1::bigint)", job_id)

    @rule()
    def hidden_jobs_reappear(self) -> None:
        self._run_sql("UPDATE pgmq.q_compilation_jobs SET vt = clock_timestamp()")

    @rule()
    def apply(self) -> None:
        # A result that waits for more to be known is looked at again at once.
        self._run_sql("UPDATE pgmq.q_compilation_results SET vt = clock_timestamp()")
        self._runner.run(results.apply_next(self._pool, visibility_s=30))

    @invariant()
    def a_ready_function_has_the_module_of_its_newest_source(self) -> None:
        [row] = self._run_sql("SELECT status, wasm_binary FROM functions WHERE id = $1", self._id)
        if row["status"] == FunctionStatus.READY:
            assert row["wasm_binary"] == WASM + f"source {self._source}".encode()


_WAITING_WITHOUT_MESSAGE = """
SELECT id, status FROM functions
WHERE status IN ('PENDING', 'COMPILING') AND NOT EXISTS (
    SELECT FROM (SELECT message, headers FROM pgmq.q_compilation_jobs
                 UNION ALL SELECT message, headers FROM pgmq.q_compilation_results) AS queued
    WHERE queued.message ->> 'functionId' = functions.id::text
      AND coalesce((queued.headers ->> 'revision')::integer, functions.revision) = functions.revision
)
"""


def _new(source: str) -> NewFunction:
    return NewFunction(name="f", description=None, language=Language.ASSEMBLYSCRIPT, source=source)


async def _run(machine: type[RuleBasedStateMachine], examples: int) -> None:
    bounded = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    # The machine drives an event loop of its own, so it needs a thread of its own.
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=bounded)


async def test_any_sequence_of_events_keeps_the_invariants(database_url: str) -> None:
    Life.url = database_url
    await _run(Life, 40)


async def test_no_compiler_without_revisions_makes_a_function_ready_with_another_source(database_url: str) -> None:
    ForeignCompilers.url = database_url
    await _run(ForeignCompilers, 25)


async def test_updating_a_deleted_function_is_an_error_and_queues_nothing(pool: Pool) -> None:
    function = await registration.register(pool, _new("good"))
    await registration.delete(pool, function.id)
    before = await pool.fetchval("SELECT count(*) FROM pgmq.q_compilation_jobs")
    try:
        await registration.update(pool, function.id, _new("better"))
    except FunctionNotFound:
        assert await pool.fetchval("SELECT count(*) FROM pgmq.q_compilation_jobs") == before
    else:
        raise AssertionError("no such function, and no error")
