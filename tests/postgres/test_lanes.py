"""Whose job is compiled next, and in which lane."""

import asyncio
import itertools
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from projectnil.domain.compilation import JOBS_QUEUE
from projectnil.domain.functions import Compilation, Function, FunctionStatus, NewFunction
from projectnil.domain.languages import Language
from projectnil.flows import catalog, compilation, registration, results
from projectnil.flows.lanes import Lanes, Worker
from projectnil.postgres import compile_costs, queues, turns
from projectnil.postgres.connections import Connection, Pool, connect
from projectnil.postgres.migrations.changelog import read_changelog
from projectnil.postgres.migrations.runner import migrate
from tests.support.fakes import QUICK, SLOW, FakeToolchain
from tests.support.postgres import Cluster

SLOW_AFTER_S = 4.0
ROOT = Path(__file__).parents[2]


def new(source: str, name: str = "f") -> NewFunction:
    return NewFunction(name=name, description=None, language=Language.ASSEMBLYSCRIPT, source=source)


class Compiler:
    """A compiler service with a fake toolchain, one step at a time. processes: as many workers."""

    def __init__(self, pool: Pool, processes: int = 2) -> None:
        self.pool = pool
        self.lanes = Lanes(processes, SLOW_AFTER_S)
        self.workers = [Worker(self.lanes) for _ in range(processes)]
        self.toolchain = FakeToolchain()

    async def step(self, worker: int = 0, max_reads: int = 3) -> bool:
        return await compilation.compile_next(
            self.pool, self.toolchain, visibility_s=30, max_reads=max_reads, worker=self.workers[worker]
        )

    async def drain(self) -> list[str]:
        """Compile all there is; returns the sources in the order in which they were tried."""
        while await self.step():
            pass
        return self.toolchain.compiled


async def apply_all(pool: Pool) -> None:
    while await results.apply_next(pool, visibility_s=30):
        pass


async def status(pool: Pool, function: Function) -> FunctionStatus:
    return (await catalog.get_function(pool, function.id)).status


async def lane_is_slow(pool: Pool, function: Function) -> bool:
    slow: bool = await pool.fetchval("SELECT slow FROM compilation_turns WHERE function_id = $1", function.id)
    return slow


async def send_foreign(pool: Pool, function_id: str, source: str) -> None:
    job = {"functionId": function_id, "language": "assemblyscript", "source": source}
    await pool.execute("SELECT pgmq.send('compilation_jobs', $1::jsonb)", json.dumps(job))


async def test_one_functions_crowd_waits_for_itself(pool: Pool) -> None:
    crowd = str(uuid.uuid4())
    for number in range(30):
        await send_foreign(pool, crowd, f"crowd {number}")
    await registration.register(pool, new("other"))
    tried = await Compiler(pool).drain()
    assert tried.index("other") <= 1
    assert [source for source in tried if source != "other"] == [f"crowd {number}" for number in range(30)]


async def test_updates_of_one_function_keep_another_waiting_no_longer(pool: Pool) -> None:
    function = await registration.register(pool, new("first"))
    compiler = Compiler(pool)
    await compiler.step()
    for number in range(30):
        await registration.update(pool, function.id, new(f"update {number}"))
    await registration.register(pool, new("other"))
    assert (await compiler.drain())[1] == "other"


async def test_functions_that_have_used_nothing_lately_are_served_in_the_order_they_came(pool: Pool) -> None:
    sources = [f"source {number}" for number in range(10)]
    for source in sources:
        await registration.register(pool, new(source))
    assert await Compiler(pool).drain() == sources


async def test_a_function_that_was_compiled_a_lot_lately_lets_others_go_first(pool: Pool) -> None:
    busy = await registration.register(pool, new("busy"))
    compiler = Compiler(pool)
    await compiler.step()
    await apply_all(pool)
    await registration.update(pool, busy.id, new("busy again"))
    await registration.register(pool, new("other"))
    assert (await compiler.drain())[1:] == ["other", "busy again"]


async def test_another_compiler_reads_in_the_order_of_the_queue(pool: Pool) -> None:
    crowd = str(uuid.uuid4())
    for number in range(3):
        await send_foreign(pool, crowd, f"crowd {number}")
    await registration.register(pool, new("other"))
    read = await pool.fetch("SELECT message ->> 'source' FROM pgmq.read('compilation_jobs', 30, 10) ORDER BY msg_id")
    assert [row[0] for row in read] == ["crowd 0", "crowd 1", "crowd 2", "other"]
    await pool.execute("SELECT pgmq.set_vt('compilation_jobs', msg_id, 0) FROM pgmq.q_compilation_jobs")
    await pool.execute("SELECT pgmq.pop('compilation_jobs')")
    assert await pool.fetchval("SELECT count(*) FROM compilation_turns") == 3


async def test_a_source_too_slow_for_its_lane_is_put_aside_without_a_failure_or_a_try(pool: Pool) -> None:
    compiler = Compiler(pool)
    assert compiler.lanes.hold(), "the other process has a slow one"
    function = await registration.register(pool, new("slow"))
    assert await compiler.step()
    assert await status(pool, function) is FunctionStatus.COMPILING
    assert await lane_is_slow(pool, function)
    job = await pool.fetchrow("SELECT read_ct, vt <= clock_timestamp() AS is_there FROM pgmq.q_compilation_jobs")
    assert job is not None
    assert (job["read_ct"], job["is_there"]) == (0, True)
    assert not await compiler.step(), "it waits for the slow lane"
    compiler.lanes.free()
    assert await compiler.step()
    await apply_all(pool)
    assert await status(pool, function) is FunctionStatus.READY
    assert compiler.toolchain.compiled == ["slow", "slow"]


async def test_the_first_slow_one_goes_on_where_it_is_and_holds_the_slow_lane(pool: Pool) -> None:
    compiler = Compiler(pool)
    slow = await registration.register(pool, new("slow"))
    held: list[bool] = []
    compiler.toolchain.after_look = lambda: held.append(not compiler.lanes.hold())
    await compiler.step()
    assert held == [True]
    assert compiler.lanes.hold(), "it has left the lane"
    await apply_all(pool)
    assert await status(pool, slow) is FunctionStatus.READY


async def test_a_crowd_of_new_slow_functions_does_not_hold_up_who_comes_after_it(pool: Pool) -> None:
    compiler = Compiler(pool)
    compiler.lanes.hold()
    bombs = [await registration.register(pool, new(f"exceed {number}")) for number in range(20)]
    function = await registration.register(pool, new("good"))
    for _ in range(2):
        await compiler.step()
    await apply_all(pool)
    assert await status(pool, function) is FunctionStatus.READY
    assert compiler.toolchain.compiled == ["exceed 0", "good"]
    for _ in range(3):
        await compiler.step()
    assert compiler.toolchain.compiled[2:] == ["exceed 1", "exceed 19", "exceed 2"], "first in line, newest, first"
    assert {await status(pool, bomb) for bomb in bombs} == {FunctionStatus.PENDING, FunctionStatus.COMPILING}


async def test_a_source_known_as_slow_is_slow_under_a_new_id(pool: Pool) -> None:
    compiler = Compiler(pool)
    waiting = [await registration.register(pool, new("exceed")) for _ in range(3)]
    await compiler.step()
    assert [await lane_is_slow(pool, function) for function in waiting[1:]] == [True, True], "those that wait already"
    assert await lane_is_slow(pool, await registration.register(pool, new("exceed")))
    assert not await lane_is_slow(pool, await registration.register(pool, new("exceeds not")))


async def test_a_function_known_as_slow_is_slow_with_a_new_source_until_one_is_quick(pool: Pool) -> None:
    compiler = Compiler(pool)
    function = await registration.register(pool, new("exceed"))
    await compiler.step()
    await apply_all(pool)
    for source, was_slow in (("quick", True), ("quick too", False)):
        function = await registration.update(pool, function.id, new(source))
        assert await lane_is_slow(pool, function) is was_slow
        await compiler.step()
        await apply_all(pool)


async def test_a_source_that_was_slow_and_is_no_longer_is_forgotten(pool: Pool) -> None:
    await registration.register(pool, new("good"))
    await pool.execute("INSERT INTO slow_sources SELECT source_sha256 FROM compilation_turns")
    await Compiler(pool).step()
    assert not await lane_is_slow(pool, await registration.register(pool, new("good")))


async def test_one_process_is_left_to_what_is_not_slow(pool: Pool) -> None:
    compiler = Compiler(pool)
    compiling, proceed = asyncio.Event(), asyncio.Event()

    async def take_long() -> None:
        compiling.set()
        await proceed.wait()

    for number in range(2):
        await registration.register(pool, new(f"slow {number}"))
    await pool.execute("UPDATE compilation_turns SET slow = true")
    compiler.toolchain.during = take_long
    first = asyncio.create_task(compiler.step(0))
    await compiling.wait()
    compiler.toolchain.during = None
    assert not await compiler.step(1), "the other slow job waits"
    await registration.register(pool, new("good"))
    assert await compiler.step(1)
    proceed.set()
    await first
    assert compiler.toolchain.compiled == ["slow 0", "good"]
    assert await compiler.step(1)
    assert compiler.toolchain.compiled[2:] == ["slow 1"]


async def test_a_single_process_takes_turns_with_the_lanes(pool: Pool) -> None:
    compiler = Compiler(pool, processes=1)
    for number in range(3):
        await registration.register(pool, new(f"slow {number}"))
    await pool.execute("UPDATE compilation_turns SET slow = true")
    for number in range(3):
        await registration.register(pool, new(f"good {number}"))
    assert await compiler.drain() == ["slow 0", "good 0", "slow 1", "good 1", "slow 2", "good 2"]


async def test_a_crash_is_tried_once_more_in_the_slow_lane_and_then_it_is_the_sources_fault(pool: Pool) -> None:
    compiler = Compiler(pool)
    compiler.lanes.hold()
    function = await registration.register(pool, new("crash"))
    await registration.register(pool, new("good"))
    await compiler.drain()
    assert compiler.toolchain.compiled == ["crash", "good"], "its second try waits for the slow lane"
    compiler.lanes.free()
    await compiler.drain()
    assert compiler.toolchain.compiled == ["crash", "good", "crash"]
    await apply_all(pool)
    details = await catalog.get_function(pool, function.id)
    assert (details.status, details.compile_error) == (FunctionStatus.FAILED, "it crashed")


async def test_a_broken_limit_is_not_tried_again(pool: Pool) -> None:
    compiler = Compiler(pool)
    function = await registration.register(pool, new("exceed"))
    assert await compiler.drain() == ["exceed"]
    await apply_all(pool)
    assert await status(pool, function) is FunctionStatus.FAILED


async def test_a_job_whose_compiler_died_is_tried_again_in_the_slow_lane(pool: Pool) -> None:
    function = await registration.register(pool, new("good"))
    await pool.execute("SELECT pgmq.read('compilation_jobs', 0, 1)")
    compiler = Compiler(pool)
    compiler.lanes.hold()
    assert not await compiler.step()
    assert await lane_is_slow(pool, function)
    assert await pool.fetchval("SELECT read_ct FROM pgmq.q_compilation_jobs") == 1, "the try of who died counts"
    compiler.lanes.free()
    assert await compiler.drain() == ["good"]
    await apply_all(pool)
    assert not await lane_is_slow(pool, await registration.register(pool, new("good"))), "it was quick"


async def test_two_compiler_services_compile_each_job_once(pool: Pool) -> None:
    compilers = [Compiler(pool), Compiler(pool)]
    made = [await registration.register(pool, new(f"good {number}")) for number in range(20)]
    made += [await registration.register(pool, new(f"slow {number}")) for number in range(4)]

    async def run(compiler: Compiler, worker: int) -> None:
        while await compiler.step(worker):
            pass

    await asyncio.gather(*(run(compiler, worker) for compiler in compilers for worker in range(2)))
    await asyncio.gather(*(run(compiler, worker) for compiler in compilers for worker in range(2)))
    await apply_all(pool)
    assert {await status(pool, function) for function in made} == {FunctionStatus.READY}
    tried = [source for compiler in compilers for source in compiler.toolchain.compiled]
    assert sorted(set(tried)) == sorted(function.source for function in made)
    assert all(tried.count(source) == 1 for source in tried if "good" in source)


async def test_jobs_without_a_turn_get_one(pool: Pool) -> None:
    await registration.register(pool, new("good"))
    await pool.execute("DELETE FROM compilation_turns")
    assert await Compiler(pool).drain() == ["good"]


async def recreate_queue(pool: Pool) -> None:
    """Without the triggers, and counting from 1 again."""
    await pool.execute("SELECT pgmq.drop_queue('compilation_jobs')")
    await pool.execute("SELECT pgmq.create('compilation_jobs')")


async def test_jobs_of_a_queue_that_was_created_again_get_turns_of_their_own(pool: Pool) -> None:
    await send_foreign(pool, str(uuid.uuid4()), "of the old queue")
    await pool.execute("UPDATE compilation_turns SET language = 'cobol', slow = true")
    await recreate_queue(pool)
    functions = [await registration.register(pool, new(source)) for source in ("good", "better")]
    assert await pool.fetchval("SELECT count(*) FROM compilation_turns") == 1
    assert await Compiler(pool).drain() == ["good", "better"]
    await apply_all(pool)
    assert {await status(pool, function) for function in functions} == {FunctionStatus.READY}
    assert not await pool.fetchval("SELECT bool_or(slow) FROM compilation_turns")


async def test_a_compiler_drops_leftover_turns_and_sees_that_triggers_are_missing(pool: Pool) -> None:
    await send_foreign(pool, str(uuid.uuid4()), "good")
    async with pool.acquire() as conn:
        await turns.drop_leftover(conn)
        assert await conn.fetchval("SELECT count(*) FROM compilation_turns") == 1
        assert await turns.has_triggers(conn)
        await recreate_queue(pool)
        await turns.drop_leftover(conn)
        assert await conn.fetchval("SELECT count(*) FROM compilation_turns") == 0
        assert not await turns.has_triggers(conn)


async def until_one_waits(pool: Pool) -> None:
    """On a connection of its own: inside a transaction the server's view of the others stands still."""
    async with asyncio.timeout(60):
        while not await pool.fetchval(  # noqa: ASYNC110 # nothing tells us but the server
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.02)


async def test_two_jobs_of_one_function_do_not_wait_for_each_other(pool: Pool) -> None:
    function = await registration.register(pool, new("slow"))
    compiler = Compiler(pool)
    compiler.lanes.hold()
    first = await pool.fetchval("SELECT max(msg_id) FROM pgmq.q_compilation_jobs")
    await send_foreign(pool, function.id, "good")
    async with pool.acquire() as conn, conn.transaction():
        # What a compiler does that has the other job.
        await compile_costs.record(conn, function.id, 1, QUICK, is_slow=False)
        putting_aside = asyncio.create_task(compiler.step())
        await until_one_waits(pool)
        await queues.archive(conn, JOBS_QUEUE, first + 1)
    assert await putting_aside
    assert await lane_is_slow(pool, function)


async def test_a_transaction_that_ended_in_a_deadlock_is_done_again(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = await registration.register(pool, new("good"))
    record = compile_costs.record
    tries: list[None] = []

    async def deadlock_once(conn: Connection, *args: Any, **kwargs: Any) -> None:
        tries.append(None)
        if len(tries) == 1:
            await conn.execute("DO $$ BEGIN RAISE 'deadlock' USING ERRCODE = 'deadlock_detected'; END; $$")
        await record(conn, *args, **kwargs)

    monkeypatch.setattr(compile_costs, "record", deadlock_once)
    assert await Compiler(pool).drain() == ["good"]
    await apply_all(pool)
    assert await status(pool, function) is FunctionStatus.READY


async def test_what_a_function_cost_is_not_recorded_while_it_is_being_deleted(pool: Pool) -> None:
    function = await registration.register(pool, new("good"))

    async def record() -> None:
        async with pool.acquire() as conn:
            await compile_costs.record(conn, function.id, 1, QUICK, is_slow=True)

    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("DELETE FROM functions WHERE id = $1", function.id)
        recording = asyncio.create_task(record())
        await until_one_waits(pool)
    await recording
    assert await pool.fetchval("SELECT count(*) FROM compile_costs") == 0


async def test_a_late_try_of_an_older_revision_counts_into_the_totals_alone(pool: Pool) -> None:
    function = await registration.register(pool, new("old"))
    async with pool.acquire() as conn:
        await compile_costs.record(conn, function.id, 2, QUICK, is_slow=False)
        await compile_costs.record(conn, function.id, 1, SLOW, is_slow=True)
        row = await conn.fetchrow("SELECT revision, cpu_ms, is_slow, tries, total_cpu_ms FROM compile_costs")
        assert row is not None
        assert tuple(row) == (2, QUICK.cpu_ms, False, 2, QUICK.cpu_ms + SLOW.cpu_ms)
        await compile_costs.record(conn, function.id, 2, SLOW, is_slow=True)
        await compile_costs.record(conn, function.id, 2, QUICK, is_slow=None)
        row = await conn.fetchrow("SELECT revision, cpu_ms, is_slow FROM compile_costs")
        assert row is not None
        assert tuple(row) == (2, QUICK.cpu_ms, True), "None: as before"


async def test_a_compiler_killed_from_outside_makes_neither_its_source_nor_its_function_slow(pool: Pool) -> None:
    function = await registration.register(pool, new("lose"))
    compiler = Compiler(pool)
    await compiler.step()
    assert await lane_is_slow(pool, function), "this job alone"
    assert await pool.fetchval("SELECT count(*) FROM slow_sources") == 0
    assert not await lane_is_slow(pool, await registration.register(pool, new("lose")))
    assert not await pool.fetchval("SELECT is_slow FROM compile_costs WHERE function_id = $1", function.id)


async def test_a_crash_for_what_other_sources_left_is_not_held_against_this_one(pool: Pool) -> None:
    function = await registration.register(pool, new("cramped"))
    compiler = Compiler(pool)
    for _ in range(3):
        await compiler.step()
    assert await pool.fetchval("SELECT count(*) FROM slow_sources") == 0
    compiler.toolchain.has_room = True
    await compiler.step()
    await apply_all(pool)
    assert await status(pool, function) is FunctionStatus.READY
    assert compiler.toolchain.compiled == ["cramped"] * 4


async def test_a_source_whose_compiler_was_kept_from_running_is_not_known_as_slow(pool: Pool) -> None:
    compiler = Compiler(pool)
    compiler.lanes.hold()
    function = await registration.register(pool, new("starve"))
    await compiler.step()
    assert await lane_is_slow(pool, function), "it was stopped, for it held up others"
    assert await pool.fetchval("SELECT count(*) FROM slow_sources") == 0
    assert not await lane_is_slow(pool, await registration.register(pool, new("starve")))


async def test_when_a_slow_job_was_last_taken_is_found_without_reading_the_others(pool: Pool) -> None:
    function = await registration.register(pool, new("good"))
    await pool.execute(
        "INSERT INTO compilations (job_id, function_id, revision, last_read_at, removed_at)"
        " SELECT n, $1::uuid, 1, now(), now() FROM generate_series(1000, 11000) AS n",
        function.id,
    )
    await pool.execute("ANALYZE compilations")
    plan = json.loads(
        await pool.fetchval(
            "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)"
            " SELECT max(last_read_at), (SELECT max(removed_at) FROM compilations WHERE slow = true)"
            " FROM compilations WHERE slow = true"
        )
    )[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20, plan


async def test_a_queue_that_was_purged_leaves_no_turns(pool: Pool) -> None:
    await registration.register(pool, new("good"))
    await pool.execute("SELECT pgmq.purge_queue($1)", JOBS_QUEUE)
    assert await pool.fetchval("SELECT count(*) FROM compilation_turns") == 0


async def test_a_deleted_function_leaves_no_turns_and_no_costs(pool: Pool) -> None:
    function = await registration.register(pool, new("good"))
    await Compiler(pool).drain()
    await registration.update(pool, function.id, new("better"))
    await registration.delete(pool, function.id)
    assert await pool.fetchval("SELECT count(*) FROM compilation_turns") == 0
    assert await pool.fetchval("SELECT count(*) FROM compile_costs") == 0


@pytest.mark.parametrize("newest", [False, True])
async def test_the_next_of_ten_thousand_jobs_is_found_without_reading_the_others(pool: Pool, newest: bool) -> None:
    await pool.execute(
        "INSERT INTO pgmq.q_compilation_jobs (vt, message)"
        " SELECT now(), jsonb_build_object('functionId', CASE WHEN n % 2 = 0 THEN gen_random_uuid()"
        " ELSE '7d1f0c2e-3b44-4f6a-9a51-0d8c5a7e2b10' END, 'language', 'assemblyscript', 'source', n::text)"
        " FROM generate_series(1, 10000) AS n; ANALYZE"
    )
    statement = turns._TAKE_NEWEST if newest else turns._TAKE_FIRST
    async with pool.acquire() as conn, conn.transaction():
        explain = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {statement}"
        plan = json.loads(await conn.fetchval(explain, "assemblyscript", False, 30))[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 200, plan


async def test_a_thousand_jobs_of_a_source_found_slow_move_at_once(pool: Pool) -> None:
    for function_id in (str(uuid.uuid4()), str(uuid.uuid4())):
        for _ in range(3):
            await send_foreign(pool, function_id, "exceed")
    await Compiler(pool).step()
    rows = await pool.fetch("SELECT function_id, slow, turn_at FROM compilation_turns ORDER BY function_id, turn_at")
    assert all(row["slow"] for row in rows)
    apart = [
        (later["turn_at"] - row["turn_at"]).total_seconds()
        for row, later in itertools.pairwise(rows)
        if row["function_id"] == later["function_id"]
    ]
    assert min(apart) > 29, "as far apart as slow jobs take"


async def test_jobs_under_way_get_their_turns_when_the_schema_does(cluster: Cluster) -> None:
    changesets = [changeset for changeset in read_changelog() if changeset.id.startswith("007-")]
    async with cluster.database() as url:
        conn = await connect(url)
        try:
            for changeset in reversed(changesets):
                await conn.execute(changeset.rollback)
                await conn.execute("DELETE FROM databasechangelog WHERE id = $1", changeset.id)
            for number in range(3):
                job = {"functionId": str(uuid.uuid4()), "language": "assemblyscript", "source": f"s{number}"}
                await conn.execute("SELECT pgmq.send('compilation_jobs', $1::jsonb)", json.dumps(job))
            await conn.execute("SELECT pgmq.read('compilation_jobs', 30, 1)")
            assert await migrate(conn) == [changeset.id for changeset in changesets]
            order = await conn.fetch("SELECT job_id, slow FROM compilation_turns ORDER BY turn_at")
            assert [tuple(row) for row in order] == [(1, False), (2, False), (3, False)]
            message = await turns.take(conn, "assemblyscript", slow=False, newest=False, visibility_s=30)
            assert message is not None
            assert message.id == 2, "the first is in another compiler's hands"
            await queues.archive(conn, JOBS_QUEUE, 1)
            assert await conn.fetchval("SELECT count(*) FROM compilation_turns") == 2
        finally:
            await conn.close()


async def test_what_compiling_has_cost_is_counted_by_function(pool: Pool) -> None:
    compiler = Compiler(pool)
    compiler.lanes.hold()
    function = await registration.register(pool, new("slow"))
    assert (await catalog.get_function(pool, function.id)).compilation is None
    await compiler.step()
    compiler.lanes.free()
    await compiler.step()
    costs = (await catalog.get_function(pool, function.id)).compilation
    assert costs == Compilation(
        duration_ms=60_000,
        cpu_ms=60_000,
        peak_memory_bytes=700 * 1024 * 1024,
        tries=2,
        total_duration_ms=120_000,
        total_cpu_ms=120_000,
    )


async def test_another_compilers_module_has_no_figures(pool: Pool) -> None:
    function = await registration.register(pool, new("good"))
    await Compiler(pool).step()
    await apply_all(pool)
    await registration.update(pool, function.id, new("better"))
    await pool.execute("SELECT pgmq.archive('compilation_jobs', msg_id) FROM pgmq.read('compilation_jobs', 30, 1)")
    result = {"functionId": function.id, "success": True, "wasmBinary": "AA=="}
    await pool.execute("SELECT pgmq.send('compilation_results', $1::jsonb)", json.dumps(result))
    await apply_all(pool)
    details = await catalog.get_function(pool, function.id)
    assert (details.status, details.revision) == (FunctionStatus.READY, 2)
    assert details.compilation == Compilation(tries=1, total_duration_ms=400, total_cpu_ms=500)


async def analyze_while_empty(pool: Pool) -> None:
    """As autovacuum does with a queue that was used: the planner expects no job in it from then on."""
    await send_foreign(pool, str(uuid.uuid4()), "gone")
    await pool.execute("DELETE FROM pgmq.q_compilation_jobs")
    await pool.execute("ANALYZE pgmq.q_compilation_jobs, compilation_turns")


async def reads(conn: Connection | Pool) -> int:
    total: int = await conn.fetchval("SELECT sum(read_ct)::integer FROM pgmq.q_compilation_jobs")
    return total


@pytest.mark.parametrize("newest", [False, True])
async def test_one_job_is_taken_at_a_time_whatever_the_planner_expects(pool: Pool, newest: bool) -> None:
    await analyze_while_empty(pool)
    for number in range(8):
        await registration.register(pool, new(f"source {number}"))
    for taken in range(1, 4):
        async with pool.acquire() as conn:
            assert await turns.take(conn, "assemblyscript", slow=False, newest=newest, visibility_s=30)
        assert await reads(pool) == taken


async def test_one_job_in_an_unknown_language_is_read_at_a_time_whatever_the_planner_expects(pool: Pool) -> None:
    await analyze_while_empty(pool)
    for number in range(8):
        await send_foreign(pool, str(uuid.uuid4()), f"source {number}")
    async with pool.acquire() as conn:
        messages = await queues.read_jobs_in_other_languages(conn, ["cobol"], visibility_s=30, most=1)
    assert (len(messages), await reads(pool)) == (1, 1)


async def test_jobs_that_are_as_slow_keep_their_distances_whatever_the_planner_expects(pool: Pool) -> None:
    await analyze_while_empty(pool)
    function_id = str(uuid.uuid4())
    for number in range(4):
        await send_foreign(pool, function_id, f"source {number}")
    where = "FROM compilation_turns ORDER BY job_id"
    before = [row[0] for row in await pool.fetch(f"SELECT turn_at {where}")]
    async with pool.acquire() as conn:
        await turns.remember_slow(conn, await conn.fetchval("SELECT min(job_id) FROM compilation_turns"))
        after = await conn.fetch(f"SELECT turn_at, slow {where}")
    assert [row["slow"] for row in after] == [True] * 4
    assert [row["turn_at"] - before[0] for row in after] == [10 * (turn_at - before[0]) for turn_at in before]
