"""Is each part of the platform there?"""

import asyncio
from enum import StrEnum

import msgspec

from projectnil.domain.compilation import JOBS_QUEUE, RESULTS_QUEUE
from projectnil.postgres import nodes, queues
from projectnil.postgres.connections import Connection, Pool
from projectnil.postgres.errors import DATABASE_ERRORS
from projectnil.sandbox.pool import SandboxPool

_PATIENCE_S = 3.0


class PartStatus(StrEnum):
    UP = "UP"
    DOWN = "DOWN"


class PartHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part. detail: what a person should know; the counts are there where the part has them."""

    status: PartStatus
    detail: str = ""
    counts: dict[str, int] = {}


class Health(msgspec.Struct, frozen=True):
    """status is DOWN when functions cannot be run or stored. A missing compiler alone delays new sources only."""

    status: PartStatus
    database: PartHealth
    queues: PartHealth
    compiler: PartHealth
    sandbox: PartHealth


async def check(pool: Pool, sandbox: SandboxPool) -> Health:
    """Look at every part; takes at most a few seconds and never raises for one that is down."""
    sandbox_health = _sandbox(sandbox)
    try:
        async with asyncio.timeout(_PATIENCE_S), pool.acquire() as conn:
            database = PartHealth(PartStatus.UP, f"Postgres {await conn.fetchval('SHOW server_version')}")
            queues_health, compiler = await _queues(conn), await _compiler(conn)
    except (*DATABASE_ERRORS, TimeoutError) as error:
        database = PartHealth(PartStatus.DOWN, str(error) or "no answer")
        queues_health = compiler = PartHealth(PartStatus.DOWN, "the database is not available")
    needed = (database, queues_health, sandbox_health)
    status = PartStatus.UP if all(part.status is PartStatus.UP for part in needed) else PartStatus.DOWN
    return Health(status, database, queues_health, compiler, sandbox_health)


async def _queues(conn: Connection) -> PartHealth:
    names = [JOBS_QUEUE, RESULTS_QUEUE]
    missing = await queues.missing(conn, names)
    if missing:
        return PartHealth(PartStatus.DOWN, f"missing: {', '.join(missing)}; run 'pnil migrate'")
    return PartHealth(PartStatus.UP, counts={name: await queues.length(conn, name) for name in names})


async def _compiler(conn: Connection) -> PartHealth:
    languages = await nodes.compiler_languages(conn)
    if not languages:
        return PartHealth(PartStatus.DOWN, "no compiler is running; new sources wait until one does")
    return PartHealth(PartStatus.UP, f"serves {', '.join(languages)}")


def _sandbox(sandbox: SandboxPool) -> PartHealth:
    status = sandbox.status()
    counts = {
        "processes": status.processes,
        "busy": status.busy,
        "waiting": status.waiting,
        "max": status.max_processes,
    }
    return PartHealth(PartStatus.UP if status.available else PartStatus.DOWN, status.problem or "", counts)
