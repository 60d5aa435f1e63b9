"""The machine code of functions that were deleted or changed goes."""

import structlog

from projectnil.domain.functions import ModuleSha256
from projectnil.postgres import functions
from projectnil.postgres.connections import Pool
from projectnil.sandbox.pool import SandboxPool

log = structlog.get_logger()


async def tidy_modules(pool: Pool, sandbox: SandboxPool) -> list[ModuleSha256]:
    """Remove from the cache what two calls in a row found no function to have; returns the modules removed.

    Between two calls there must be time for an execution that was begun before the first to come to run.
    """

    async def wanted(known: list[ModuleSha256]) -> set[ModuleSha256]:
        async with pool.acquire() as conn:
            return await functions.wanted_modules(conn, known)

    removed = await sandbox.remove_unwanted_modules(wanted)
    for sha256 in removed:
        log.info("module.removed", sha256=sha256)
    return removed
