"""pgmq's queues, through its SQL functions (pgmq 1.8 or later)."""

from datetime import datetime, timedelta

import msgspec

from projectnil.domain.ids import FunctionId
from projectnil.postgres.connections import Connection

_SEND = "SELECT pgmq.send($1, $2::jsonb, $3::jsonb)"
# Columns by name: their number differs between releases of pgmq.
_COLUMNS = "msg_id, read_ct, enqueued_at, message, headers"
_READ = f"SELECT {_COLUMNS} FROM pgmq.read($1, $2, $3)"
_READ_CONTAINING = f"SELECT {_COLUMNS} FROM pgmq.read($1, $2, $3, $4::jsonb)"
_READ_OTHER_LANGUAGES = """
-- Jobs that pgmq's conditional read cannot ask for: those in none of the given languages. Why in a CTE: see turns.py.
WITH chosen AS MATERIALIZED (
    SELECT msg_id FROM pgmq.q_compilation_jobs
    WHERE vt <= clock_timestamp() AND (message ->> 'language' = ANY ($1::text[])) IS NOT TRUE
    ORDER BY msg_id LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE pgmq.q_compilation_jobs AS job
SET vt = clock_timestamp() + make_interval(secs => $2), read_ct = read_ct + 1
FROM chosen
WHERE job.msg_id = chosen.msg_id
RETURNING job.msg_id, job.read_ct, job.enqueued_at, job.message, job.headers
"""
_ARCHIVE = "SELECT pgmq.archive($1, $2::bigint)"
_DELETE = "SELECT pgmq.delete($1, $2::bigint)"
_EXTEND = "SELECT count(*) FROM pgmq.set_vt($1, $2::bigint, $3::integer)"
_GIVE_BACK = """
UPDATE pgmq.q_compilation_jobs
SET vt = clock_timestamp() + make_interval(secs => $2), read_ct = greatest(read_ct - 1, 0),
    headers = CASE WHEN jsonb_typeof(headers) = 'object' THEN headers ELSE '{}' END || $3::jsonb
WHERE msg_id = $1
"""
_DELETE_UNREAD_JOBS = """
DELETE FROM pgmq.q_compilation_jobs WHERE lower(message ->> 'functionId') = $1 AND read_ct = 0 RETURNING msg_id
"""
_HAS_JOB_OR_RESULT = """
SELECT EXISTS (
    SELECT FROM pgmq.q_compilation_jobs AS job JOIN compilations ON compilations.job_id = job.msg_id
    WHERE compilations.function_id = $1::uuid AND compilations.revision = $2 AND compilations.answered_at IS NULL
) OR EXISTS (
    SELECT FROM pgmq.q_compilation_results
    WHERE lower(message ->> 'functionId') = lower($1::text)
      AND coalesce(headers ->> 'revision', message ->> 'revision', $2::integer::text) = $2::integer::text
)
"""
_OTHER_RESULTS = """
SELECT msg_id, enqueued_at FROM pgmq.q_compilation_results
WHERE lower(message ->> 'functionId') = $1 AND msg_id <> $2
"""
_TABLES = tuple(f"pgmq.{kind}_{queue}" for kind in "qa" for queue in ("compilation_jobs", "compilation_results"))
_PRUNE_ARCHIVE = """
DELETE FROM pgmq.a_{queue} WHERE msg_id IN (
    SELECT msg_id FROM pgmq.a_{queue} WHERE archived_at < clock_timestamp() - $1::interval LIMIT $2
)
"""
_EXISTING = "SELECT queue_name FROM pgmq.meta WHERE queue_name = ANY ($1::text[])"
_LENGTH = {
    "compilation_jobs": "SELECT count(*) FROM pgmq.q_compilation_jobs",
    "compilation_results": "SELECT count(*) FROM pgmq.q_compilation_results",
}
_AGE = {
    name: f"SELECT coalesce(extract(epoch FROM clock_timestamp() - min(enqueued_at)), 0)::float8 FROM pgmq.q_{name}"
    for name in _LENGTH
}


class Message(msgspec.Struct, frozen=True):
    """A message that was read and is hidden from others for a while. body, headers: JSON text. reads: this included."""

    id: int
    reads: int
    sent_at: datetime
    body: str
    headers: str | None


async def send(conn: Connection, queue: str, message: msgspec.Struct, headers: msgspec.Struct) -> int:
    """Put a message, encoded as JSON, into `queue`; returns its id. Listeners are told when this commits."""
    encoded = (msgspec.json.encode(message).decode(), msgspec.json.encode(headers).decode())
    message_id: int = await conn.fetchval(_SEND, queue, *encoded)
    return message_id


async def read(
    conn: Connection, queue: str, *, visibility_s: int, most: int, containing: dict[str, str] | None = None
) -> list[Message]:
    """Take up to `most` messages and hide them for `visibility_s`; `containing` selects by JSON containment."""
    if containing is None:
        rows = await conn.fetch(_READ, queue, visibility_s, most)
    else:
        condition = msgspec.json.encode(containing).decode()
        rows = await conn.fetch(_READ_CONTAINING, queue, visibility_s, most, condition)
    return [Message(*row) for row in rows]


async def read_jobs_in_other_languages(
    conn: Connection, known: list[str], *, visibility_s: int, most: int
) -> list[Message]:
    """As `read`, of the jobs whose language is none of `known`, or missing."""
    rows = await conn.fetch(_READ_OTHER_LANGUAGES, known, visibility_s, most)
    return [Message(*row) for row in rows]


async def archive(conn: Connection, queue: str, message_id: int) -> bool:
    """Move a message to the queue's archive; False when it was removed before."""
    archived: bool = await conn.fetchval(_ARCHIVE, queue, message_id)
    return archived


async def delete(conn: Connection, queue: str, message_id: int) -> bool:
    """Remove a message for good; False when it was removed before."""
    deleted: bool = await conn.fetchval(_DELETE, queue, message_id)
    return deleted


async def extend(conn: Connection, queue: str, message_id: int, visibility_s: int) -> bool:
    """Hide a message for `visibility_s` from now; False when it is no longer in the queue."""
    return bool(await conn.fetchval(_EXTEND, queue, message_id, visibility_s))


async def give_back(conn: Connection, job_id: int, hidden_s: float, headers: msgspec.Struct | None = None) -> None:
    """Take back that a job was read: its reader could not try. It reappears after `hidden_s`, with `headers` added."""
    added = msgspec.json.encode(headers).decode() if headers is not None else "{}"
    await conn.execute(_GIVE_BACK, job_id, hidden_s, added)


async def has_job_or_result(conn: Connection, function_id: FunctionId, revision: int) -> bool:
    """Whether a job of this revision is in the queue, or a result that may be its own waits."""
    has: bool = await conn.fetchval(_HAS_JOB_OR_RESULT, function_id, revision)
    return has


async def other_results(conn: Connection, function_id: FunctionId, but: int) -> dict[int, datetime]:
    """When each result of the function that is in the queue, `but` the one with that id, was sent."""
    return {row["msg_id"]: row["enqueued_at"] for row in await conn.fetch(_OTHER_RESULTS, function_id, but)}


async def delete_unread_jobs(conn: Connection, function_id: FunctionId) -> list[int]:
    """Remove the jobs of a function that no compiler has read; returns their ids."""
    return [row["msg_id"] for row in await conn.fetch(_DELETE_UNREAD_JOBS, function_id)]


async def delete_of_function(conn: Connection, function_id: FunctionId) -> None:
    """Remove every message about a function from the queues and their archives."""
    for table in _TABLES:
        await conn.execute(f"DELETE FROM {table} WHERE lower(message ->> 'functionId') = $1", function_id)


async def prune_archive(conn: Connection, queue: str, age: timedelta, most: int) -> int:
    """Remove up to `most` messages that were archived longer ago than `age`; returns how many."""
    return int((await conn.execute(_PRUNE_ARCHIVE.format(queue=queue), age, most)).split()[-1])


async def missing(conn: Connection, queues: list[str]) -> list[str]:
    """Which of `queues` do not exist."""
    if await conn.fetchval("SELECT to_regclass('pgmq.meta') IS NULL"):
        return queues
    existing = {row["queue_name"] for row in await conn.fetch(_EXISTING, queues)}
    return [queue for queue in queues if queue not in existing]


async def length(conn: Connection, queue: str) -> int:
    """How many messages are in the queue, hidden ones included."""
    count: int = await conn.fetchval(_LENGTH[queue])
    return count


async def age_s(conn: Connection, queue: str) -> float:
    """How long the oldest message has been in the queue, hidden ones included; 0 when it is empty."""
    age: float = await conn.fetchval(_AGE[queue])
    return age
