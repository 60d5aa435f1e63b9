"""One sandbox process, seen from the api: started, asked, killed."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import cast

import msgspec

from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.limits import MIB, Limits
from projectnil.sandbox.protocol import (
    LENGTH,
    LENGTH_BYTES,
    Prepare,
    Ready,
    Reply,
    Request,
    Role,
    decode_reply,
    encode_frame,
)

START_TIMEOUT_S = 20.0
# Replies are UTF-8 and capped by the limits; machine code is some ten times its module.
_MOST_CODE_BYTES = 512 * MIB
_SPARE_REPLY_BYTES = MIB


class ProcessLost(Exception):
    """The process ended, or was ended, before it answered."""


class ProcessOverdue(ProcessLost):
    """It was killed for not answering in time."""


class SandboxProcess(asyncio.Protocol):
    """A process with at most one request under way.

    on_lost is called once, when the connection has closed for whatever reason; the pending request, if any, has
    failed with ProcessLost by then.
    """

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        sock: socket.socket,
        most_reply_bytes: int,
        on_lost: Callable[["SandboxProcess"], None],
    ) -> None:
        self.pid = popen.pid
        self.is_busy = False
        self.guests = 0
        self.idle_since = 0.0
        self._popen = popen
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._most_reply_bytes = most_reply_bytes
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._pending: asyncio.Future[Reply] | None = None
        self._received = bytearray()
        self._deadline: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._is_overdue = False
        self.is_lost = False
        self.unhardened = ""

    @classmethod
    async def start(cls, role: Role, limits: Limits, on_lost: Callable[["SandboxProcess"], None]) -> "SandboxProcess":
        """Returns once the process is ready for requests. Raises PlatformUnavailable when it does not come up."""
        ours, theirs = socket.socketpair()
        try:
            popen = _spawn(theirs)
        except OSError as error:
            ours.close()
            raise PlatformUnavailable(f"a sandbox process could not be started: {error}") from error
        finally:
            theirs.close()
        ours.setblocking(False)
        process = cls(popen, ours, _most_reply_bytes(role, limits), on_lost)
        try:
            await process._loop.create_unix_connection(lambda: process, sock=ours)
            process.unhardened = await process._prepare(role, limits)
        except BaseException:
            process.kill()
            if process._transport is None:
                ours.close()
            await process.ended()
            raise
        return process

    async def _prepare(self, role: Role, limits: Limits) -> str:
        try:
            ready = await self.ask(Prepare(role, limits, os.getpid()), START_TIMEOUT_S)
        except ProcessLost as error:
            raise PlatformUnavailable(f"a sandbox process did not come up: {error}") from error
        if not isinstance(ready, Ready):
            raise PlatformUnavailable("a sandbox process did not say that it is ready")
        return ready.unhardened

    def begin_guest(self) -> None:
        self.is_busy = True
        self.guests += 1

    def ask(self, request: Request, timeout_s: float) -> "asyncio.Future[Reply]":
        """Send a request. The future fails with ProcessLost; with ProcessOverdue after timeout_s and a SIGKILL."""
        if self.is_lost or self._transport is None or self._pending is not None:
            raise ProcessLost("the process is gone or busy")
        self._pending = future = self._loop.create_future()
        self._deadline = self._loop.time() + timeout_s
        self._watch_until(self._deadline)
        self._send(encode_frame(request))
        return future

    def _send(self, frame: bytearray) -> None:
        # Past the transport, whose buffer is empty between requests: uvloop's waits for the end of the iteration.
        try:
            sent = self._socket.send(frame)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it is gone; the transport is about to notice
        if sent < len(frame) and self._transport is not None:
            self._transport.write(memoryview(frame)[sent:])

    def kill(self) -> None:
        """SIGKILL; on_lost follows. Safe to repeat."""
        if self._popen.returncode is None:
            self._popen.kill()
        if self._transport is not None:
            self._transport.abort()

    async def ended(self) -> None:
        """Wait until the process is gone from the process table. Call after kill or when it is lost."""
        pause_s = 0.001
        while self._popen.poll() is None or self._transport is not None:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.05)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a stream's; uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if len(received) < LENGTH_BYTES:
            return
        end = LENGTH_BYTES + LENGTH.unpack_from(received)[0]
        if end > self._most_reply_bytes:
            self.kill()
        elif len(received) >= end:
            self._answer(memoryview(received)[LENGTH_BYTES:end])
            self._received = bytearray()

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True
        self._transport = None
        if self._watch is not None:
            self._watch.cancel()
        if self._popen.returncode is None:
            self._popen.kill()
        pending, self._pending = self._pending, None
        if pending is not None and not pending.done():
            pending.set_exception(
                ProcessOverdue("it did not answer in time") if self._is_overdue else ProcessLost("it ended")
            )
        self._on_lost(self)

    def _answer(self, body: memoryview) -> None:
        pending, self._pending, self._deadline = self._pending, None, None
        try:
            reply = decode_reply(body)
        except msgspec.MsgspecError:
            self._pending = pending
            self.kill()
            return
        if pending is None:
            self.kill()  # an answer nobody asked for
        elif not pending.done():
            pending.set_result(reply)

    def _watch_until(self, deadline: float) -> None:
        # One timer follows many requests: a later deadline is noticed when it fires, not by setting it anew.
        if self._watch is not None and self._watch.when() <= deadline:
            return
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._loop.call_at(deadline, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        self._watch = None
        if self._deadline is None:
            return
        if self._loop.time() >= self._deadline:
            self._is_overdue = True
            self.kill()
        else:
            self._watch_until(self._deadline)


def _most_reply_bytes(role: Role, limits: Limits) -> int:
    if role is Role.TRANSLATOR:
        return _MOST_CODE_BYTES
    return limits.output_bytes + limits.log_bytes + _SPARE_REPLY_BYTES


def _spawn(theirs: socket.socket) -> subprocess.Popen[bytes]:
    # -I: no PYTHON* variables, no user's packages. A session of its own: Ctrl-C in a terminal is not for it.
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "projectnil.sandbox.process", str(theirs.fileno())],
        pass_fds=(theirs.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        cwd="/",
        start_new_session=True,
    )
