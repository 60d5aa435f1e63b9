"""Indexes of partitions that are older than the index: built while executions go on.

A migration declares an index on `executions` alone (`ON ONLY`), which takes no time. New partitions get theirs with it.
What is missing then is built here, partition by partition, concurrently: no writer waits for it.
"""

import msgspec

from projectnil.postgres.connections import Connection

# Any constant will do; it names the right to build indexes in one database.
_BUILDING_LOCK = 0x706E6978
_TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
# A partitioned index is valid once each partition has its part. Those of the newest weeks first.
_MISSING = """
SELECT parent.indexrelid::regclass::text AS of_index, partition.oid::regclass::text AS partition,
       partition.relname || substring(parent_class.relname FROM '^executions(_.*)$') AS name,
       substring(pg_get_indexdef(parent.indexrelid) FROM ' USING .*$') AS definition
FROM pg_index AS parent
JOIN pg_class AS parent_class ON parent_class.oid = parent.indexrelid
JOIN pg_inherits ON pg_inherits.inhparent = parent.indrelid
JOIN pg_class AS partition ON partition.oid = pg_inherits.inhrelid
WHERE parent.indrelid = 'executions'::regclass AND NOT parent.indisvalid
  AND NOT EXISTS (
      SELECT FROM pg_inherits AS attached JOIN pg_index AS part ON part.indexrelid = attached.inhrelid
      WHERE attached.inhparent = parent.indexrelid AND part.indrelid = partition.oid
  )
ORDER BY partition.relname DESC, of_index
"""
# What is left of an attempt that was cut off.
_USELESS = "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid)"


class MissingIndex(msgspec.Struct, frozen=True):
    """A partition's part of an index. name: what it will be called. definition: what follows the table's name."""

    of_index: str
    partition: str
    name: str
    definition: str


async def may_build(conn: Connection) -> bool:
    """Take the sole right to build, as long as the connection lasts; False when another process has it."""
    may: bool = await conn.fetchval(_TRY_LOCK, _BUILDING_LOCK)
    return may


async def missing(conn: Connection) -> list[MissingIndex]:
    """What is to be built, in the order it is most wanted."""
    return [MissingIndex(*row) for row in await conn.fetch(_MISSING)]


async def build(conn: Connection, index: MissingIndex) -> None:
    """Build it, outside any transaction. What is cut off is begun again by the next call; twice does no harm.

    It waits for transactions that are older than itself. Writers do not wait for it.
    """
    await drop_remains(conn, index)
    await conn.execute(f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "{index.name}" ON {index.partition}{index.definition}')
    await conn.execute(
        "SELECT execute_between_others($1)", f'ALTER INDEX {index.of_index} ATTACH PARTITION "{index.name}"'
    )


async def drop_remains(conn: Connection, index: MissingIndex) -> None:
    """Drop what is left of a build that failed or was cut off: it takes room, and costs every writer time."""
    if await conn.fetchval(_USELESS, index.name):
        await conn.execute(f'DROP INDEX CONCURRENTLY "{index.name}"')
