"""The table `executions`. The two writes of the hot path take many rows at a time: see `coalescer`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from projectnil.domain.executions import Execution, ExecutionStatus, ExecutionSummary
from projectnil.domain.ids import ExecutionId, FunctionId, NodeId
from projectnil.postgres.connections import Connection

_SUMMARY_COLUMNS = "id, function_id, status, error_message, created_at, started_at, completed_at"
_COLUMNS = f"{_SUMMARY_COLUMNS}, input::text AS input, output::text AS output, logs"

_INSERT_RUNNING = """
-- Each row only if its function is still what its caller saw (READY, same revision), and this node still counts.
INSERT INTO executions (id, function_id, node_id, status, input, created_at, started_at)
SELECT new.id, new.function_id, $1, 'RUNNING', new.input::jsonb, statement_timestamp(), statement_timestamp()
FROM unnest($2::uuid[], $3::uuid[], $4::integer[], $5::text[]) AS new (id, function_id, revision, input)
JOIN functions
  ON functions.id = new.function_id AND functions.revision = new.revision AND functions.status = 'READY'
WHERE EXISTS (SELECT FROM nodes WHERE nodes.id = $1)
RETURNING id, created_at
"""
_FINISH = """
-- Only from RUNNING. The bounds let the planner leave out partitions.
UPDATE executions
SET status = done.status::execution_status, output = done.output::jsonb, error_message = done.error_message,
    logs = done.logs, completed_at = statement_timestamp()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS done (id, status, output, error_message, logs)
WHERE executions.id = done.id AND executions.status = 'RUNNING' AND executions.id BETWEEN $6 AND $7
RETURNING executions.id, executions.completed_at
"""
_GET = f"SELECT {_COLUMNS} FROM executions WHERE id = $1"
_LIST = f"""
-- Newest first; ids sort by time.
SELECT {_SUMMARY_COLUMNS} FROM executions
WHERE id < $1 AND ($2::execution_status IS NULL OR status = $2)
ORDER BY id DESC LIMIT $3
"""
_LIST_OF_FUNCTION = f"""
SELECT {_SUMMARY_COLUMNS} FROM executions
WHERE function_id = $4 AND id < $1 AND ($2::execution_status IS NULL OR status = $2)
ORDER BY id DESC LIMIT $3
"""
_INTERRUPT = """
UPDATE executions
SET status = 'FAILED', error_message = $3, completed_at = statement_timestamp()
WHERE id >= $1 AND node_id = $2 AND status = 'RUNNING'
RETURNING id, function_id
"""

_LAST_ID = UUID(int=(1 << 128) - 1)


class NewExecution(msgspec.Struct, frozen=True):
    """input: JSON text. revision: that of the function the caller means to run."""

    id: ExecutionId
    function_id: FunctionId
    revision: int
    input: str


class FinishedExecution(msgspec.Struct, frozen=True):
    """status: COMPLETED or FAILED. output: JSON text."""

    id: ExecutionId
    status: ExecutionStatus
    output: str | None
    error_message: str | None
    logs: str | None


async def insert_running(conn: Connection, node_id: NodeId, rows: Sequence[NewExecution]) -> list[datetime | None]:
    """Store executions as RUNNING; one creation time for each row, or None where its function is no longer that."""
    stored = await conn.fetch(
        _INSERT_RUNNING,
        node_id,
        [row.id for row in rows],
        [row.function_id for row in rows],
        [row.revision for row in rows],
        [row.input for row in rows],
    )
    created_at = {row["id"]: row["created_at"] for row in stored}
    return [created_at.get(row.id) for row in rows]


async def finish(conn: Connection, rows: Sequence[FinishedExecution]) -> list[datetime | None]:
    """Record outcomes; one completion time for each row, or None where the row was not RUNNING."""
    ids = [row.id for row in rows]
    changed = await conn.fetch(
        _FINISH,
        ids,
        [row.status.value for row in rows],
        [row.output for row in rows],
        [row.error_message for row in rows],
        [row.logs for row in rows],
        min(ids),
        max(ids),
    )
    completed_at = {row["id"]: row["completed_at"] for row in changed}
    return [completed_at.get(row.id) for row in rows]


async def get(conn: Connection, execution_id: ExecutionId) -> Execution | None:
    row = await conn.fetchrow(_GET, execution_id)
    return msgspec.convert(dict(row), Execution) if row else None


async def list_page(
    conn: Connection,
    *,
    function_id: FunctionId | None,
    before: ExecutionId | None,
    status: ExecutionStatus | None,
    most: int,
) -> list[ExecutionSummary]:
    """Up to `most` executions, newest first, older than the id `before`; of one function, or of all."""
    arguments = (before or _LAST_ID, status, most)
    if function_id is None:
        rows = await conn.fetch(_LIST, *arguments)
    else:
        rows = await conn.fetch(_LIST_OF_FUNCTION, *arguments, function_id)
    return [msgspec.convert(dict(row), ExecutionSummary) for row in rows]


async def interrupt(
    conn: Connection, *, node_id: NodeId, oldest: UUID, message: str
) -> list[tuple[ExecutionId, FunctionId]]:
    """Fail what `node_id` left RUNNING, from the id `oldest` on; returns (execution, function) of each."""
    rows = await conn.fetch(_INTERRUPT, oldest, node_id, message)
    return [(row["id"], row["function_id"]) for row in rows]
