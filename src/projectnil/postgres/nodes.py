"""The table `nodes`: which processes are alive, by leases that they renew.

One lease a process, not one an execution: its renewal says which is the oldest execution still running, so that what
a dead process left behind is found by a short scan of ids and no index on a changing column.
"""

from datetime import datetime

import msgspec

from projectnil.domain.ids import NodeId
from projectnil.postgres.connections import Connection

_RENEW = """
INSERT INTO nodes (id, role, languages, lease_expires_at, oldest_execution_id)
VALUES ($1, $2, $3::text[], clock_timestamp() + make_interval(secs => $4), $5)
ON CONFLICT (id) DO UPDATE
SET lease_expires_at = EXCLUDED.lease_expires_at, oldest_execution_id = EXCLUDED.oldest_execution_id
RETURNING clock_timestamp()
"""
_LOCK_LAPSED = """
-- One node at a time notices a lapsed lease; the others skip it.
SELECT id::text, oldest_execution_id::text,
       lease_expires_at < clock_timestamp() - make_interval(secs => $2) AS forgotten
FROM nodes
WHERE role = 'api' AND id <> $1 AND lease_expires_at < clock_timestamp()
FOR UPDATE SKIP LOCKED
"""
_ADVANCE = """
UPDATE nodes
SET oldest_execution_id =
    greatest(oldest_execution_id, execution_id_bound(clock_timestamp() - make_interval(secs => $2)))
WHERE id = $1
"""
_DELETE = "DELETE FROM nodes WHERE id = $1"
_DELETE_LAPSED_COMPILERS = "DELETE FROM nodes WHERE role = 'compiler' AND lease_expires_at < clock_timestamp()"
_COMPILER_LANGUAGES = """
SELECT DISTINCT unnest(languages) AS language FROM nodes
WHERE role = 'compiler' AND lease_expires_at >= clock_timestamp() ORDER BY language
"""


class LapsedNode(msgspec.Struct, frozen=True):
    """oldest_execution_id: nothing it left RUNNING is older. forgotten: lapsed so long ago that its row may go."""

    id: NodeId
    oldest_execution_id: str
    forgotten: bool


async def renew_api(conn: Connection, node_id: NodeId, lease_s: float, oldest_execution_id: str) -> datetime:
    """Say that an api process lives for at least `lease_s` more; returns the database's time."""
    now: datetime = await conn.fetchval(_RENEW, node_id, "api", [], lease_s, oldest_execution_id)
    return now


async def renew_compiler(conn: Connection, node_id: NodeId, lease_s: float, languages: list[str]) -> None:
    """Say that a compiler process lives for at least `lease_s` more, and what it serves."""
    await conn.execute(_RENEW, node_id, "compiler", languages, lease_s, None)


async def lock_lapsed(conn: Connection, looker: NodeId, forget_after_s: float) -> list[LapsedNode]:
    """The api processes but `looker` whose lease lapsed, held until the transaction ends."""
    return [LapsedNode(*row) for row in await conn.fetch(_LOCK_LAPSED, looker, forget_after_s)]


async def advance(conn: Connection, node_id: NodeId, age_s: float) -> None:
    """Shorten the next scan for a lapsed node: everything older than `age_s` was dealt with."""
    await conn.execute(_ADVANCE, node_id, age_s)


async def delete(conn: Connection, node_id: NodeId) -> None:
    """Forget a process that ended in good order, or long ago."""
    await conn.execute(_DELETE, node_id)


async def delete_lapsed_compilers(conn: Connection) -> None:
    await conn.execute(_DELETE_LAPSED_COMPILERS)


async def compiler_languages(conn: Connection) -> list[str]:
    """The languages that some living compiler serves."""
    return [row["language"] for row in await conn.fetch(_COMPILER_LANGUAGES)]
