"""Where sandbox processes come from, seen from the api: one fork server for each pool, and a hold on each process."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys

from projectnil.domain.errors import PlatformUnavailable
from projectnil.processes import cpu_s
from projectnil.sandbox.fork_server import ORDER, PID

_FORK_TIMEOUT_S = 20.0


class ProcessHandle:
    """A hold on a process that is not our child: it keeps meaning that process, also once its id is another's."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError when there is no such process any more."""
        self.pid = pid
        self._descriptor: int | None = os.pidfd_open(pid)

    def kill(self) -> None:
        """SIGKILL. Safe to repeat."""
        if self._descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def cpu_s(self) -> float:
        """How long it has had a processor, all its threads together; 0 when it has ended."""
        return cpu_s(self.pid) or 0.0

    def is_gone(self) -> bool:
        """Has it ended? What it held is released then."""
        if self._descriptor is None:
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(0):
            return False
        os.close(self._descriptor)
        self._descriptor = None
        return True


class ForkServer:
    """Starts sandbox processes. It comes up with the first of them, and again when it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def pid(self) -> int:
        """The parent of every process it started."""
        if self._process is None:
            raise RuntimeError("it has not started anything")
        return self._process.pid

    async def fork(self, theirs: socket.socket) -> ProcessHandle:
        """A new process that serves on `theirs`. Raises PlatformUnavailable when there is none to be had."""
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(_FORK_TIMEOUT_S):
                    return ProcessHandle(await self._order(theirs))
            except (OSError, TimeoutError) as error:
                self.close()
                problem = str(error) or "the fork server did not answer"
                raise PlatformUnavailable(f"a sandbox process could not be started: {problem}") from error

    async def _order(self, theirs: socket.socket) -> int:
        ours = self._socket
        if ours is None or self._process is None or self._process.poll() is not None:
            self.close()
            ours = self._start()
        socket.send_fds(ours, [ORDER], [theirs.fileno()])
        answer = await asyncio.get_running_loop().sock_recv(ours, PID.size)
        if len(answer) != PID.size:
            raise ConnectionError("the fork server ended")
        pid: int = PID.unpack(answer)[0]
        return pid

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            self._socket = ours
            # -I: no PYTHON* variables, no user's packages. A process group of its own: Ctrl-C in a terminal is not for
            # it.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "projectnil.sandbox.fork_server", str(theirs.fileno()), str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                cwd="/",
                process_group=0,
            )
        return ours

    def close(self) -> None:
        """End the server, and with it what is left of its processes. Safe to repeat."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
