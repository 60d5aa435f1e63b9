"""One compiler process."""

import asyncio
from collections.abc import Callable

import structlog

from projectnil.bootstrap.connections import compiler_connections
from projectnil.bootstrap.signals import stop_requested
from projectnil.compiler.registry import toolchains
from projectnil.config import Settings
from projectnil.postgres.connections import opened_pool
from projectnil.workers.compiler import CompilerService

log = structlog.get_logger()


async def run_compiler(settings: Settings, database_url: str, on_ready: Callable[[], None]) -> None:
    """Compile jobs until SIGTERM or SIGINT; then finish what is being compiled, within the grace, and return.

    Raises PlatformUnavailable when the database is gone: the supervisor starts it again.
    """
    async with opened_pool(database_url, compiler_connections(settings)) as pool:
        service = CompilerService(settings, pool, database_url, toolchains(settings))
        running = asyncio.create_task(service.run(on_ready))
        stop = stop_requested()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        service.stop()
        try:
            await asyncio.wait_for(running, settings.stop_grace_s if stop.is_set() else None)
        except TimeoutError:
            log.info("compiler.interrupted", consequence="the job reappears for another compiler")
