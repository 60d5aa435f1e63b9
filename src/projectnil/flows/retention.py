"""Partitions ahead of need, and whole partitions dropped when they are old."""

from datetime import timedelta

import structlog

from projectnil.domain.compilation import JOBS_QUEUE, RESULTS_QUEUE
from projectnil.postgres import compilations, partitions, queues, turns
from projectnil.postgres.connections import Pool, transaction

log = structlog.get_logger()

_AHEAD = timedelta(weeks=4)
# Sources are large; a statement takes at most a second.
_ARCHIVED_AT_ONCE = 1000


async def ensure_partitions(pool: Pool) -> int:
    """Make this week's partition and those of the next four; returns how many were missing. Raises LOCK_TAKEN."""
    async with transaction(pool) as conn:
        return await partitions.ensure_ahead(conn, _AHEAD)


async def prune_archives(pool: Pool, older_than: timedelta) -> int:
    """Remove the messages that were archived longer ago than `older_than`; returns how many."""
    removed = 0
    for queue in (JOBS_QUEUE, RESULTS_QUEUE):
        while True:
            async with pool.acquire() as conn:
                batch = await queues.prune_archive(conn, queue, older_than, _ARCHIVED_AT_ONCE)
            removed += batch
            if batch < _ARCHIVED_AT_ONCE:
                break
    async with pool.acquire() as conn:
        await compilations.prune(conn, older_than)
        await turns.prune_slow(conn, older_than)
    if removed:
        log.info("archives.pruned", messages=removed)
    return removed


async def prune(pool: Pool, older_than: timedelta) -> list[str]:
    """Drop every partition that holds nothing younger than `older_than`; returns their names. Raises LOCK_TAKEN."""
    async with transaction(pool) as conn:
        dropped = await partitions.drop_older_than(conn, older_than)
    for name in dropped:
        log.info("executions.pruned", partition=name)
    return dropped
