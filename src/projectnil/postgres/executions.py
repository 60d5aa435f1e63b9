"""The table `executions`. The two writes of the hot path take many rows at a time: see `coalescer`."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeAlias

import msgspec

from projectnil.domain.executions import Execution, ExecutionStatus
from projectnil.domain.ids import ExecutionId, FunctionId, NodeId, first_id_at
from projectnil.postgres.adopted import SUMMARY_COLUMNS
from projectnil.postgres.connections import Connection

_COLUMNS = f"{SUMMARY_COLUMNS}, input::text AS input, output::text AS output, logs"

# Each row only if its function is still what its caller saw (READY, same revision and name, the only one of that name
# where it was called by it), and this node still counts. A function that is being deleted is passed over, so that
# no execution waits for the end of it.
_BEGIN = """
INSERT INTO executions (id, function_id, revision, node_id, status, input, created_at, started_at)
SELECT new.id, new.function_id, new.revision, $1, 'RUNNING', new.input::jsonb,
       statement_timestamp(), statement_timestamp()
FROM unnest($2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::text[])
    AS new (id, function_id, revision, function_name, input)
JOIN (SELECT id, revision, name, status FROM functions WHERE id = ANY($3) FOR KEY SHARE SKIP LOCKED) AS function
  ON function.id = new.function_id AND function.revision = new.revision AND function.name = new.function_name
     AND function.status = 'READY'
WHERE EXISTS (SELECT FROM nodes WHERE nodes.id = $1)
  AND NOT (new.id = ANY($7::uuid[]) AND EXISTS (
      SELECT FROM functions AS other WHERE other.name = new.function_name AND other.id <> new.function_id))
"""
# Nothing was promised about these rows yet: the commit that ends them flushes them too, at the latest.
_WITHOUT_FLUSH = "AND set_config('synchronous_commit', 'off', true) = 'off'"
# Only from RUNNING. The bounds let the planner leave out partitions.
_END = """
UPDATE executions
SET status = CASE WHEN ended.error_message IS NULL THEN 'COMPLETED'::execution_status ELSE 'FAILED' END,
    output = ended.output::jsonb, error_message = ended.error_message, logs = ended.logs,
    completed_at = statement_timestamp()
FROM unnest(${}::uuid[], ${}::text[], ${}::text[], ${}::text[]) AS ended (id, output, error_message, logs)
WHERE executions.id = ended.id AND executions.status = 'RUNNING' AND executions.id BETWEEN ${} AND ${}
"""
# One that never began, which says RUNNING in its row only.
_WITHDRAW = """
DELETE FROM executions
WHERE id = ANY(${}::uuid[]) AND status = 'RUNNING' AND id BETWEEN ${} AND ${}
"""
_BEGIN_ONLY = f"{_BEGIN} {_WITHOUT_FLUSH} RETURNING id::text, created_at AS moment"
_END_ONLY = f"{_END.format(*range(1, 7))} RETURNING executions.id::text, completed_at AS moment"
# One statement and one commit for both, since each costs more than a row.
_BEGIN_AND_END = f"""
WITH begun AS ({_BEGIN} RETURNING id::text, created_at AS moment),
     ended AS ({_END.format(*range(8, 14))} RETURNING executions.id::text, completed_at AS moment)
SELECT id, moment FROM begun UNION ALL SELECT id, moment FROM ended
"""
_WITHDRAW_ONLY = f"{_WITHDRAW.format(1, 2, 3)} RETURNING id::text, created_at AS moment"
_ALL = f"""
WITH begun AS ({_BEGIN} RETURNING id::text, created_at AS moment),
     ended AS ({_END.format(*range(8, 14))} RETURNING executions.id::text, completed_at AS moment),
     withdrawn AS ({_WITHDRAW.format(14, 15, 16)} RETURNING id::text, created_at AS moment)
SELECT id, moment FROM begun UNION ALL SELECT id, moment FROM ended UNION ALL SELECT id, moment FROM withdrawn
"""
_GET = f"SELECT {_COLUMNS} FROM executions WHERE id = $1"
_GET_STATUS = "SELECT status FROM executions WHERE id = $1"
_DELETE = "DELETE FROM executions WHERE id = $1 AND status <> 'RUNNING' RETURNING id"
_INTERRUPT = """
UPDATE executions
SET status = 'FAILED', error_message = $3, completed_at = statement_timestamp()
WHERE id >= $1 AND id < $4 AND node_id = $2 AND status = 'RUNNING'
RETURNING id::text, function_id::text
"""

_CLOCKS_AHEAD = timedelta(days=365)


class NewExecution(msgspec.Struct, frozen=True):
    """input: JSON text. revision, function_name: those of the function the caller means to run.

    by_name: the caller named it, so that no other may have the name.
    """

    id: ExecutionId
    function_id: FunctionId
    revision: int
    function_name: str
    by_name: bool
    input: str

    @property
    def size_bytes(self) -> int:
        """Of what its caller sent."""
        return len(self.input)


class FinishedExecution(msgspec.Struct, frozen=True):
    """It FAILED where there is an error message, and is COMPLETED where there is none. output: JSON text."""

    id: ExecutionId
    output: str | None
    error_message: str | None
    logs: str | None

    @property
    def size_bytes(self) -> int:
        """Of what the function returned and logged."""
        return len(self.output or "") + len(self.logs or "")

    @property
    def status(self) -> ExecutionStatus:
        return ExecutionStatus.COMPLETED if self.error_message is None else ExecutionStatus.FAILED


class WithdrawnExecution(msgspec.Struct, frozen=True):
    """It was recorded as RUNNING and never began: its row is to go."""

    id: ExecutionId
    size_bytes: ClassVar[int] = 0


Write: TypeAlias = NewExecution | FinishedExecution | WithdrawnExecution


async def record(conn: Connection, node_id: NodeId, rows: Sequence[Write]) -> list[datetime | None]:
    """Store new executions as RUNNING and the outcomes of others, and remove withdrawn ones; all of them or none.

    Returns when, for each row (of a withdrawn one, when it was made); or None where a new one's function is no longer
    that, or another one not RUNNING. Outcomes and removals are durable then; an execution that is RUNNING may still be
    lost with the server, as if it never was.
    """
    begun = [row for row in rows if isinstance(row, NewExecution)]
    ended = [row for row in rows if isinstance(row, FinishedExecution)]
    withdrawn = []
    if len(begun) + len(ended) < len(rows):  # which is rare
        withdrawn = [row.id for row in rows if isinstance(row, WithdrawnExecution)]
    match bool(begun), bool(ended), bool(withdrawn):
        case True, True, False:
            stored = await conn.fetch(_BEGIN_AND_END, *_begin_arguments(node_id, begun), *_end_arguments(ended))
        case True, False, False:
            stored = await conn.fetch(_BEGIN_ONLY, *_begin_arguments(node_id, begun))
        case False, True, False:
            stored = await conn.fetch(_END_ONLY, *_end_arguments(ended))
        case False, False, _:
            stored = await conn.fetch(_WITHDRAW_ONLY, *_withdraw_arguments(withdrawn))
        case _:
            arguments = *_begin_arguments(node_id, begun), *_end_arguments(ended), *_withdraw_arguments(withdrawn)
            stored = await conn.fetch(_ALL, *arguments)
    moments: dict[str, datetime] = {row[0]: row[1] for row in stored}
    return [moments.get(row.id) for row in rows]


def _begin_arguments(node_id: NodeId, rows: Sequence[NewExecution]) -> Iterator[object]:
    yield node_id
    yield [row.id for row in rows]
    yield [row.function_id for row in rows]
    yield [row.revision for row in rows]
    yield [row.function_name for row in rows]
    yield [row.input for row in rows]
    yield [row.id for row in rows if row.by_name]


def _end_arguments(rows: Sequence[FinishedExecution]) -> Iterator[object]:
    ids = [row.id for row in rows]
    yield ids
    yield [row.output for row in rows]
    yield [row.error_message for row in rows]
    yield [row.logs for row in rows]
    yield min(ids, default=None)
    yield max(ids, default=None)


def _withdraw_arguments(ids: Sequence[ExecutionId]) -> Iterator[object]:
    yield ids
    yield min(ids)
    yield max(ids)


async def get(conn: Connection, execution_id: ExecutionId) -> Execution | None:
    row = await conn.fetchrow(_GET, execution_id)
    return msgspec.convert(dict(row), Execution) if row else None


async def get_status(conn: Connection, execution_id: ExecutionId) -> ExecutionStatus | None:
    status = await conn.fetchval(_GET_STATUS, execution_id)
    return ExecutionStatus(status) if status is not None else None


async def delete(conn: Connection, execution_id: ExecutionId) -> bool:
    """Remove one that does not run; False when there is none, or it runs."""
    return await conn.fetchval(_DELETE, execution_id) is not None


async def interrupt(
    conn: Connection, *, node_id: NodeId, oldest: str, message: str
) -> list[tuple[ExecutionId, FunctionId]]:
    """Fail what `node_id` left RUNNING, from the id `oldest` on; returns (execution, function) of each."""
    # Adopted executions have random ids, nearly all of them later than any of ours.
    latest = first_id_at(datetime.now(UTC) + _CLOCKS_AHEAD)
    rows = await conn.fetch(_INTERRUPT, oldest, node_id, message, latest)
    return [(row["id"], row["function_id"]) for row in rows]
