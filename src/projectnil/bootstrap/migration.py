"""Bringing a database up to date, and waiting for one that somebody else does that to."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.connections import Connection, connect
from projectnil.postgres.migrations.runner import migrate, pending_changesets

log = structlog.get_logger()

_POLL_S = 0.5


async def migrate_database(database_url: str, wait_s: float = 0.0) -> list[str]:
    """Apply what is missing; returns the ids of the changesets applied. Raises PlatformUnavailable.

    wait_s: how long the database may take to be there.
    """

    async def _is_there(conn: Connection) -> None:
        await conn.execute("SELECT 1")

    await _wait(database_url, wait_s, _is_there)
    conn = await connect(database_url)
    try:
        applied = await migrate(conn)
    finally:
        await conn.close()
    if applied:
        log.info("database.migrated", changesets=len(applied))
    return applied


async def wait_for_migrated(database_url: str, wait_s: float) -> None:
    """Return when the database is there and up to date, or after `wait_s`: whoever uses it says what is wrong then."""

    async def _is_up_to_date(conn: Connection) -> None:
        if await pending_changesets(conn):
            raise PlatformUnavailable("it is not migrated yet")

    await _wait(database_url, wait_s, _is_up_to_date)


async def _wait(database_url: str, wait_s: float, check: Callable[[Connection], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    told = False
    while loop.time() < deadline:
        try:
            conn = await connect(database_url)
            try:
                await check(conn)
            finally:
                await conn.close()
        except PlatformUnavailable as error:
            if not told:
                log.info("database.waiting", error=str(error), patienceS=wait_s)
            told = True
            await asyncio.sleep(_POLL_S)
        else:
            return
