"""What a migration declared and had no time for: the indexes of partitions that were there before."""

from contextlib import suppress

import structlog

from projectnil.postgres import partition_indexes
from projectnil.postgres.connections import Connection, Pool, connect
from projectnil.postgres.errors import DATABASE_ERRORS
from projectnil.postgres.partition_indexes import MissingIndex

log = structlog.get_logger()


class IndexNotBuilt(Exception):
    """The database could not build it: its disk is full, say. What was begun is dropped."""


async def build_missing(pool: Pool, database_url: str) -> bool:
    """Build them, one after the other, unless another process does; returns whether all are there.

    database_url: for a connection whose statements may take long. Executions go on meanwhile. Raises IndexNotBuilt.
    """
    async with pool.acquire() as pooled:
        if not await partition_indexes.missing(pooled):
            return True
    conn = await connect(database_url)
    try:
        if not await partition_indexes.may_build(conn):
            return False
        for index in await partition_indexes.missing(conn):
            await _build(conn, index)
        return True
    finally:
        await conn.close()


async def _build(conn: Connection, index: MissingIndex) -> None:
    log.info("index.begun", index=index.name)
    try:
        await partition_indexes.build(conn, index)
    except DATABASE_ERRORS as error:
        with suppress(*DATABASE_ERRORS):  # then the next attempt does it
            await partition_indexes.drop_remains(conn, index)
        raise IndexNotBuilt(str(error) or type(error).__name__) from error
    log.info("index.built", index=index.name)
