"""Does each part of the platform do its work? If not, why?"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from projectnil.domain.compilation import JOBS_QUEUE, RESULTS_QUEUE
from projectnil.flows.troubles import RECORDING, Troubles
from projectnil.postgres import compilations, nodes, queues
from projectnil.postgres.connections import Connection, Pool
from projectnil.postgres.errors import DATABASE_ERRORS
from projectnil.sandbox.pool import SandboxPool

_PATIENCE_S = 3.0
# A result is applied within milliseconds, and an api that died with one gives it back within seconds.
_STUCK_AFTER_S = 30.0
# A compiler that is not the platform's shows by nothing but the jobs that it takes.
_UNSEEN_AFTER_S = 600.0


class PartStatus(StrEnum):
    """DEGRADED: it works for most, or did not a moment ago."""

    UP = "UP"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"


class PartHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part. detail: what a person should know; the counts are there where the part has them."""

    status: PartStatus
    detail: str = ""
    counts: dict[str, int] = {}


class Health(msgspec.Struct, frozen=True):
    """status is DOWN when functions cannot be run, and DEGRADED when anything else is not UP."""

    status: PartStatus
    database: PartHealth
    queues: PartHealth
    compiler: PartHealth
    sandbox: PartHealth


async def check(pool: Pool, sandbox: SandboxPool, troubles: Troubles) -> Health:
    """Look at every part; takes at most a few seconds and never raises for one that is down."""
    sandbox_health = _sandbox(sandbox)
    try:
        async with asyncio.timeout(_PATIENCE_S), pool.acquire() as conn:
            database = _database(await conn.fetchval("SHOW server_version"), troubles)
            queues_health = await _queues(conn)
            compiler = await _compiler(conn, queues_health)
    except (*DATABASE_ERRORS, TimeoutError) as error:
        database = PartHealth(PartStatus.DOWN, str(error) or "no answer")
        queues_health = compiler = PartHealth(PartStatus.DOWN, "the database is not available")
    status = _whole(needed=(database, queues_health, sandbox_health), others=(compiler,))
    return Health(status, database, queues_health, compiler, sandbox_health)


def _whole(needed: Iterable[PartHealth], others: Iterable[PartHealth]) -> PartStatus:
    """needed: without which nothing can be run."""
    if any(part.status is PartStatus.DOWN for part in needed):
        return PartStatus.DOWN
    if all(part.status is PartStatus.UP for part in (*needed, *others)):
        return PartStatus.UP
    return PartStatus.DEGRADED


def _database(version: str, troubles: Troubles) -> PartHealth:
    found = troubles.recent()
    detail = "; ".join([f"Postgres {version}", *map(troubles.tell, found)])
    if not found:
        return PartHealth(PartStatus.UP, detail)
    cannot_record = any(trouble.work == RECORDING and not trouble.is_over for trouble in found)
    return PartHealth(PartStatus.DOWN if cannot_record else PartStatus.DEGRADED, detail)


async def _queues(conn: Connection) -> PartHealth:
    names = [JOBS_QUEUE, RESULTS_QUEUE]
    missing = await queues.missing(conn, names)
    if missing:
        return PartHealth(PartStatus.DOWN, f"missing: {', '.join(missing)}; run 'pnil migrate'")
    counts = {name: await queues.length(conn, name) for name in names}
    oldest_s = await queues.age_s(conn, RESULTS_QUEUE)
    if oldest_s > _STUCK_AFTER_S:
        problem = f"the oldest of {RESULTS_QUEUE} has waited for {oldest_s:.0f} s: no api applies it"
        return PartHealth(PartStatus.DEGRADED, problem, counts)
    return PartHealth(PartStatus.UP, counts=counts)


async def _compiler(conn: Connection, queues_health: PartHealth) -> PartHealth:
    if queues_health.status is PartStatus.DOWN:
        return PartHealth(PartStatus.DOWN, "there is no queue to take jobs from")
    languages = await nodes.compiler_languages(conn)
    activity = await compilations.activity(conn, languages)
    problems = []
    if activity.is_stuck:
        problems.append(f"the first job in line has waited for {activity.waits_s:.0f} s, and none is taken")
    else:
        problems.extend(f"{lane}, and none is taken" for lane in activity.stuck_lanes)
    if activity.postponed:
        jobs = "1 job" if activity.postponed == 1 else f"{activity.postponed} jobs"
        problems.append(f"the platform could not compile {jobs} and tries again: {activity.postponed_because}")
    if not languages and activity.idle_s is not None and activity.idle_s > _UNSEEN_AFTER_S:
        seen = datetime.now(UTC) - timedelta(seconds=activity.idle_s)
        problems.append(f"no compiler has been seen since {seen:%Y-%m-%d %H:%M} UTC")
    # Another compiler holds no lease: it is known by the jobs that it takes.
    if not languages and (not activity.is_foreign or activity.is_stuck):
        nothing = "no compiler of the platform runs, and no other takes jobs; new sources wait until one does"
        return PartHealth(PartStatus.DOWN, "; ".join([nothing, *problems]))
    serves = f"serves {', '.join(languages)}" if languages else "another compiler takes the jobs"
    return PartHealth(PartStatus.DEGRADED if problems else PartStatus.UP, "; ".join([serves, *problems]))


def _sandbox(sandbox: SandboxPool) -> PartHealth:
    status = sandbox.status()
    counts = {
        "processes": status.processes,
        "busy": status.busy,
        "waiting": status.waiting,
        "max": status.max_processes,
    }
    if not status.available:
        return PartHealth(PartStatus.DOWN, status.problem or "there is no sandbox process", counts)
    problems = [problem for problem in (status.problem, status.cache_problem) if problem]
    return PartHealth(PartStatus.DEGRADED if problems else PartStatus.UP, "; ".join(problems), counts)
