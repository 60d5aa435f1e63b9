"""Applies the changelog, and records it where Liquibase would, so that each recognises the other's work.

The record is Liquibase's own DATABASECHANGELOG table (columns as its 4.5 release makes them). A row without MD5SUM
is one that Liquibase accepts and completes with its checksum on its next run.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from itertools import groupby

import structlog

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.connections import WAIT_LITTLE, Connection
from projectnil.postgres.errors import LOCK_TAKEN, RAISED
from projectnil.postgres.migrations.changelog import Changeset, read_changelog

log = structlog.get_logger()

# Any constant will do; it names the right to change the schema of one database.
_MIGRATION_LOCK = 0x706E696C
_LIQUIBASE_PATIENCE_S = 60.0
_LIQUIBASE_POLL_S = 0.5
_POLL_S = 0.05
_OTHERS_PATIENCE_S = 600.0
_LOCKS_PATIENCE_S = 120.0
_LOCKS_POLL_S = 0.5
_WAIT_LONG = "SELECT set_config('lock_timeout', $1, false)"

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

# Who it is locked by says who we are. A lock of ours that is still there was left by a process that was killed, since
# only one of us comes here at a time.
_US = "pnil on "
_LOCK = f"""
UPDATE databasechangeloglock SET locked = true, lockgranted = now(), lockedby = $1
WHERE id = 1 AND (NOT locked OR lockedby LIKE '{_US}%') RETURNING id
"""
_UNLOCK = f"""
UPDATE databasechangeloglock SET locked = false, lockgranted = NULL, lockedby = NULL
WHERE id = 1 AND lockedby LIKE '{_US}%'
"""

_HOLDER = """
SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE locktype = 'advisory' AND granted AND datname = current_database() AND classid = 0 AND objid = $1::bigint::oid
"""

_RECORD = """
INSERT INTO databasechangelog
    (id, author, filename, dateexecuted, orderexecuted, exectype, description, comments, liquibase, deployment_id)
SELECT $1, $2, $3, clock_timestamp(), coalesce(max(orderexecuted), 0) + 1, 'EXECUTED', 'sql', '', 'pnil', $4
FROM databasechangelog
"""


async def migrate(conn: Connection) -> list[str]:
    """Bring the schema up to date; returns the ids of the changesets applied.

    What can run in a transaction is applied in one, all of it or nothing; what cannot follows step by step, and a
    migration that is cut off goes on from there. Safe to run from any number of processes at once: one does the work,
    the others wait and find it done. Raises PlatformUnavailable when transactions of others keep a lock for two
    minutes, Liquibase its own for a minute, or another process the right to migrate for ten.
    """
    if not await pending_changesets(conn):
        return []
    async with _sole_right(conn):
        pending = await _pending(conn)
        for runs_in_transaction, changesets in groupby(pending, lambda changeset: changeset.runs_in_transaction):
            if runs_in_transaction:
                await _apply_together(conn, list(changesets))
            else:
                for changeset in changesets:
                    await _apply_alone(conn, changeset)
    return [changeset.id for changeset in pending]


async def _apply_together(conn: Connection, changesets: Sequence[Changeset]) -> None:
    """All of them or nothing. A lock that others have is waited for a little, then they may pass, and so again."""
    deadline = asyncio.get_running_loop().time() + _LOCKS_PATIENCE_S
    while True:
        try:
            async with conn.transaction():
                await conn.execute(WAIT_LITTLE)
                for changeset in changesets:
                    await _apply(conn, changeset)
            return
        except LOCK_TAKEN as error:
            if asyncio.get_running_loop().time() > deadline:
                raise _in_use(error) from error
        await asyncio.sleep(_LOCKS_POLL_S)


async def _apply_alone(conn: Connection, changeset: Changeset) -> None:
    """Outside a transaction. A concurrent build waits for older transactions, and holds up no writer meanwhile."""
    await conn.execute(_WAIT_LONG, f"{int(_LOCKS_PATIENCE_S * 1000)}ms")
    try:
        await _apply(conn, changeset)
    except LOCK_TAKEN as error:
        raise _in_use(error) from error
    except RAISED as error:  # by execute_between_others, which says why, and what to do
        raise PlatformUnavailable(str(error)) from error
    finally:
        if not conn.is_closed():
            await conn.execute("RESET lock_timeout")


def _in_use(error: Exception) -> PlatformUnavailable:
    return PlatformUnavailable(
        f"a table is in use for too long by others: {error}; try again when their transactions are over"
    )


@asynccontextmanager
async def _sole_right(conn: Connection) -> AsyncIterator[None]:
    """Hold the right to change the schema, from other processes of ours and from Liquibase."""
    await _wait_for_others(conn)
    try:
        await conn.execute(_CREATE_RECORD)
        await _lock(conn)
        try:
            yield
        finally:
            await conn.execute(_UNLOCK)
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", _MIGRATION_LOCK)


async def _wait_for_others(conn: Connection) -> None:
    # A statement that waits has a snapshot, and CREATE INDEX CONCURRENTLY waits for every snapshot. So this polls.
    deadline = asyncio.get_running_loop().time() + _OTHERS_PATIENCE_S
    holder = None
    while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _MIGRATION_LOCK):
        if holder is None and (holder := await conn.fetchval(_HOLDER, _MIGRATION_LOCK)):
            log.info("migration.waiting", pid=holder, patienceS=_OTHERS_PATIENCE_S)
        if asyncio.get_running_loop().time() > deadline:
            holder = await conn.fetchval(_HOLDER, _MIGRATION_LOCK)
            raise PlatformUnavailable(
                f"another process has been migrating this database for too long: the server's process {holder}. Wait "
                f"until it is done, or, if its client is gone, end it: SELECT pg_terminate_backend({holder})"
            )
        await asyncio.sleep(_POLL_S)


async def _lock(conn: Connection) -> None:
    """Lock the schema as Liquibase does, which then waits. Raises PlatformUnavailable when it does not let go."""
    deadline = asyncio.get_running_loop().time() + _LIQUIBASE_PATIENCE_S
    while await conn.fetchval(_LOCK, f"{_US}{socket.gethostname()}") is None:
        if asyncio.get_running_loop().time() > deadline:
            holder = await conn.fetchval("SELECT lockedby FROM databasechangeloglock WHERE id = 1")
            raise PlatformUnavailable(
                f"Liquibase has locked the schema for {holder}; if it is not running any more, release its lock with "
                "'liquibase release-locks' or UPDATE databasechangeloglock SET locked = false"
            )
        await asyncio.sleep(_LIQUIBASE_POLL_S)


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
    # Statements that are sent together are a transaction.
    for statement in [changeset.sql] if changeset.runs_in_transaction else changeset.statements:
        await conn.execute(statement)
    deployment = str(await conn.fetchval("SELECT (extract(epoch FROM now()) * 1000)::bigint"))[-10:]
    await conn.execute(_RECORD, changeset.id, changeset.author, changeset.file, deployment)


async def _install_pgmq_sql_where_no_extension(conn: Connection) -> None:
    offered = await conn.fetchval("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgmq')")
    installed = await conn.fetchval("SELECT to_regclass('pgmq.meta') IS NOT NULL")
    if not offered and not installed:
        await conn.execute((resources.files("pgmq") / "sql" / "pgmq.sql").read_text())
