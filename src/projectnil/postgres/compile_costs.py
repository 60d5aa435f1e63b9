"""The table `compile_costs`: what compiling each function has cost the platform's own compilers."""

from projectnil.domain.compilation import CompileCost
from projectnil.domain.ids import FunctionId
from projectnil.postgres.connections import Connection

# Others go first for ten times as long as a function was compiled, up to ten minutes.
_RECORD = """
INSERT INTO compile_costs AS costs
    (function_id, revision, duration_ms, cpu_ms, peak_memory_bytes, tries, total_duration_ms, total_cpu_ms, is_slow,
     served_until)
SELECT id, coalesce($2, revision), $3::float8, $4::float8, $5::bigint, 1, $3, $4, coalesce($6, false),
       clock_timestamp() + least($3 * interval '10 ms', interval '10 minutes')
FROM functions WHERE id = $1
-- A function that is being deleted is gone, or stays until this is done.
FOR KEY SHARE
ON CONFLICT (function_id) DO UPDATE
SET (revision, duration_ms, cpu_ms, peak_memory_bytes, is_slow) = (
        -- A late try of an older revision says nothing of the newest.
        SELECT revision, duration_ms, cpu_ms, peak_memory_bytes, is_slow FROM (VALUES
            (1, excluded.revision, excluded.duration_ms, excluded.cpu_ms, excluded.peak_memory_bytes,
             coalesce($6, costs.is_slow)),
            (0, costs.revision, costs.duration_ms, costs.cpu_ms, costs.peak_memory_bytes, costs.is_slow)
        ) AS tries (nth, revision, duration_ms, cpu_ms, peak_memory_bytes, is_slow)
        ORDER BY tries.revision DESC, nth DESC LIMIT 1
    ),
    tries = costs.tries + 1,
    total_duration_ms = costs.total_duration_ms + excluded.total_duration_ms,
    total_cpu_ms = costs.total_cpu_ms + excluded.total_cpu_ms,
    served_until = least(greatest(costs.served_until, clock_timestamp()) + $3 * interval '10 ms',
                         clock_timestamp() + interval '10 minutes')
"""


async def record(
    conn: Connection, function_id: FunctionId, revision: int | None, cost: CompileCost, *, is_slow: bool | None
) -> None:
    """Add a compilation to what its function has cost; nothing for a function that is not in the table.

    revision None: whichever it has. is_slow: its next job waits for the slow lane; None: as before.
    """
    figures = (cost.duration_ms, cost.cpu_ms, cost.peak_memory_bytes)
    await conn.execute(_RECORD, function_id, revision, *figures, is_slow)
