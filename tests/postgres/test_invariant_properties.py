"""Any sequence of registering, updating, compiling, applying and redelivering keeps the invariants."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from projectnil.domain.compilation import RESULTS_QUEUE, CompilationResult
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
REVISIONS = st.one_of(st.none(), st.integers(1, 4))


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
            self._pool.execute("SELECT pgmq.send('compilation_results', message) FROM pgmq.q_compilation_results")
        )

    @rule(function_id=functions, revision=REVISIONS, success=st.booleans())
    def another_compiler_answers(self, function_id: FunctionId, revision: int | None, success: bool) -> None:
        result = CompilationResult(
            function_id=function_id,
            success=success,
            wasm_binary="AGFzbQEAAAA=" if success else None,
            error=None if success else "foreign",
            revision=revision,
        )
        self._run(self._send(result))

    async def _send(self, result: CompilationResult) -> None:
        async with self._pool.acquire() as conn:
            await queues.send(conn, RESULTS_QUEUE, result)

    @invariant()
    def a_row_is_always_one_of_the_specified_states_of_its_newest_source(self) -> None:
        rows = self._run(self._pool.fetch("SELECT *, id::text AS id_text FROM functions"))
        assert {row["id_text"] for row in rows} == set(self.sources)
        for row in rows:
            assert row["source"] == self.sources[row["id_text"]][-1]
            assert row["revision"] == len(self.sources[row["id_text"]])
            if row["status"] == FunctionStatus.READY:
                own, foreign = WASM + row["source"].encode(), WASM
                assert row["wasm_binary"] in (own, foreign)
                assert row["compile_error"] is None
            if row["status"] == FunctionStatus.FAILED:
                assert row["compile_error"]

    @invariant()
    def whoever_waits_has_a_message_under_way(self) -> None:
        waiting = self._run(self._pool.fetch(_WAITING_WITHOUT_MESSAGE))
        assert waiting == []


_WAITING_WITHOUT_MESSAGE = """
SELECT id, status FROM functions
WHERE status IN ('PENDING', 'COMPILING') AND NOT EXISTS (
    SELECT FROM (SELECT message FROM pgmq.q_compilation_jobs
                 UNION ALL SELECT message FROM pgmq.q_compilation_results) AS queued
    WHERE queued.message ->> 'functionId' = functions.id::text
      AND (queued.message ->> 'revision')::integer = functions.revision
)
"""


def _new(source: str) -> NewFunction:
    return NewFunction(name="f", description=None, language=Language.ASSEMBLYSCRIPT, source=source)


async def test_any_sequence_of_events_keeps_the_invariants(database_url: str) -> None:
    Life.url = database_url
    bounded = settings(
        max_examples=40,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    # The machine drives an event loop of its own, so it needs a thread of its own.
    await asyncio.to_thread(run_state_machine_as_test, Life, settings=bounded)


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
