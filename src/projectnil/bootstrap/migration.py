"""Bringing a database up to date, and waiting for one that somebody else does that to."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.connections import connect
from projectnil.postgres.migrations.runner import migrate, pending_changesets

log = structlog.get_logger()

_POLL_S = 0.5

_Found = TypeVar("_Found")


async def migrate_database(database_url: str, wait_s: float = 0.0) -> list[str]:
    """Apply what is missing; returns the ids of the changesets applied. Raises PlatformUnavailable.

    wait_s: how long the database may take to be there.
    """
    conn = await _patiently(lambda: connect(database_url), wait_s)
    try:
        applied = await migrate(conn)
    finally:
        await conn.close()
    if applied:
        log.info("database.migrated", changesets=len(applied))
    return applied


async def wait_for_migrated(database_url: str, wait_s: float) -> None:
    """Return when the database is there and up to date, or after `wait_s`: whoever uses it says what is wrong then."""
    if wait_s > 0:
        with contextlib.suppress(PlatformUnavailable):
            await _patiently(lambda: _check_migrated(database_url), wait_s)


async def _check_migrated(database_url: str) -> None:
    conn = await connect(database_url)
    try:
        if await pending_changesets(conn):
            raise PlatformUnavailable("it is not migrated yet")
    finally:
        await conn.close()


async def _patiently(attempt: Callable[[], Awaitable[_Found]], wait_s: float) -> _Found:
    """Try until it succeeds; after `wait_s` raise the last PlatformUnavailable."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    told = False
    while True:
        try:
            return await attempt()
        except PlatformUnavailable as error:
            if loop.time() >= deadline:
                raise
            if not told:
                log.info("database.waiting", error=str(error), patienceS=wait_s)
            told = True
        await asyncio.sleep(_POLL_S)
