"""What /health says of the database's side, and of the compilers."""

from pathlib import Path

import pytest

from projectnil.domain.compilation import RESULTS_QUEUE
from projectnil.domain.functions import NewFunction
from projectnil.domain.ids import new_node_id
from projectnil.domain.languages import Language
from projectnil.domain.limits import Limits
from projectnil.flows import compilation, registration
from projectnil.flows.health import Health, PartStatus, check
from projectnil.flows.troubles import RECORDING, Troubles
from projectnil.postgres import compilations, nodes
from projectnil.postgres.connections import Pool
from projectnil.sandbox.pool import SandboxPool
from projectnil.workers.upkeep import probe_writing
from tests.support.fakes import FakeToolchain


async def health(pool: Pool, tmp_path: Path, troubles: Troubles | None = None) -> Health:
    sandbox = SandboxPool(Limits(), tmp_path, processes=1, max_processes=1, idle_s=60.0)
    return await check(pool, sandbox, troubles or Troubles())


async def test_results_that_are_not_applied_degrade_the_queues(pool: Pool, tmp_path: Path) -> None:
    await pool.execute("SELECT pgmq.send($1, '{}')", RESULTS_QUEUE)
    assert (await health(pool, tmp_path)).queues.status is PartStatus.UP
    await pool.execute("UPDATE pgmq.q_compilation_results SET enqueued_at = now() - interval '40 seconds'")
    found = (await health(pool, tmp_path)).queues
    assert found.status is PartStatus.DEGRADED
    assert found.detail == "the oldest of compilation_results has waited for 40 s: no api applies it"


async def test_a_write_that_works_ends_every_trouble(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectnil.workers.upkeep._PROBE_EVERY_S", 0)
    troubles = Troubles()
    troubles.failed(RECORDING, OSError("no room"))
    assert (await health(pool, tmp_path, troubles)).database.status is PartStatus.DOWN
    await probe_writing(pool, troubles)
    assert (await health(pool, tmp_path, troubles)).database.status is PartStatus.DEGRADED
    assert not troubles.is_any


async def test_a_database_that_became_read_only_is_found_out_by_the_probe(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectnil.workers.upkeep._PROBE_EVERY_S", 0)
    troubles = Troubles()
    troubles.failed("lease", OSError("no room"))
    await pool.execute("DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database()"
                       " || ' SET default_transaction_read_only = on'; END $$")  # fmt: skip
    await pool.expire_connections()
    with pytest.raises(Exception, match="read-only transaction"):
        await probe_writing(pool, troubles)
    assert troubles.is_any


def new(source: str) -> NewFunction:
    return NewFunction(name="f", description=None, language=Language.ASSEMBLYSCRIPT, source=source)


async def compile_one(pool: Pool) -> bool:
    return await compilation.compile_next(pool, FakeToolchain(), visibility_s=30, max_reads=3)


async def a_compiler_lives(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await nodes.renew_compiler(conn, new_node_id(), 60, ["assemblyscript"])


async def test_without_a_compiler_of_any_kind_the_part_is_down(pool: Pool, tmp_path: Path) -> None:
    await registration.register(pool, new("good"))
    found = (await health(pool, tmp_path)).compiler
    assert (found.status, found.detail) == (
        PartStatus.DOWN,
        "no compiler of the platform runs, and no other takes jobs; new sources wait until one does",
    )


async def test_another_compiler_is_seen_by_the_jobs_it_takes(pool: Pool, tmp_path: Path) -> None:
    for _ in range(2):
        await registration.register(pool, new("good"))
        await pool.execute("SELECT pgmq.archive('compilation_jobs', msg_id) FROM pgmq.read('compilation_jobs', 30, 1)")
        found = (await health(pool, tmp_path)).compiler
        assert (found.status, found.detail) == (PartStatus.UP, "another compiler takes the jobs")


async def test_another_compiler_that_was_not_seen_for_long_degrades_the_part(pool: Pool, tmp_path: Path) -> None:
    await registration.register(pool, new("good"))
    await pool.execute("SELECT pgmq.archive('compilation_jobs', msg_id) FROM pgmq.read('compilation_jobs', 30, 1)")
    seen = await pool.fetchval(
        "UPDATE compilations"
        " SET removed_at = date_trunc('day', now()) - interval '30 days 30 seconds', last_read_at = NULL"
        " RETURNING to_char(removed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"
    )
    found = (await health(pool, tmp_path)).compiler
    assert (found.status, found.detail) == (
        PartStatus.DEGRADED,
        f"another compiler takes the jobs; no compiler has been seen since {seen} UTC",
    )


async def test_the_platforms_own_compiler_that_is_gone_is_no_other(pool: Pool, tmp_path: Path) -> None:
    await registration.register(pool, new("good"))
    await compile_one(pool)
    assert (await health(pool, tmp_path)).compiler.status is PartStatus.DOWN


async def test_a_compiler_whose_queue_does_not_move_shows(pool: Pool, tmp_path: Path) -> None:
    await a_compiler_lives(pool)
    await registration.register(pool, new("good"))
    assert (await health(pool, tmp_path)).compiler.status is PartStatus.UP
    await pool.execute("UPDATE pgmq.q_compilation_jobs SET vt = now() - interval '40 seconds'")
    found = (await health(pool, tmp_path)).compiler
    assert found.status is PartStatus.DEGRADED
    assert found.detail == "serves assemblyscript; the first job in line has waited for 40 s, and none is taken"
    await registration.register(pool, new("good"))
    await compile_one(pool)
    await pool.execute("UPDATE pgmq.q_compilation_jobs SET vt = now() - interval '40 seconds'")
    assert (await health(pool, tmp_path)).compiler.status is PartStatus.UP, "one was taken just now"


@pytest.mark.parametrize(("lane", "moves_in"), [("is not known as slow", True), ("is known as slow", False)])
async def test_a_lane_that_does_not_move_shows_though_the_other_does(
    pool: Pool, tmp_path: Path, lane: str, moves_in: bool
) -> None:
    await a_compiler_lives(pool)
    await registration.register(pool, new("good"))
    await pool.execute("UPDATE compilation_turns SET slow = NOT $1", moves_in)
    await pool.execute("UPDATE pgmq.q_compilation_jobs SET vt = now() - interval '400 seconds'")
    await registration.register(pool, new("good"))
    await pool.execute("UPDATE compilations SET slow = $1, last_read_at = now() WHERE job_id = 2", moves_in)
    found = (await health(pool, tmp_path)).compiler
    assert found.status is PartStatus.DEGRADED
    assert found.detail == f"serves assemblyscript; the first job that {lane} has waited for 400 s, and none is taken"
    await pool.execute("UPDATE compilations SET slow = NOT $1, last_read_at = now() WHERE job_id = 1", moves_in)
    assert (await health(pool, tmp_path)).compiler.status is PartStatus.UP


async def test_another_compiler_that_takes_no_jobs_any_more_is_down(pool: Pool, tmp_path: Path) -> None:
    await registration.register(pool, new("good"))
    await pool.execute("SELECT pgmq.pop('compilation_jobs')")
    await registration.register(pool, new("good"))
    await pool.execute("UPDATE pgmq.q_compilation_jobs SET vt = now() - interval '1 hour'")
    assert (await health(pool, tmp_path)).compiler.status is PartStatus.UP
    await pool.execute("UPDATE compilations SET removed_at = removed_at - interval '40 seconds'")
    assert (await health(pool, tmp_path)).compiler.status is PartStatus.DOWN


async def test_what_the_platform_cannot_compile_shows_at_once(pool: Pool, tmp_path: Path) -> None:
    await a_compiler_lives(pool)
    await registration.register(pool, new("break"))
    await compile_one(pool)
    found = (await health(pool, tmp_path)).compiler
    assert found.status is PartStatus.DEGRADED
    assert (
        found.detail == "serves assemblyscript; the platform could not compile 1 job and tries again: the disk is full"
    )


async def test_without_queues_health_still_answers(pool: Pool, tmp_path: Path) -> None:
    await pool.execute("SELECT pgmq.drop_queue('compilation_jobs')")
    found = await health(pool, tmp_path)
    assert found.database.status is PartStatus.UP
    assert found.queues.status is PartStatus.DOWN
    assert found.compiler.status is PartStatus.DOWN


async def test_postponed_jobs_are_found_without_reading_the_others(pool: Pool) -> None:
    await pool.execute(
        "INSERT INTO pgmq.q_compilation_jobs (vt, message) SELECT now(), '{}' FROM generate_series(1, 2000);"
        "ANALYZE pgmq.q_compilation_jobs"
    )
    plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {compilations._ACTIVITY}", []))
    assert plan.count("postponed_compilation_jobs") == 2, plan
