"""`pnil serve`: the whole platform. Starts the database when none is given, migrates, supervises the processes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog

from projectnil.bootstrap.connections import API_EXTRA_CONNECTIONS, compiler_connections
from projectnil.bootstrap.data_dir import locked
from projectnil.bootstrap.migration import migrate_database
from projectnil.bootstrap.signals import stop_requested, terminal_closed
from projectnil.bootstrap.sockets import listen, url_of
from projectnil.bootstrap.supervision import SupervisedProcess
from projectnil.bootstrap.takeover import taken_over
from projectnil.config import Settings
from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.embedded import MAX_CONNECTIONS, EmbeddedPostgres

log = structlog.get_logger()

_FIRST_RESTART_S = 0.2
_SLOWEST_RESTART_S = 10.0


async def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP. `on_ready` is called once, with the platform's URL, when everything is up.

    Raises PlatformUnavailable when something cannot start.
    """
    reasons = [asyncio.create_task(stop_requested().wait()), asyncio.create_task(terminal_closed())]
    running = asyncio.create_task(_run(settings, on_ready))
    await asyncio.wait([running, *reasons], return_when=asyncio.FIRST_COMPLETED)
    # Wherever it is, also in the middle of starting, it ends what it began.
    running.cancel()
    for reason in reasons:
        reason.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _run(settings: Settings, on_ready: Callable[[str], None]) -> None:
    with contextlib.ExitStack() as held:
        await taken_over(lambda: held.enter_context(locked(settings.data_dir)))
        listener = await taken_over(lambda: held.enter_context(listen(settings.host, settings.port)))
        _warn_if_public(listener)
        async with _database(settings) as (database_url, database):
            await migrate_database(database_url, settings.database_wait_s)
            settings = _with_database(settings, database_url)
            parts = [SupervisedProcess(f"api-{n}", "api", settings, listener) for n in range(settings.workers)]
            parts.append(SupervisedProcess("compiler", "compiler", settings, None))
            await _supervise(parts, database, lambda: on_ready(url_of(listener)))


async def _supervise(
    parts: list[SupervisedProcess], database: EmbeddedPostgres | None, on_ready: Callable[[], None]
) -> None:
    """Start the processes and keep them running, for ever."""
    try:
        await asyncio.gather(*(part.start() for part in parts))
        on_ready()
        async with asyncio.TaskGroup() as keepers:
            for part in parts:
                keepers.create_task(part.keep_running())
            if database is not None:
                keepers.create_task(_keep_database(database))
    finally:
        log.info("serve.stopping")
        await asyncio.gather(*(part.stop() for part in parts))


async def _keep_database(database: EmbeddedPostgres) -> None:
    pause_s = _FIRST_RESTART_S
    while True:
        code = await database.wait()
        log.error("postgres.died", exitCode=code)
        try:
            await database.start()
        except PlatformUnavailable as error:
            # A full disk, say: the rest answers 503 until there is room.
            pause_s = min(pause_s * 2, _SLOWEST_RESTART_S)
            log.error("postgres.not_restarted", error=str(error), restartInS=pause_s)
            await asyncio.sleep(pause_s)
        else:
            pause_s = _FIRST_RESTART_S
            log.info("postgres.restarted")


@contextlib.asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[tuple[str, EmbeddedPostgres | None]]:
    if settings.database_url is not None:
        yield settings.database_url, None
        return
    embedded = EmbeddedPostgres(settings.data_dir, max(MAX_CONNECTIONS, _connections(settings)))
    try:
        await embedded.start()
        yield embedded.url, embedded
    finally:
        await embedded.stop()


def _connections(settings: Settings) -> int:
    """How many connections all processes may open, and some for people who look inside."""
    for_api = settings.workers * (settings.database_connections + API_EXTRA_CONNECTIONS)
    return for_api + compiler_connections(settings) + 20


def _with_database(settings: Settings, database_url: str) -> Settings:
    return msgspec.structs.replace(settings, database_url=database_url)


def _warn_if_public(listener: socket.socket) -> None:
    host = listener.getsockname()[0]
    if not host.startswith("127.") and host != "::1":
        log.warning(
            "serve.public",
            address=host,
            consequence="anyone who can reach this address can run code; the platform has no authentication of its own",
        )
