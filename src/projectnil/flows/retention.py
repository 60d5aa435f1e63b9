"""Partitions ahead of need, and whole partitions dropped when they are old."""

from datetime import UTC, datetime, timedelta

import structlog

from projectnil.postgres import partitions
from projectnil.postgres.connections import Pool, transaction

log = structlog.get_logger()

_AHEAD = timedelta(weeks=4)


async def ensure_partitions(pool: Pool) -> int:
    """Make this week's partition and those of the next four; returns how many were missing."""
    now = datetime.now(UTC)
    async with transaction(pool) as conn:
        return await partitions.ensure(conn, now, now + _AHEAD)


async def prune(pool: Pool, older_than: timedelta) -> list[str]:
    """Drop every partition that holds nothing younger than `older_than`; returns their names."""
    async with transaction(pool) as conn:
        dropped = await partitions.drop_older_than(conn, older_than)
    for name in dropped:
        log.info("executions.pruned", partition=name)
    return dropped
