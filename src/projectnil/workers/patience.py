"""How a loop outlives a database that is away for a while."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from projectnil.domain.errors import PlatformUnavailable
from projectnil.flows.troubles import Troubles
from projectnil.postgres.errors import DATABASE_ERRORS

log = structlog.get_logger()

DATABASE_TROUBLE = (*DATABASE_ERRORS, PlatformUnavailable, TimeoutError)

_RETRY_S = 1.0


async def forever(name: str, step: Callable[[], Awaitable[None]], troubles: Troubles) -> None:
    """Repeat `step`; after trouble with the database say so once, in the log and to `troubles`, wait, and go on."""
    in_trouble = False
    while True:
        try:
            await step()
            in_trouble = False
            troubles.succeeded(name)
        except DATABASE_TROUBLE as error:
            troubles.failed(name, error)
            if not in_trouble:
                log.warning("worker.waiting", worker=name, error=str(error) or type(error).__name__)
            in_trouble = True
            await asyncio.sleep(_RETRY_S)
