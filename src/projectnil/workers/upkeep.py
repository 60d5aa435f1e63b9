"""What an api process does now and then: renew its lease, recover others', make and drop partitions, build their
indexes, look whether the database takes writes again."""

import asyncio
from datetime import timedelta

import structlog

from projectnil.domain.ids import NodeId
from projectnil.flows import indexing, recovery, retention, tidying
from projectnil.flows.ledger import Ledger
from projectnil.flows.troubles import Troubles
from projectnil.postgres import probing
from projectnil.postgres.connections import Pool
from projectnil.postgres.errors import LOCK_TAKEN
from projectnil.sandbox.pool import SandboxPool

log = structlog.get_logger()

_PARTITIONS_EVERY_S = 3600.0
_RENEWALS_PER_LEASE = 3
_PROBE_EVERY_S = 1.0
_TIDY_EVERY_S = 60.0
_UNFINISHED_INDEXES_EVERY_S = 60.0
# There are weeks of time.
_POSTPONED_PARTITIONS_S = 60.0


async def renew_lease(ledger: Ledger, lease_s: float) -> None:
    """One renewal, and the sleep until the next."""
    await ledger.renew_lease()
    await asyncio.sleep(lease_s / _RENEWALS_PER_LEASE)


async def recover(pool: Pool, node_id: NodeId, lease_s: float) -> None:
    """One look for lapsed leases, and the sleep until the next."""
    await recovery.recover(pool, node_id)
    await asyncio.sleep(lease_s / 2)


async def keep_partitions(pool: Pool, retention_days: int) -> None:
    """Partitions ahead of need; with a retention, old ones dropped. Then the sleep until the next."""
    try:
        await retention.ensure_partitions(pool)
        if retention_days:
            await retention.prune(pool, timedelta(days=retention_days))
    except LOCK_TAKEN:
        log.info("partitions.postponed", againInS=_POSTPONED_PARTITIONS_S)
        await asyncio.sleep(_POSTPONED_PARTITIONS_S)
    else:
        await asyncio.sleep(_PARTITIONS_EVERY_S)


async def keep_indexes(pool: Pool, database_url: str) -> None:
    """Indexes that a migration left to be built while executions go on. Then the sleep until the next look.

    One that cannot be built is tried again after a pause, which doubles: an attempt may fill the disk each time.
    """
    pause_s = _UNFINISHED_INDEXES_EVERY_S
    while True:
        try:
            finished = await indexing.build_missing(pool, database_url)
            break
        except indexing.IndexNotBuilt as error:
            log.warning("index.postponed", error=str(error), againInS=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _PARTITIONS_EVERY_S)
    await asyncio.sleep(_PARTITIONS_EVERY_S if finished else _UNFINISHED_INDEXES_EVERY_S)


async def keep_archives(pool: Pool, archive_days: int) -> None:
    """Old messages removed from the queues' archives, unless archive_days is 0. Then the sleep until the next."""
    if archive_days:
        await retention.prune_archives(pool, timedelta(days=archive_days))
    await asyncio.sleep(_PARTITIONS_EVERY_S)


async def tidy_modules(pool: Pool, sandbox: SandboxPool) -> None:
    """The machine code of functions that are gone goes. Then the sleep until the next look."""
    await tidying.tidy_modules(pool, sandbox)
    await asyncio.sleep(_TIDY_EVERY_S)


async def probe_writing(pool: Pool, troubles: Troubles) -> None:
    """While something fails, one write, which tells whether it still would. Then the sleep until the next look.

    A proxy that sends nothing to an api whose health is DOWN leaves it no other way to find out.
    """
    await asyncio.sleep(_PROBE_EVERY_S)
    if troubles.is_any:
        async with pool.acquire() as conn:
            await probing.write(conn)
        troubles.all_succeeded()
