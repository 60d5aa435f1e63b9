"""Bringing a database up to date, and waiting until another process has done so."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.connections import Connection, connect
from projectnil.postgres.errors import CONNECTION_ERRORS
from projectnil.postgres.migrations.runner import migrate, pending_changesets

log = structlog.get_logger()

_POLL_S = 0.5

_Found = TypeVar("_Found")


async def migrate_database(database_url: str, wait_s: float = 0.0) -> list[str]:
    """Apply what is missing; returns the ids of the changesets applied. Raises PlatformUnavailable.

    wait_s: how long the database may take to be there.
    """
    applied = await _patiently(lambda: _with_connection(database_url, migrate), wait_s)
    if applied:
        log.info("database.migrated", changesets=len(applied))
    return applied


async def wait_for_migrated(database_url: str, wait_s: float) -> None:
    """Return when the database is there and up to date, or after `wait_s`: its first use says what is wrong then."""
    if wait_s > 0:
        with contextlib.suppress(PlatformUnavailable):
            await _patiently(lambda: _check_migrated(database_url), wait_s)


async def _check_migrated(database_url: str) -> None:
    if await _with_connection(database_url, pending_changesets):
        raise PlatformUnavailable("it is not migrated yet")


async def _with_connection(database_url: str, work: Callable[[Connection], Awaitable[_Found]]) -> _Found:
    """Raises PlatformUnavailable also when the connection is lost meanwhile, which is safe to be tried again."""
    conn = await connect(database_url)
    try:
        return await work(conn)
    except CONNECTION_ERRORS as error:
        raise PlatformUnavailable(f"Postgres went away: {error or type(error).__name__}") from error
    finally:
        await conn.close()


async def _patiently(attempt: Callable[[], Awaitable[_Found]], wait_s: float) -> _Found:
    """Try until it succeeds; after `wait_s` raise the last PlatformUnavailable."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    told = ""
    while True:
        try:
            return await attempt()
        except PlatformUnavailable as error:
            if loop.time() >= deadline:
                raise
            if str(error) != told:
                told = str(error)
                log.info("database.waiting", error=told, patienceS=wait_s)
        await asyncio.sleep(_POLL_S)
