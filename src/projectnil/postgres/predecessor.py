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
        while pids := _servers_in(self._cluster, self._owners()):
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


def _servers_in(cluster: Path, owners: set[int]) -> list[int]:
    """The processes of Postgres that work in a folder. A zombie has neither a program nor a folder."""
    found = [process for process in Path("/proc").glob("[0-9]*") if _is_server_in(process, cluster, owners)]
    return sorted(int(process.name) for process in found)


def _is_server_in(process: Path, cluster: Path, owners: set[int]) -> bool:
    with suppress(OSError):
        try:
            # proc_pid_exe(5): "(deleted)" is appended once the file was replaced, by an update say.
            is_postgres = (process / "exe").readlink().name.removesuffix(" (deleted)") == "postgres"
            return is_postgres and (process / "cwd").samefile(cluster)
        except PermissionError:
            # Root without CAP_SYS_PTRACE, as in most containers, may not see that of another user's process.
            return _looks_like_server_in(process, cluster, owners)
    return False


def _looks_like_server_in(process: Path, cluster: Path, owners: set[int]) -> bool:
    """By what everybody may read: its owner, its name and its command line. Raises OSError when it is gone."""
    parent_pid = _parent_of_postgres(process)
    if parent_pid is None or process.stat().st_uid != cluster.stat().st_uid:
        return False
    arguments = (process / "cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
    with suppress(ValueError, IndexError, OSError):  # the folder may have another name where that process is
        return Path(arguments[arguments.index("-D") + 1]).samefile(cluster)
    if int(process.name) in owners:
        return True
    # A backend tells no folder. While its postmaster lives, that one counts; one without may be of this cluster.
    return arguments[0].startswith("postgres: ") and _parent_of_postgres(Path("/proc", str(parent_pid))) is None


def _parent_of_postgres(process: Path) -> int | None:
    """The pid of its parent; None when it is no living process of Postgres."""
    try:
        # proc_pid_stat(5): pid (comm) state ppid ...; comm may contain anything.
        name, _, rest = (process / "stat").read_text(errors="replace").partition(" (")[2].rpartition(") ")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent_pid = rest.split()[:2]
    return int(parent_pid) if name == "postgres" and state not in "ZX" else None


def _kill(pids: list[int]) -> None:
    # Without their postmaster they can promise nothing more, and what they promised is in the log on disk.
    log.warning("postgres.orphans_killed", pids=pids)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
