"""Applies the changelog, and records it where Liquibase would, so that each recognises the other's work.

The record is Liquibase's own DATABASECHANGELOG table (columns as its 4.5 release makes them). A row without MD5SUM
is one that Liquibase accepts and completes with its checksum on its next run.
"""

import asyncio
from importlib import resources

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.connections import Connection
from projectnil.postgres.migrations.changelog import Changeset, read_changelog

# Any constant will do; it names the right to change the schema of one database.
_MIGRATION_LOCK = 0x706E696C
_LIQUIBASE_PATIENCE_S = 60.0
_LIQUIBASE_POLL_S = 0.5

_CREATE_RECORD = """
CREATE TABLE IF NOT EXISTS databasechangeloglock (
    id integer NOT NULL, locked boolean NOT NULL, lockgranted timestamp, lockedby varchar(255),
    CONSTRAINT databasechangeloglock_pkey PRIMARY KEY (id)
);
INSERT INTO databasechangeloglock (id, locked) VALUES (1, false) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS databasechangelog (
    id varchar(255) NOT NULL, author varchar(255) NOT NULL, filename varchar(255) NOT NULL,
    dateexecuted timestamp NOT NULL, orderexecuted integer NOT NULL, exectype varchar(10) NOT NULL,
    md5sum varchar(35), description varchar(255), comments varchar(255), tag varchar(255),
    liquibase varchar(20), contexts varchar(255), labels varchar(255), deployment_id varchar(10)
)
"""

_RECORD = """
INSERT INTO databasechangelog
    (id, author, filename, dateexecuted, orderexecuted, exectype, description, comments, liquibase, deployment_id)
SELECT $1, $2, $3, clock_timestamp(), coalesce(max(orderexecuted), 0) + 1, 'EXECUTED', 'sql', '', 'pnil', $4
FROM databasechangelog
"""


async def migrate(conn: Connection) -> list[str]:
    """Bring the schema up to date, all of it or nothing; returns the ids of the changesets applied.

    Safe to run from any number of processes at once: one does the work, the others wait and find it done. Raises
    PlatformUnavailable when Liquibase holds its lock for longer than a minute.
    """
    deadline = asyncio.get_running_loop().time() + _LIQUIBASE_PATIENCE_S
    while True:
        async with conn.transaction():
            holder = await _lock(conn)
            if holder is None:
                return await _apply_pending(conn)
        if asyncio.get_running_loop().time() > deadline:
            raise PlatformUnavailable(
                f"Liquibase has locked the schema for {holder}; if it is not running any more, release its lock with "
                "'liquibase release-locks' or UPDATE databasechangeloglock SET locked = false"
            )
        await asyncio.sleep(_LIQUIBASE_POLL_S)


async def _lock(conn: Connection) -> str | None:
    """Hold the right to change the schema until the transaction ends; or say who has locked it as Liquibase does."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
    await conn.execute(_CREATE_RECORD)
    # Liquibase takes its lock by an update of this row, committed before it begins.
    row = await conn.fetchrow("SELECT locked, lockedby FROM databasechangeloglock WHERE id = 1 FOR UPDATE")
    return (row["lockedby"] or "somebody") if row and row["locked"] else None


async def _apply_pending(conn: Connection) -> list[str]:
    pending = await _pending(conn)
    for changeset in pending:
        await _apply(conn, changeset)
    return [changeset.id for changeset in pending]


async def pending_changesets(conn: Connection) -> list[str]:
    """The ids of the changesets this release has and the database has not."""
    if await conn.fetchval("SELECT to_regclass('databasechangelog')") is None:
        return [changeset.id for changeset in read_changelog()]
    return [changeset.id for changeset in await _pending(conn)]


async def _pending(conn: Connection) -> list[Changeset]:
    rows = await conn.fetch("SELECT id, author, filename FROM databasechangelog")
    applied = {(row["id"], row["author"], row["filename"]) for row in rows}
    return [
        changeset for changeset in read_changelog() if (changeset.id, changeset.author, changeset.file) not in applied
    ]


async def _apply(conn: Connection, changeset: Changeset) -> None:
    if changeset.id == "004-pgmq":
        await _install_pgmq_sql_where_no_extension(conn)
    await conn.execute(changeset.sql)
    deployment = str(await conn.fetchval("SELECT (extract(epoch FROM now()) * 1000)::bigint"))[-10:]
    await conn.execute(_RECORD, changeset.id, changeset.author, changeset.file, deployment)


async def _install_pgmq_sql_where_no_extension(conn: Connection) -> None:
    offered = await conn.fetchval("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgmq')")
    installed = await conn.fetchval("SELECT to_regclass('pgmq.meta') IS NOT NULL")
    if not offered and not installed:
        await conn.execute((resources.files("pgmq") / "sql" / "pgmq.sql").read_text())
