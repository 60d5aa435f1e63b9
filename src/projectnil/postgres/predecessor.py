"""The server that ran on a cluster before: it may still be shutting down, and after a crash it leaves its locks.

Postgres takes any process whose id is in a lock for a server, and refuses to start. It may be a zombie, which a killed
server stays until its parent waits for it (never, under the first process of many containers), or another program that
has the id by now. So the living servers are looked up here, and the locks of dead ones removed.
"""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import structlog

from projectnil.domain.errors import PlatformUnavailable

log = structlog.get_logger()

SOCKET_LOCK = ".s.PGSQL.5432.lock"
_LOOK_EVERY_S = 0.05
# Backends end by themselves when their postmaster is gone, but not in the middle of a long computation.
_ORPHANS_TIMEOUT_S = 5.0


class Predecessor:
    """Whatever still runs on a cluster, and the lock files in it and beside its socket."""

    def __init__(self, cluster: Path, sockets: Path) -> None:
        self._cluster = cluster
        self._locks = (cluster / "postmaster.pid", sockets / SOCKET_LOCK)

    async def gone(self, timeout_s: float) -> None:
        """Return when no server runs on the cluster, with no lock left.

        Raises PlatformUnavailable when one still runs after `timeout_s`.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        while pids := _servers_in(self._cluster):
            if clock() - began > timeout_s:
                raise PlatformUnavailable(f"another Postgres (PID {pids[0]}) runs on {self._cluster}: stop it first")
            if clock() - began > _ORPHANS_TIMEOUT_S and not self._owners() & set(pids):
                _kill(pids)
            await asyncio.sleep(_LOOK_EVERY_S)
        for lock in self._locks:
            lock.unlink(missing_ok=True)

    def has_locks(self) -> bool:
        """Whether there is a lock file."""
        return any(lock.exists() for lock in self._locks)

    def _owners(self) -> set[int]:
        """The servers that the locks name."""
        return {pid for pid in map(_pid_in, self._locks) if pid is not None}


def _pid_in(lock: Path) -> int | None:
    # The first line (Postgres, src/include/utils/pidfile.h); an interrupted write may have left it empty.
    try:
        return int(lock.read_text().splitlines()[0])
    except (OSError, IndexError, ValueError):
        return None


def _servers_in(cluster: Path) -> list[int]:
    """The processes of Postgres that work in a folder. A zombie has neither a program nor a folder."""
    return sorted(int(found.name) for found in Path("/proc").glob("[0-9]*") if _is_server_in(found, cluster))


def _is_server_in(process: Path, cluster: Path) -> bool:
    # proc_pid_exe(5): "(deleted)" is appended once the file was replaced, by an update say.
    with suppress(OSError):
        is_postgres = (process / "exe").readlink().name.removesuffix(" (deleted)") == "postgres"
        return is_postgres and (process / "cwd").samefile(cluster)
    return False


def _kill(pids: list[int]) -> None:
    # Without their postmaster they can promise nothing more, and what they promised is in the log on disk.
    log.warning("postgres.orphans_killed", pids=pids)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
