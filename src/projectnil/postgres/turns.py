"""The table `compilation_turns`: whose turn it is among the jobs. A trigger of the queue gives the turns.

There are two lanes: one for sources that have been slow to compile, one for all others.
"""

from datetime import timedelta

from projectnil.postgres.connections import Connection
from projectnil.postgres.queues import Message

_TAKE = """
-- Chosen in a CTE, which runs once. The planner may run a subquery of FROM for each row that it is joined to, and each
-- run would pass over the job that the one before it took, and take another.
WITH chosen AS MATERIALIZED (
    SELECT waiting.msg_id
    FROM compilation_turns AS turn
    JOIN pgmq.q_compilation_jobs AS waiting
      ON waiting.msg_id = turn.job_id AND waiting.enqueued_at = turn.enqueued_at
    WHERE turn.language = $1 AND turn.slow = $2 AND waiting.vt <= clock_timestamp() AND {condition}
    ORDER BY turn.turn_at {direction}, turn.job_id {direction} LIMIT 1 FOR UPDATE OF waiting SKIP LOCKED
)
UPDATE pgmq.q_compilation_jobs AS job
SET vt = clock_timestamp() + make_interval(secs => $3), read_ct = read_ct + 1
FROM chosen
WHERE job.msg_id = chosen.msg_id
RETURNING job.msg_id, job.read_ct, job.enqueued_at, job.message, job.headers
"""
_TAKE_FIRST = _TAKE.format(condition="true", direction="ASC")
# Read once, so that the index leads past the turns that lie ahead.
_TAKE_NEWEST = _TAKE.format(condition="turn.turn_at <= (SELECT clock_timestamp())", direction="DESC")
_GIVE_MISSING = """
-- Jobs that came while the trigger was not there: from a backup, or since the queue was dropped and created again. The
-- turns of the old queue's jobs are not theirs.
SELECT give_turn(msg_id, message, enqueued_at)
FROM (
    SELECT msg_id, message, enqueued_at FROM pgmq.q_compilation_jobs AS job
    WHERE vt <= clock_timestamp() AND NOT EXISTS (
        SELECT FROM compilation_turns AS turn WHERE turn.job_id = job.msg_id AND turn.enqueued_at = job.enqueued_at
    )
    ORDER BY msg_id FOR NO KEY UPDATE SKIP LOCKED
) AS without
"""
_DROP_LEFTOVER = """
DELETE FROM compilation_turns AS turn
WHERE NOT EXISTS (
    SELECT FROM pgmq.q_compilation_jobs AS job
    WHERE job.msg_id = turn.job_id AND job.enqueued_at = turn.enqueued_at
)
"""
_TRIGGERS = """
SELECT count(*) FROM pg_trigger
WHERE tgrelid = 'pgmq.q_compilation_jobs'::regclass
  AND tgname IN ('give_compilation_turn', 'give_compilation_turns') AND tgenabled IN ('O', 'A')
"""
_MOVE = "UPDATE compilation_turns SET slow = true WHERE job_id = $1"
_REMEMBER = """
INSERT INTO slow_sources (source_sha256) SELECT source_sha256 FROM compilation_turns WHERE job_id = $1
ON CONFLICT (source_sha256) DO UPDATE SET seen_at = clock_timestamp()
"""
_FORGET = """
DELETE FROM slow_sources USING compilation_turns AS turn
WHERE turn.job_id = $1 AND turn.source_sha256 = slow_sources.source_sha256
"""
_MOVE_ALIKE = """
-- What another transaction has locked stays where it is: its compiler finds out by itself. The turns of one function
-- are now as far apart as slow jobs take.
WITH alike AS MATERIALIZED (
    SELECT waiting.job_id, waiting.function_id, waiting.turn_at
    FROM compilation_turns AS known
    JOIN compilation_turns AS waiting
      ON waiting.source_sha256 = known.source_sha256 OR waiting.function_id = known.function_id
    WHERE known.job_id = $1 AND NOT waiting.slow
    FOR UPDATE OF waiting SKIP LOCKED
)
UPDATE compilation_turns AS turn
SET slow = true, turn_at = first_at + 10 * (turn.turn_at - first_at)
FROM (SELECT job_id, min(turn_at) OVER (PARTITION BY function_id) AS first_at FROM alike) AS found
WHERE turn.job_id = found.job_id
"""
_PRUNE = "DELETE FROM slow_sources WHERE seen_at < clock_timestamp() - $1::interval"


async def take(conn: Connection, language: str, *, slow: bool, newest: bool, visibility_s: int) -> Message | None:
    """Read the job whose turn it is in a lane, hidden for `visibility_s`; None when none waits.

    newest: of those whose turn has come, the one that came last.
    """
    row = await conn.fetchrow(_TAKE_NEWEST if newest else _TAKE_FIRST, language, slow, visibility_s)
    return Message(*row) if row else None


async def give_missing(conn: Connection) -> bool:
    """Give turns to visible jobs that have none; whether there were any."""
    return (await conn.execute(_GIVE_MISSING)).split()[-1] != "0"


async def drop_leftover(conn: Connection) -> None:
    """Remove the turns of jobs that are gone, which a queue that was dropped leaves behind."""
    await conn.execute(_DROP_LEFTOVER)


async def has_triggers(conn: Connection) -> bool:
    """Whether the queue has the triggers that give the turns."""
    return bool(await conn.fetchval(_TRIGGERS) == 2)


async def move_to_slow_lane(conn: Connection, job_id: int) -> None:
    """This job alone."""
    await conn.execute(_MOVE, job_id)


async def remember_slow(conn: Connection, job_id: int) -> None:
    """The job's source is slow to compile: it, and what waits of its source or function, belongs in the slow lane."""
    await conn.execute(_REMEMBER, job_id)
    await conn.execute(_MOVE_ALIKE, job_id)


async def forget_slow(conn: Connection, job_id: int) -> None:
    """The job's source is not slow to compile, or not any more."""
    await conn.execute(_FORGET, job_id)


async def prune_slow(conn: Connection, age: timedelta) -> None:
    """Forget sources that have not been slow for `age`."""
    await conn.execute(_PRUNE, age)
