"""One compiler process: a child that answers each JSON line on its stdin with a JSON line on its stdout."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from projectnil.compiler.confinement import encode
from projectnil.compiler.metering import CostMeter, resident_bytes
from projectnil.compiler.toolchain import Onlooker, let_go_on
from projectnil.confinement.profile import Profile
from projectnil.domain.compilation import CompileCost
from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.limits import in_units
from projectnil.processes import die_with_parent

START_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.1
LINE_BYTES = 4 * 1024 * 1024
STDERR_BYTES = 16 * 1024

_LAUNCHER = (sys.executable, "-I", "-m", "projectnil.confinement.launcher")


class ProcessDied(Exception):
    """The process ended before it answered. returncode: as in subprocess, -N for signal N. stderr: its last words."""

    def __init__(self, returncode: int, stderr: str) -> None:
        self.returncode = returncode
        self.stderr = stderr
        super().__init__(f"ended with {returncode}")


class ProcessTookTooLong(Exception):
    """The deadline passed; the process was killed. cost: of what it did until then."""

    def __init__(self, cost: CompileCost | None = None) -> None:
        self.cost = cost or CompileCost()
        super().__init__("took too long")


class ProcessOutgrewMemory(Exception):
    """The process held more memory than its limit; it was killed."""


class ProcessStopped(Exception):
    """The onlooker wanted it to end; it was killed."""


class ProcessBrokeProtocol(Exception):
    """The process answered with what is no answer; it was killed."""


class WorkerProcess:
    """A child process that dies with this one, sees no environment but its own, and serves one request at a time."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        self._stderr = b""
        self._stderr_task = asyncio.create_task(self._keep_stderr())
        self.answered = 0

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], folder: Path, profile: Profile | None
    ) -> Self:
        """Start `command` in `folder` and wait for its first line. Raises PlatformUnavailable.

        profile: how it is confined; None for a program that meets no stranger's code.
        """
        confined = [] if profile is None else [*_LAUNCHER, encode(profile), str(os.getpid())]
        try:
            child = await asyncio.create_subprocess_exec(
                *confined,
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(environment),
                cwd=folder,
                limit=LINE_BYTES,
                # A Ctrl-C at the terminal is for the platform, which then stops its compilers in order.
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        except OSError as error:
            raise PlatformUnavailable(f"cannot start a compiler: {error}") from error
        process = cls(child)
        try:
            await process._read_line(START_TIMEOUT_S)
        except (ProcessDied, ProcessTookTooLong, ProcessBrokeProtocol) as error:
            raise PlatformUnavailable(f"a compiler did not start: {error}: {process.last_words}") from error
        except BaseException:
            await process.stop()
            raise
        return process

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.returncode is None

    @property
    def last_words(self) -> str:
        """The end of what it wrote to stderr."""
        return self._stderr.decode(errors="replace").strip()

    @property
    def resident_bytes(self) -> int:
        """The memory it holds now; 0 when that is not known."""
        return resident_bytes(self.pid)

    async def ask(
        self, request: bytes, *, timeout_s: float, memory_bytes: int, onlooker: Onlooker = let_go_on
    ) -> bytes:
        """The answer to `request`, one line of JSON each.

        Raises ProcessDied, ProcessTookTooLong, ProcessOutgrewMemory, ProcessStopped or ProcessBrokeProtocol; the
        process is gone then. Cancelled in the middle it is gone too, for its next line would answer the wrong request.
        """
        meter = CostMeter(self.pid, is_practised=self.answered > 0)

        def look() -> None:
            go_on = onlooker(meter.read())
            if self.resident_bytes > memory_bytes:
                raise ProcessOutgrewMemory
            if not go_on:
                raise ProcessStopped

        try:
            assert self._child.stdin is not None  # noqa: S101 # it was asked for
            with contextlib.suppress(ConnectionError):  # it died; reading says how
                self._child.stdin.write(request + b"\n")
                await self._child.stdin.drain()
            answer = await self._read_line(timeout_s, look)
        except ProcessTookTooLong:
            raise ProcessTookTooLong(meter.read()) from None
        except BaseException:
            await self.stop()
            raise
        onlooker(meter.read())
        self.answered += 1
        return answer

    def kill(self) -> None:
        """End it at once. Nothing is lost: it holds no state."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()

    async def stop(self) -> None:
        """Kill it and wait until it is gone."""
        self.kill()
        await self._child.wait()
        await self._stderr_task
        if self._child.stdin is not None:
            self._child.stdin.close()

    async def _read_line(self, timeout_s: float, look: Callable[[], None] = lambda: None) -> bytes:
        assert self._child.stdout is not None  # noqa: S101 # it was asked for
        reading = asyncio.create_task(self._child.stdout.readline())
        try:
            await _watch(reading, timeout_s, look)
            line = reading.result()
        except (ProcessTookTooLong, ProcessOutgrewMemory, ProcessStopped):
            await self.stop()
            raise
        except ValueError as error:  # StreamReader.readline: more than LINE_BYTES
            await self.stop()
            raise ProcessBrokeProtocol(f"it answered with more than {in_units(LINE_BYTES)}") from error
        finally:
            reading.cancel()
        if line.endswith(b"\n"):
            return line
        returncode = await self._child.wait()
        await self._stderr_task
        raise ProcessDied(returncode, self.last_words)

    async def _keep_stderr(self) -> None:
        assert self._child.stderr is not None  # noqa: S101 # it was asked for
        while chunk := await self._child.stderr.read(4096):
            self._stderr = (self._stderr + chunk)[-STDERR_BYTES:]


async def _watch(reading: asyncio.Task[bytes], timeout_s: float, look: Callable[[], None]) -> None:
    """Look now and then until `reading` is done. Raises what `look` raises, and ProcessTookTooLong."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not reading.done():
        look()
        left_s = deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise ProcessTookTooLong
        await asyncio.wait({reading}, timeout=min(left_s, LOOK_EVERY_S))
