"""One process of the platform under supervision: started, watched, started again, stopped."""

import asyncio
import contextlib
import os
import signal
import socket
import sys

import structlog

from projectnil.bootstrap.child import child_environment
from projectnil.bootstrap.heartbeat import PROBE_EVERY_S, Heartbeat
from projectnil.config import Settings
from projectnil.domain.errors import PlatformUnavailable
from projectnil.processes import die_with_parent

log = structlog.get_logger()

_READY_TIMEOUT_S = 60.0
_FIRST_RESTART_S = 0.2
_SLOWEST_RESTART_S = 10.0
_STEADY_AFTER_S = 30.0
_KILL_AFTER_GRACE_S = 1.7


class SupervisedProcess:
    """One process of the platform, started again whenever it dies, and replaced when it is deaf."""

    def __init__(self, name: str, part: str, settings: Settings, listener: socket.socket | None) -> None:
        self._name = name
        self._part = part
        self._settings = settings
        self._listener = listener
        self._process: asyncio.subprocess.Process | None = None
        self._heartbeat: Heartbeat | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start the process and wait until it says that it is up.

        Raises PlatformUnavailable when it ends instead, or takes too long; then it is killed.
        """
        ready_read, ready_write = os.pipe()
        probes, its_probes = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = await self._spawn(ready_write, its_probes.fileno())
        except BaseException:
            probes.close()
            raise
        finally:
            os.close(ready_write)
            its_probes.close()
        self._watch(Heartbeat(self._process.pid, probes))
        if not await _says_ready(ready_read):
            await _kill(self._process)
            raise PlatformUnavailable(f"the {self._name} process did not start; its last words are above")

    async def _spawn(self, *inherited: int) -> asyncio.subprocess.Process:
        if self._listener is not None:
            inherited = (*inherited, self._listener.fileno())
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "projectnil.bootstrap.child",
            self._part,
            *map(str, inherited),
            env=child_environment(self._settings),
            pass_fds=inherited,
            start_new_session=True,  # a Ctrl-C at the terminal is ours to turn into an orderly stop
            # Killed, not asked: a new platform may be waiting for the port.
            preexec_fn=die_with_parent(signal.SIGKILL),
        )

    async def keep_running(self) -> None:
        """Wait for the process to die, and start it again, more and more patiently when it keeps dying."""
        clock = asyncio.get_running_loop().time
        pause_s = _FIRST_RESTART_S
        while self._process is not None:
            started = clock()
            code = await self._ended(self._process)
            if self._stopping:
                return
            pause_s = _FIRST_RESTART_S if clock() - started > _STEADY_AFTER_S else min(pause_s * 2, _SLOWEST_RESTART_S)
            log.error("process.died", process=self._name, exitCode=code, restartInS=pause_s)
            await asyncio.sleep(pause_s)
            try:
                await self.start()
            except PlatformUnavailable as error:
                log.error("process.not_restarted", process=self._name, error=str(error))

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Return the exit code once the process has ended, of itself or because it was deaf."""
        ended = asyncio.create_task(process.wait())
        try:
            while not (await asyncio.wait([ended], timeout=PROBE_EVERY_S))[0]:
                problem = self._heartbeat.probe() if self._heartbeat is not None else None
                if problem is not None and not self._stopping:
                    log.error("process.deaf", process=self._name, error=problem)
                    process.kill()
            return ended.result()
        finally:
            ended.cancel()

    def _watch(self, heartbeat: Heartbeat) -> None:
        if self._heartbeat is not None:
            self._heartbeat.close()
        self._heartbeat = heartbeat

    async def stop(self) -> None:
        """Ask the process to end, and kill it when it takes longer than the grace."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._settings.stop_grace_s + _KILL_AFTER_GRACE_S)
        except TimeoutError:
            log.warning("process.killed", process=self._name)
            await _kill(process)


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _says_ready(ready_read: int) -> bool:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    with os.fdopen(ready_read, "rb") as pipe:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            return await asyncio.wait_for(reader.read(1), _READY_TIMEOUT_S) == b"1"
        except TimeoutError:
            return False
        finally:
            transport.close()
