"""The table `compilations`: every job, and what became of it. A trigger of the queue writes most of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from projectnil.domain.ids import FunctionId
from projectnil.domain.matching import PublishedJob
from projectnil.postgres.connections import Connection

_LIST = """
SELECT job_id AS id, revision, reads, first_read_at, quiet_at, removed_at, answered_at, in_doubt
FROM compilations WHERE function_id = $1 ORDER BY job_id
"""
_REVISION = "SELECT revision FROM compilations WHERE job_id = $1 AND function_id = $2"
_SETTLE = """
UPDATE compilations SET answered_at = coalesce($2, clock_timestamp()), in_doubt = $3
WHERE job_id = ANY ($1) AND answered_at IS NULL
"""
_SETTLE_REVISION = """
UPDATE compilations SET answered_at = $3
WHERE function_id = $1 AND revision = $2 AND answered_at IS NULL
"""
_MARK_TAKEN = "UPDATE compilations SET taken_by_platform = true, slow = coalesce($2, slow) WHERE job_id = $1"
_PRUNE = """
-- The newest of each function stays: it says who took it.
DELETE FROM compilations AS old
WHERE answered_at < clock_timestamp() - $1::interval AND removed_at IS NOT NULL
  AND EXISTS (SELECT FROM compilations AS newer WHERE newer.function_id = old.function_id AND newer.job_id > old.job_id)
"""
_LANE = """
       coalesce((SELECT max(extract(epoch FROM clock_timestamp() - first.vt))
                 FROM unnest($1::text[]) AS served (language), LATERAL (
                     SELECT job.vt FROM compilation_turns AS turn
                     JOIN pgmq.q_compilation_jobs AS job ON job.msg_id = turn.job_id
                     WHERE turn.language = served.language AND turn.slow = {slow} AND job.vt <= clock_timestamp()
                     ORDER BY turn.turn_at, turn.job_id LIMIT 1) AS first), 0)::float AS {name}_waits_s,
       extract(epoch FROM clock_timestamp() - greatest(
           (SELECT max(last_read_at) FROM compilations WHERE slow = {slow}),
           (SELECT max(removed_at) FROM compilations WHERE slow = {slow})))::float AS {name}_idle_s"""
_ACTIVITY = """
SELECT coalesce((SELECT extract(epoch FROM clock_timestamp() - min(vt)) FROM pgmq.q_compilation_jobs
                 WHERE vt <= clock_timestamp()), 0)::float AS waits_s,
       extract(epoch FROM clock_timestamp() - greatest(
           (SELECT max(last_read_at) FROM compilations), (SELECT max(removed_at) FROM compilations)))::float AS idle_s,
       EXISTS (SELECT FROM pgmq.q_compilation_jobs WHERE vt > clock_timestamp() AND read_ct > 0) AS has_job_in_hand,
       coalesce((SELECT NOT taken_by_platform FROM compilations WHERE removed_at IS NOT NULL
                 ORDER BY removed_at DESC LIMIT 1), false) AS is_foreign,
       {lanes},
       (SELECT count(*) FROM pgmq.q_compilation_jobs WHERE headers @@ 'exists($.postponements)') AS postponed,
       (SELECT headers ->> 'postponedBecause' FROM pgmq.q_compilation_jobs WHERE headers @@ 'exists($.postponements)'
        ORDER BY msg_id DESC LIMIT 1) AS postponed_because
"""
_ACTIVITY = _ACTIVITY.replace(
    "{lanes}", f"{_LANE.format(slow='false', name='quick')},{_LANE.format(slow='true', name='slow')}"
)
# Longer than a compiler needs between two jobs, and than one may hold a job without a sign of life.
_STUCK_AFTER_S = 30.0
_LONGEST_IN_HAND_S = 300.0
# A job that is slow gives up its place there much sooner.
_LONGEST_IN_QUICK_LANE_S = 120.0


class Activity(msgspec.Struct, frozen=True):
    """What happens to the jobs. waits_s: how long the first in line has been there to be taken; 0 for an empty line.

    idle_s: how long ago any was read or removed, None for never. has_job_in_hand: a compiler keeps one hidden.
    is_foreign: the last one was removed by a compiler that is not the platform's. postponed: how many the platform
    could not compile, and tries again. quick_ and slow_: the same of the platform's lanes.
    """

    waits_s: float
    idle_s: float | None
    has_job_in_hand: bool
    is_foreign: bool
    postponed: int
    postponed_because: str | None
    quick_waits_s: float
    quick_idle_s: float | None
    slow_waits_s: float
    slow_idle_s: float | None

    @property
    def is_stuck(self) -> bool:
        """Jobs wait, and no compiler takes any."""
        patience_s = _LONGEST_IN_HAND_S if self.has_job_in_hand else _STUCK_AFTER_S
        return _is_stuck(self.waits_s, self.idle_s, patience_s)

    @property
    def stuck_lanes(self) -> list[str]:
        """The lanes where jobs wait and none is taken, in words, though something may move in the other one."""
        found = []
        if _is_stuck(self.quick_waits_s, self.quick_idle_s, _LONGEST_IN_QUICK_LANE_S):
            found.append(f"the first job that is not known as slow has waited for {self.quick_waits_s:.0f} s")
        if _is_stuck(self.slow_waits_s, self.slow_idle_s, _LONGEST_IN_HAND_S):
            found.append(f"the first job that is known as slow has waited for {self.slow_waits_s:.0f} s")
        return found


def _is_stuck(waits_s: float, idle_s: float | None, patience_s: float) -> bool:
    return waits_s > patience_s and (idle_s is None or idle_s > patience_s)


async def activity(conn: Connection, languages: Sequence[str]) -> Activity:
    """languages: those that the platform's compilers serve."""
    return msgspec.convert(dict(await conn.fetchrow(_ACTIVITY, list(languages)) or {}), Activity)


async def list_of_function(conn: Connection, function_id: FunctionId) -> list[PublishedJob]:
    """The oldest first."""
    return [msgspec.convert(dict(row), PublishedJob) for row in await conn.fetch(_LIST, function_id)]


async def revision_of(conn: Connection, job_id: int, function_id: FunctionId) -> int | None:
    """The revision whose source a job has; None for a job that is not known to be the function's."""
    revision: int | None = await conn.fetchval(_REVISION, job_id, function_id)
    return revision


async def mark_taken(conn: Connection, job_id: int, *, slow: bool | None = None) -> None:
    """Say that one of the platform's own compilers has the job. slow: in its slow lane; None: as before."""
    await conn.execute(_MARK_TAKEN, job_id, slow)


async def settle(
    conn: Connection, job_ids: Sequence[int], sent_at: datetime | None = None, *, in_doubt: bool = False
) -> None:
    """Jobs that a result sent at `sent_at` answered, or may have answered; None: that need no result any more."""
    await conn.execute(_SETTLE, list(job_ids), sent_at, in_doubt)


async def settle_revision(conn: Connection, function_id: FunctionId, revision: int, sent_at: datetime) -> None:
    """As `settle`, of every job of one revision."""
    await conn.execute(_SETTLE_REVISION, function_id, revision, sent_at)


async def prune(conn: Connection, age: timedelta) -> int:
    """Forget jobs that were answered longer ago than `age`; returns how many."""
    return int((await conn.execute(_PRUNE, age)).split()[-1])
