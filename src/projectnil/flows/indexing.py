"""What a migration declared and had no time for: the indexes of partitions that were there before."""

import structlog

from projectnil.postgres import partition_indexes
from projectnil.postgres.connections import Pool, connect
from projectnil.postgres.errors import CONNECTION_ERRORS, DATABASE_ERRORS

log = structlog.get_logger()


async def build_missing(pool: Pool, database_url: str) -> bool:
    """Build them, one after the other, unless another process does; returns whether all are there.

    database_url: for a connection whose statements may take long. Executions go on meanwhile.
    """
    async with pool.acquire() as pooled:
        if not await partition_indexes.missing(pooled):
            return True
    conn = await connect(database_url)
    try:
        if not await partition_indexes.may_build(conn):
            return False
        for index in await partition_indexes.missing(conn):
            log.info("index.begun", index=index.name)
            await partition_indexes.build(conn, index)
            log.info("index.built", index=index.name)
        return True
    except CONNECTION_ERRORS:
        raise
    except DATABASE_ERRORS as error:
        log.warning("index.postponed", error=str(error))
        return False
    finally:
        await conn.close()
