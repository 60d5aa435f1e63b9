"""Connections to Postgres."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.errors import DATABASE_ERRORS

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

_CONNECT_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 1.0
STATEMENT_TIMEOUT_S = 30
_KEPT_S = 0.2

_SESSION = {"application_name": "projectnil", "timezone": "UTC"}
# The server ends a statement of a pool even if its client has gone away.
_POOL_SESSION = {**_SESSION, "statement_timeout": f"{STATEMENT_TIMEOUT_S}s"}
# For a transaction that can wait: while it waits for a lock, whatever comes after it waits too.
WAIT_LITTLE = "SET LOCAL lock_timeout = '500ms'"
# For statements whose plan is the same for all arguments. Left to itself, Postgres plans a statement again each time
# when it takes an array for longer than it is.
PLANNED_ONCE: Mapping[str, str] = {"plan_cache_mode": "force_generic_plan"}
# For pages of a large table: a plan for unknown arguments expects few rows, and would read all of them and sort. See
# docs/decisions/044-plans-of-pages.md.
PLANNED_IN_ORDER: Mapping[str, str] = {
    **PLANNED_ONCE,
    "enable_sort": "off",
    "enable_bitmapscan": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}


class _PooledConnection(asyncpg.Connection):
    """A connection that nothing of a session has to be cleaned from when it goes back to its pool.

    Nothing here outlasts a transaction, and cleaning up is a round trip for each use. A transaction that is
    left open is still rolled back.
    """

    def get_reset_query(self) -> str:
        return ""


async def connect(database_url: str) -> Connection:
    """One connection outside any pool. Raises PlatformUnavailable when there is no server to talk to."""
    try:
        return await asyncpg.connect(database_url, timeout=_CONNECT_TIMEOUT_S, server_settings=_SESSION)
    except (*DATABASE_ERRORS, ValueError) as error:
        raise PlatformUnavailable(f"cannot connect to Postgres: {error or type(error).__name__}") from error


async def open_pool(database_url: str, connections: int, planning: Mapping[str, str] | None = None) -> Pool:
    """A pool of at most `connections` connections, one of them open. Raises PlatformUnavailable.

    planning: settings of the server for its planner, such as PLANNED_ONCE.
    """
    try:
        return await asyncpg.create_pool(
            database_url,
            min_size=1,
            max_size=connections,
            timeout=_CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            connection_class=_PooledConnection,
            server_settings={**_POOL_SESSION, **(planning or {})},
        )
    except (*DATABASE_ERRORS, ValueError) as error:
        raise PlatformUnavailable(f"cannot connect to Postgres: {error or type(error).__name__}") from error


@asynccontextmanager
async def opened_pool(
    database_url: str, connections: int, planning: Mapping[str, str] | None = None
) -> AsyncIterator[Pool]:
    """As `open_pool`, closed when the block ends; connections that are still in use are not waited for long."""
    pool = await open_pool(database_url, connections, planning)
    try:
        yield pool
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(pool.close(), _CLOSE_TIMEOUT_S)


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """A connection inside a transaction: committed when the block ends, rolled back when it raises."""
    async with pool.acquire() as conn, conn.transaction():
        yield conn


class KeptConnections:
    """Connections of a pool that stay at hand between uses which follow each other closely.

    To take one from its pool and put it back costs as much as a small statement.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        # With the time each came back; the last to come is the first to go, so the longest unused are on the left.
        self._at_hand: deque[tuple[PoolConnectionProxy[asyncpg.Record], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._releases: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """As the pool's own; after an error the connection goes back to the pool, which looks after it."""
        conn = await self._take()
        try:
            yield conn
        except BaseException:
            await self._pool.release(conn)
            raise
        loop = asyncio.get_running_loop()
        self._at_hand.append((conn, loop.time()))
        if self._timer is None:
            self._timer = loop.call_later(_KEPT_S, self._release_unused)

    async def _take(self) -> "PoolConnectionProxy[asyncpg.Record]":
        while self._at_hand:
            conn, _ = self._at_hand.pop()
            if not conn.is_closed():
                return conn
            await self._pool.release(conn)
        return await self._pool.acquire()

    def _release_unused(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._at_hand and self._at_hand[0][1] <= loop.time() - _KEPT_S:
            conn, _ = self._at_hand.popleft()
            release = asyncio.ensure_future(self._pool.release(conn))
            self._releases.add(release)
            release.add_done_callback(self._releases.discard)
        if self._at_hand:
            self._timer = loop.call_at(self._at_hand[0][1] + _KEPT_S, self._release_unused)
