"""A real Postgres for tests: one server a session, one database a test, cloned from a migrated template."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from projectnil.domain.ids import FunctionId
from projectnil.postgres.connections import Pool, connect
from projectnil.postgres.embedded import EmbeddedPostgres
from projectnil.postgres.migrations.runner import migrate

_numbers = itertools.count()


class Cluster:
    """A server with a template database that has this release's schema."""

    def __init__(self, embedded: EmbeddedPostgres) -> None:
        self._embedded = embedded

    def url(self, database: str) -> str:
        return self._embedded.url.replace("/projectnil?", f"/{database}?")

    async def prepare_template(self) -> None:
        conn = await connect(self._embedded.url)
        await migrate(conn)
        await conn.execute("SELECT ensure_execution_partitions(now(), now() + interval '4 weeks')")
        await conn.close()

    @asynccontextmanager
    async def database(self, template: str = "projectnil") -> AsyncIterator[str]:
        """The URL of a database of one's own."""
        name = f"test_{next(_numbers)}"
        admin = await connect(self.url("postgres"))
        try:
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
            yield self.url(name)
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await admin.close()


@asynccontextmanager
async def running_cluster(data_dir: Path) -> AsyncIterator[Cluster]:
    """A fresh server in `data_dir`, stopped when the block ends."""
    data_dir.mkdir(parents=True, exist_ok=True)
    embedded = EmbeddedPostgres(data_dir)
    try:
        await embedded.start()
        cluster = Cluster(embedded)
        await cluster.prepare_template()
        yield cluster
    finally:
        await embedded.stop()


async def until_waiting(pool: Pool, statement: str, count: int = 1) -> list[int]:
    """So many statements that contain a text wait for a lock; returns the ids of their server processes."""
    for _ in range(3000):
        waiting = await pool.fetch(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1"
            " AND datname = current_database()",
            f"%{statement}%",
        )
        if len(waiting) >= count:
            return [row["pid"] for row in waiting]
        await asyncio.sleep(0.02)
    raise AssertionError(f"not {count} of {statement!r} wait for a lock")


async def make_ready(pool: Pool) -> FunctionId:
    """A function that is READY, of a module that is none."""
    function_id: FunctionId = await pool.fetchval(
        "INSERT INTO functions (name, language, source, status, wasm_binary)"
        " VALUES ('f', 'assemblyscript', 's', 'READY', '\\x00') RETURNING id::text"
    )
    return function_id
