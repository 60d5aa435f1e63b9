"""Runs one part of the platform in this process, with its failures told in one line."""

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
import uvloop

from projectnil.bootstrap.heartbeat import answer_probes
from projectnil.bootstrap.logs import configure_logs
from projectnil.bootstrap.migration import wait_for_migrated
from projectnil.config import Settings
from projectnil.domain.errors import PlatformError
from projectnil.postgres.errors import ANY_ERROR
from projectnil.processes import (
    DEFAULT_SLICES_NS,
    SHORT_SLICES_NS,
    give_back_large_memory,
    hide_from_siblings,
    take_slices,
)

log = structlog.get_logger()


def run_part(
    part: str,
    settings: Settings,
    listener: socket.socket | None,
    on_ready: Callable[[], None],
    *,
    probes_fd: int | None = None,
) -> int:
    """Run `api` or `compiler` until it is stopped; returns the exit code. probes_fd: of a supervisor that probes it."""
    configure_logs(settings, part)
    hide_from_siblings()
    # A compiler computes for long, and callers of functions should not wait for it.
    take_slices(SHORT_SLICES_NS if part == "api" else DEFAULT_SLICES_NS)
    give_back_large_memory()
    # uvloop is for the api, whose speed matters; it cannot start a process as another user.
    run = uvloop.run if part == "api" else asyncio.run
    return run_to_exit_code(_part(part, settings, listener, on_ready, probes_fd), part, run)


def run_to_exit_code(
    work: Coroutine[Any, Any, None], part: str, run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
) -> int:
    """Run `work`; a platform error becomes a line of the log and exit code 1."""
    try:
        run(work)
    except KeyboardInterrupt:
        return 130
    except (PlatformError, ANY_ERROR) as error:
        log.error(f"{part}.failed", error=str(error))
        return 1
    except BaseExceptionGroup as group:
        # Loops that run side by side may fail side by side.
        platform_errors, surprises = group.split((PlatformError, ANY_ERROR))
        if surprises is not None:
            raise
        for failure in _leaves(platform_errors):
            log.error(f"{part}.failed", error=str(failure))
        return 1
    return 0


async def _part(
    part: str,
    settings: Settings,
    listener: socket.socket | None,
    on_ready: Callable[[], None],
    probes_fd: int | None,
) -> None:
    if probes_fd is not None:
        answer_probes(probes_fd)
    # Each part imports only what it needs: the compiler no web framework, the api no toolchain.
    database_url = settings.database_url
    if database_url is None:
        sys.exit(f"pnil {part} needs a database: give --database-url or PROJECTNIL_DATABASE_URL")
    await wait_for_migrated(database_url, settings.database_wait_s)
    if part == "compiler":
        from projectnil.bootstrap.compiler_process import run_compiler  # noqa: PLC0415

        await run_compiler(settings, database_url, on_ready)
    elif listener is not None:
        from projectnil.bootstrap.api_process import run_api  # noqa: PLC0415

        await run_api(settings, database_url, listener, on_ready)


def _leaves(error: BaseException | None) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error] if error is not None else []
