"""Migrations of large tables, while functions are run and compiled: no writer waits for an index, or behind a lock."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from projectnil.domain.errors import PlatformUnavailable
from projectnil.flows import indexing, retention
from projectnil.postgres.connections import Connection, Pool, connect, opened_pool
from projectnil.postgres.errors import LOCK_TAKEN
from projectnil.postgres.migrations.changelog import read_changelog
from projectnil.postgres.migrations.runner import migrate
from projectnil.workers.upkeep import keep_indexes
from tests.support.postgres import Cluster, make_ready
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

INDEXES = ("executions_failed", "executions_failed_by_function", "executions_pending")
_WRITTEN_WITHIN_S = 60  # far longer than it takes


@pytest_asyncio.fixture(loop_scope="session")
async def old_url(cluster: Cluster) -> AsyncIterator[str]:
    """A database of the release before, with partitions."""
    async with cluster.database() as url:
        conn = await connect(url)
        await roll_back(conn, "projectnil/008-history.sql")
        await conn.close()
        yield url


async def roll_back(conn: Connection | Pool, file: str) -> None:
    for changeset in reversed(read_changelog()):
        if changeset.file == file:
            await conn.execute(changeset.rollback)
            await conn.execute("DELETE FROM databasechangelog WHERE id = $1", changeset.id)


@pytest_asyncio.fixture(loop_scope="session")
async def old(old_url: str) -> AsyncIterator[Pool]:
    async with opened_pool(old_url, 4) as pool:
        await make_ready(pool)
        yield pool


@asynccontextmanager
async def migrating(url: str) -> AsyncIterator["asyncio.Task[list[str]]"]:
    conn = await connect(url)
    task = asyncio.create_task(migrate(conn))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await conn.close()


@asynccontextmanager
async def reading(url: str, table: str) -> AsyncIterator[Connection]:
    """A report, or a dump: a transaction that has a snapshot, and has read the table."""
    conn = await connect(url)
    try:
        async with conn.transaction(isolation="repeatable_read"):
            await conn.fetch(f"SELECT FROM {table} LIMIT 1")
            yield conn
    finally:
        await conn.close()


async def seen(pool: Pool, query: str) -> None:
    """Until a statement with these words waits for a lock."""
    active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE $1 AND wait_event_type = 'Lock'"
    async with asyncio.timeout(60):
        while True:
            if await pool.fetchval(active, f"%{query}%"):
                return
            await asyncio.sleep(0.01)


async def execute_a_function(pool: Pool) -> None:
    async with asyncio.timeout(_WRITTEN_WITHIN_S):
        execution_id = await pool.fetchval("INSERT INTO executions (function_id) SELECT id FROM functions RETURNING id")
        await pool.execute(
            "UPDATE executions SET status = 'FAILED', error_message = 'it failed', started_at = now() WHERE id = $1",
            execution_id,
        )


async def compile_a_function(pool: Pool) -> None:
    async with asyncio.timeout(_WRITTEN_WITHIN_S):
        job = await pool.fetchval("SELECT pgmq.send('compilation_jobs', '{}')")
        await pool.fetchval("SELECT pgmq.archive('compilation_jobs', $1::bigint)", job)


async def invalid(pool: Pool) -> list[str]:
    """The indexes that queries cannot use."""
    return [row[0] for row in await pool.fetch("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")]


async def test_executions_go_on_while_a_migration_waits_for_a_reader_of_them(old: Pool, old_url: str) -> None:
    async with AsyncExitStack() as stack:
        async with reading(old_url, "executions"):
            migration = await stack.enter_async_context(migrating(old_url))
            await seen(old, "SELECT execute_between_others('ALTER TABLE executions")
            await execute_a_function(old)
        assert "008-execution-revision" in await migration


async def test_functions_are_changed_while_a_migration_waits_for_a_lock_on_them(old: Pool, old_url: str) -> None:
    await roll_back(old, "projectnil/007-turns.sql")
    await roll_back(old, "projectnil/006-compilations.sql")
    async with AsyncExitStack() as stack:
        async with reading(old_url, "functions") as other:
            await other.execute("UPDATE functions SET description = 'changed'")
            migration = await stack.enter_async_context(migrating(old_url))
            await seen(old, "CREATE TABLE compilations")
            async with asyncio.timeout(_WRITTEN_WITHIN_S):
                await old.execute("INSERT INTO functions (name, language, source) VALUES ('g', 'assemblyscript', 's')")
        assert "006-compilations" in await migration


async def test_compilations_go_on_while_an_index_of_their_archive_is_built(old: Pool, old_url: str) -> None:
    async with reading(old_url, "functions"), migrating(old_url) as migration:
        await seen(old, "CREATE INDEX CONCURRENTLY compilation_jobs_archive_by_function")
        await compile_a_function(old)
        await execute_a_function(old)
        assert not migration.done()


async def test_a_migration_that_was_cut_off_goes_on_from_there(old: Pool, old_url: str) -> None:
    async with reading(old_url, "functions"), migrating(old_url):
        await seen(old, "CREATE INDEX CONCURRENTLY compilation_jobs_archive_by_function")
    assert "pgmq.compilation_jobs_archive_by_function" in await invalid(old)
    async with migrating(old_url) as migration:
        assert await migration == ["008-archived-jobs-by-function", "008-archived-results-by-function"]
    assert "pgmq.compilation_jobs_archive_by_function" not in await invalid(old)


async def test_a_migration_gives_up_on_an_old_transaction_and_goes_on_once_it_is_over(
    old: Pool, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectnil.postgres.migrations.runner._LOCKS_PATIENCE_S", 0.5)
    async with reading(old_url, "functions"), migrating(old_url) as migration, asyncio.timeout(60):
        with pytest.raises(PlatformUnavailable, match=r"in use for too long by others.*lock timeout"):
            await migration
    monkeypatch.undo()
    async with migrating(old_url) as migration:
        assert await migration == ["008-archived-jobs-by-function", "008-archived-results-by-function"]


async def test_a_migration_that_gets_no_lock_on_executions_says_why(old: Pool, old_url: str) -> None:
    async with migrating(old_url) as migration:
        await migration
    await old.execute("DELETE FROM databasechangelog WHERE id = '008-pending-executions'")
    await old.execute("""
        CREATE OR REPLACE FUNCTION execute_between_others(statement text) RETURNS void LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'a table is in use' USING HINT = 'end the dump'; END; $$
    """)
    async with migrating(old_url) as migration:
        with pytest.raises(PlatformUnavailable, match=r"(?s)a table is in use.*end the dump"):
            await migration


async def test_a_migration_says_which_process_it_waits_for_and_gives_up_at_last(
    old: Pool, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectnil.postgres.migrations.runner._OTHERS_PATIENCE_S", 0.2)
    async with reading(old_url, "functions") as dump, migrating(old_url):
        await seen(old, "CREATE INDEX CONCURRENTLY")
        with capture_logs() as lines:
            async with migrating(old_url) as other, asyncio.timeout(60):
                with pytest.raises(PlatformUnavailable, match="another process has been migrating") as refusal:
                    await other
        pid = await dump.fetchval(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND query LIKE 'CREATE INDEX CONCURRENTLY%'"
        )
    assert f"pg_terminate_backend({pid})" in str(refusal.value)
    assert [(line["event"], line["pid"]) for line in lines] == [("migration.waiting", pid)]


async def test_executions_go_on_while_the_indexes_of_old_partitions_are_built(old: Pool, old_url: str) -> None:
    async with migrating(old_url) as migration:
        await migration
    await execute_a_function(old)
    assert sorted(await invalid(old)) == sorted(INDEXES)
    async with reading(old_url, "functions"):
        building = asyncio.create_task(indexing.build_missing(old, old_url))
        await seen(old, "CREATE INDEX CONCURRENTLY IF NOT EXISTS")
        await execute_a_function(old)
        assert not building.done()
        # Another api process leaves it alone.
        assert not await indexing.build_missing(old, old_url)
    assert await building
    assert await invalid(old) == []
    assert await parts(old) == {await number_of_partitions(old)}
    assert await used_index(old) > 0


async def parts(pool: Pool) -> set[int]:
    """How many partitions each of the indexes covers."""
    rows = await pool.fetch(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = ANY ($1::text[]::regclass[]) GROUP BY inhparent",
        list(INDEXES),
    )
    assert len(rows) == len(INDEXES)
    return {row[0] for row in rows}


async def number_of_partitions(pool: Pool) -> int:
    number: int = await pool.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'executions'::regclass")
    return number


async def used_index(pool: Pool) -> int:
    """How many rows are found by way of the index, and by no other."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        plan = await conn.fetchval(
            "EXPLAIN (FORMAT JSON) SELECT FROM executions WHERE error_message >= '' ORDER BY id DESC"
        )
        assert "_failed" in plan
        found: int = await conn.fetchval("SELECT count(*) FROM executions WHERE error_message >= ''")
        return found


async def test_an_index_of_a_partition_whose_build_was_cut_off_is_built_again(old: Pool, old_url: str) -> None:
    async with migrating(old_url) as migration:
        await migration
    async with reading(old_url, "functions"):
        building = asyncio.create_task(indexing.build_missing(old, old_url))
        await seen(old, "CREATE INDEX CONCURRENTLY IF NOT EXISTS")
        building.cancel()
        await asyncio.wait([building])
    assert len(await invalid(old)) == len(INDEXES) + 1
    assert await indexing.build_missing(old, old_url)
    assert await invalid(old) == []
    assert await parts(old) == {await number_of_partitions(old)}


async def test_an_index_that_cannot_be_built_leaves_nothing_and_is_tried_ever_more_rarely(
    old: Pool, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with migrating(old_url) as migration:
        await migration
    # Another failure than a full disk, at the same place: half of it is there.
    database = await old.fetchval("SELECT current_database()")
    await old.execute(f"ALTER DATABASE {database} SET lock_timeout = '50ms'")
    monkeypatch.setattr("projectnil.workers.upkeep._UNFINISHED_INDEXES_EVERY_S", 0.01)
    monkeypatch.setattr("projectnil.workers.upkeep._PARTITIONS_EVERY_S", 0.03)
    async with reading(old_url, "functions"):
        with capture_logs() as lines:
            keeping = asyncio.create_task(keep_indexes(old, old_url))
            await until("it has failed four times", lambda: len(postponements(lines)) >= 4)
            keeping.cancel()
            await asyncio.wait([keeping])
        with pytest.raises(indexing.IndexNotBuilt, match="lock timeout"):
            await indexing.build_missing(old, old_url)
        assert sorted(await invalid(old)) == sorted(INDEXES)
    assert postponements(lines)[:4] == [0.01, 0.02, 0.03, 0.03]
    assert await indexing.build_missing(old, old_url)


def postponements(lines: list[MutableMapping[str, Any]]) -> list[float]:
    return [line["againInS"] for line in lines if line["event"] == "index.postponed"]


async def test_a_partition_that_is_made_meanwhile_has_its_indexes(old: Pool, old_url: str) -> None:
    async with migrating(old_url) as migration:
        await migration
    await old.execute("SELECT ensure_execution_partitions(now(), now() + interval '6 weeks')")
    assert await indexing.build_missing(old, old_url)
    assert await invalid(old) == []
    assert await parts(old) == {await number_of_partitions(old)}


async def test_what_runs_outside_a_transaction_may_be_applied_twice(old: Pool, old_url: str) -> None:
    for _ in range(2):
        async with migrating(old_url) as migration:
            await migration
        for changeset in read_changelog():
            if not changeset.runs_in_transaction:
                await old.execute("DELETE FROM databasechangelog WHERE id = $1", changeset.id)
    async with migrating(old_url) as migration:
        assert await migration


async def test_a_lock_that_a_killed_migration_left_is_taken_over(old: Pool, old_url: str) -> None:
    conn = await connect(old_url)
    task = asyncio.create_task(migrate(conn))
    async with reading(old_url, "functions"):
        await seen(old, "CREATE INDEX CONCURRENTLY")
        conn.terminate()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await task
    assert await old.fetchval("SELECT lockedby FROM databasechangeloglock")
    async with migrating(old_url) as migration:
        assert await migration
    assert not await old.fetchval("SELECT locked FROM databasechangeloglock")


async def test_weeks_that_are_made_or_dropped_let_executions_pass_while_a_table_is_read(
    old: Pool, old_url: str
) -> None:
    week = await old.fetchval(
        "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'executions'::regclass"
    )
    await old.execute(f"DROP TABLE {week}")
    async with reading(old_url, "executions"):
        with pytest.raises(LOCK_TAKEN):
            await retention.ensure_partitions(old)
        await execute_a_function(old)
    assert await retention.ensure_partitions(old) == 1
