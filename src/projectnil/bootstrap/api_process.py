"""One api process: its parts, its loops, its server."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import structlog
import uvicorn

from projectnil.api.app import Application
from projectnil.api.context import ApiContext
from projectnil.api.memory import TransferMemory
from projectnil.bootstrap.connections import PAGE_CONNECTIONS, RECORD_CONNECTIONS, UPKEEP_CONNECTIONS
from projectnil.bootstrap.http_connections import Connections, http_bounds, most_connections
from projectnil.bootstrap.http_protocol import http_config
from projectnil.bootstrap.signals import stop_requested
from projectnil.config import Settings
from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.ids import new_node_id
from projectnil.flows import retention
from projectnil.flows.execution import Executor
from projectnil.flows.ledger import Ledger
from projectnil.flows.troubles import Troubles
from projectnil.postgres.connections import PLANNED_IN_ORDER, PLANNED_ONCE, Pool, opened_pool
from projectnil.postgres.errors import LOCK_TAKEN
from projectnil.postgres.migrations.runner import pending_changesets
from projectnil.sandbox.pool import SandboxPool
from projectnil.workers.patience import DATABASE_TROUBLE, forever
from projectnil.workers.results import apply_results
from projectnil.workers.upkeep import (
    keep_archives,
    keep_indexes,
    keep_partitions,
    probe_writing,
    recover,
    renew_lease,
    tidy_modules,
)

log = structlog.get_logger()

# Every execution has its outcome by then; only answers are still on their way.
_FLUSH_S = 1


async def run_api(settings: Settings, database_url: str, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve on `listener` until SIGTERM or SIGINT; then finish what runs, within the grace, and return.

    Raises PlatformUnavailable when the database cannot be reached or has not this release's schema.
    """
    async with (
        opened_pool(database_url, settings.database_connections, PLANNED_ONCE) as pool,
        opened_pool(database_url, RECORD_CONNECTIONS, PLANNED_ONCE) as record_pool,
        opened_pool(database_url, PAGE_CONNECTIONS, PLANNED_IN_ORDER) as page_pool,
        opened_pool(database_url, UPKEEP_CONNECTIONS) as upkeep_pool,
    ):
        await _check_schema(pool)
        node_id = new_node_id()
        troubles = Troubles()
        ledger = Ledger(record_pool, upkeep_pool, node_id, settings.lease_s, troubles)
        async with _executor(settings, pool, ledger) as (sandbox, executor):
            memory = TransferMemory(settings.http_memory_bytes)
            app = Application(ApiContext(settings, pool, page_pool, sandbox, executor, troubles, memory))
            steps: dict[str, Callable[[], Awaitable[None]]] = {
                "lease": lambda: renew_lease(ledger, settings.lease_s),
                "recovery": lambda: recover(upkeep_pool, node_id, settings.lease_s),
                "partitions": lambda: keep_partitions(upkeep_pool, settings.retention_days),
                "indexes": lambda: keep_indexes(upkeep_pool, database_url),
                "archives": lambda: keep_archives(upkeep_pool, settings.archive_days),
                "results": lambda: apply_results(pool, database_url, executor, visibility_s=settings.job_visibility_s),
                "modules": lambda: tidy_modules(upkeep_pool, sandbox),
                "writes": lambda: probe_writing(upkeep_pool, troubles),
            }
            loops = [forever(name, step, troubles) for name, step in steps.items()]
            connections = Connections(most_connections(settings.http_connections))
            server = _Server(http_config(app, http_bounds(settings), connections, _FLUSH_S))
            await _serve(server, listener, loops, executor, settings.stop_grace_s, on_ready)


async def _check_schema(pool: Pool) -> None:
    async with pool.acquire() as conn:
        pending = await pending_changesets(conn)
    if pending:
        raise PlatformUnavailable(
            f"the database lacks {len(pending)} changesets of this release, the first is {pending[0]}: "
            "run 'pnil migrate' first"
        )


@contextlib.asynccontextmanager
async def _executor(settings: Settings, pool: Pool, ledger: Ledger) -> AsyncIterator[tuple[SandboxPool, Executor]]:
    sandbox = SandboxPool(
        settings.limits,
        settings.module_cache_dir,
        processes=settings.sandbox_processes,
        max_processes=settings.sandbox_max_processes,
        idle_s=settings.sandbox_idle_s,
    )
    executor = Executor(pool, sandbox, ledger)
    await sandbox.start()
    try:
        await ledger.renew_lease()
        with contextlib.suppress(LOCK_TAKEN):  # it is tried again, and a row that has no partition makes it
            await retention.ensure_partitions(pool)
        yield sandbox, executor
    finally:
        await executor.stop(0)
        with contextlib.suppress(*DATABASE_TROUBLE):
            await ledger.end_lease()


async def _serve(
    server: "_Server",
    listener: socket.socket,
    loops: list[Coroutine[Any, Any, None]],
    executor: Executor,
    stop_grace_s: float,
    on_ready: Callable[[], None],
) -> None:
    stop = stop_requested()
    tasks = [asyncio.create_task(loop) for loop in loops]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await server.wait_started(serving)
    on_ready()
    log.info("api.ready", address="{}:{}".format(*listener.getsockname()[:2]))
    done, _ = await asyncio.wait([serving, stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    log.info("api.stopping")
    listener.close()
    await executor.stop(stop_grace_s)
    server.should_exit = True
    await serving
    for task in [*tasks, stopping]:
        task.cancel()
    await asyncio.gather(*tasks, stopping, return_exceptions=True)
    for task in done - {serving, stopping}:
        task.result()  # a loop that ended has an error to tell


class _Server(uvicorn.Server):
    """A server that leaves signals to us: executions are finished before connections are closed."""

    async def wait_started(self, serving: asyncio.Task[None]) -> None:
        """Return once connections are accepted, or serving has failed."""
        while not self.started and not serving.done():  # noqa: ASYNC110 # uvicorn offers a flag, no event
            await asyncio.sleep(0.005)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
