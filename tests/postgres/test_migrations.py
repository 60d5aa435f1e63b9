"""Migrations: one truth, safe to apply from anywhere, recognised by Liquibase."""

import asyncio
import os
import subprocess

import asyncpg
import pytest

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.connections import Connection, connect
from projectnil.postgres.embedded import binaries
from projectnil.postgres.migrations import runner
from projectnil.postgres.migrations.changelog import read_changelog
from projectnil.postgres.migrations.runner import migrate, pending_changesets
from tests.support.postgres import Cluster

# Something to do, which may be done twice.
_FORGET = "DELETE FROM databasechangelog WHERE id = '008-pending-executions'"


async def _migrate(url: str) -> list[str]:
    conn = await connect(url)
    try:
        return await migrate(conn)
    finally:
        await conn.close()


def schema_of(url: str) -> str:
    """The schema as pg_dump tells it."""
    dump = [str(binaries() / "pg_dump"), "--schema-only", "--no-owner", url]
    told = subprocess.run(dump, capture_output=True, text=True, check=True, env={"PATH": os.defpath})
    # The dump guards itself with a random key.
    return "\n".join(line for line in told.stdout.splitlines() if "restrict" not in line)


async def test_ten_processes_starting_at_once_apply_every_changeset_exactly_once(cluster: Cluster) -> None:
    async with cluster.database("template0") as url:
        applied = await asyncio.gather(*(_migrate(url) for _ in range(10)))
        assert sorted(map(len, applied)) == [0] * 9 + [len(read_changelog())]
        assert await _migrate(url) == []


async def test_a_failing_changeset_leaves_nothing_behind(cluster: Cluster) -> None:
    async with cluster.database("template0") as url:
        conn = await connect(url)
        await conn.execute("CREATE TABLE nodes ()")  # in the way of the third file
        with pytest.raises(asyncpg.DuplicateTableError):
            await migrate(conn)
        assert await conn.fetchval("SELECT to_regclass('functions')") is None
        assert len(await pending_changesets(conn)) == len(read_changelog())
        await conn.close()


async def test_every_changeset_rolls_back_and_applies_again(cluster: Cluster) -> None:
    async with cluster.database("template0") as url:
        await _migrate(url)
        before = schema_of(url)
        conn = await connect(url)
        for changeset in reversed(read_changelog()):
            if changeset.rollback:
                await conn.execute(changeset.rollback)
            await conn.execute("DELETE FROM databasechangelog WHERE id = $1", changeset.id)
        assert await conn.fetchval("SELECT to_regclass('executions')") is None
        assert len(await migrate(conn)) == len(read_changelog())
        await conn.close()
        assert schema_of(url) == before


async def test_a_database_that_liquibase_migrated_is_recognised(cluster: Cluster) -> None:
    async with cluster.database() as url:
        conn = await connect(url)
        # As Liquibase leaves it: with checksums and its own version in the record.
        await conn.execute("UPDATE databasechangelog SET md5sum = '8:' || md5(id), liquibase = '4.5.0'")
        assert await migrate(conn) == []
        await conn.close()


async def test_migration_waits_while_liquibase_holds_its_lock(cluster: Cluster) -> None:
    async with cluster.database() as url:
        liquibase = await connect(url)
        await liquibase.execute("UPDATE databasechangeloglock SET locked = true, lockedby = 'ci-host' WHERE id = 1")
        await liquibase.execute(_FORGET)
        waiting = asyncio.create_task(_migrate(url))
        await _until_it_has_looked(liquibase, times=2)
        assert not waiting.done()
        await liquibase.execute("UPDATE databasechangeloglock SET locked = false, lockedby = NULL WHERE id = 1")
        assert await waiting == ["008-pending-executions"]
        await liquibase.close()


async def _until_it_has_looked(conn: Connection, times: int) -> None:
    """At Liquibase's lock, which then was held."""
    looks: set[object] = set()
    async with asyncio.timeout(60):
        while len(looks) < times:
            looks |= {
                row["query_start"]
                for row in await conn.fetch(
                    "SELECT query_start FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    " AND datname = current_database() AND query LIKE '%databasechangeloglock SET%' AND state = 'idle'"
                )
            }
            await asyncio.sleep(0.05)


async def test_a_lock_that_liquibase_left_behind_is_an_error_that_names_its_holder(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_LIQUIBASE_PATIENCE_S", 0.1)
    async with cluster.database() as url:
        liquibase = await connect(url)
        await liquibase.execute("UPDATE databasechangeloglock SET locked = true, lockedby = 'ci-host' WHERE id = 1")
        await liquibase.execute(_FORGET)
        with pytest.raises(PlatformUnavailable, match="locked the schema for ci-host"):
            await _migrate(url)
        await liquibase.close()
