"""One sandbox process, seen from the api: started, asked, killed."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import cast

import msgspec

from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.limits import MIB, Limits
from projectnil.sandbox.deadline import LEAST_SHARE
from projectnil.sandbox.forking import ForkServer, ProcessHandle
from projectnil.sandbox.priority import LEAST_NICE
from projectnil.sandbox.protocol import (
    FrameTooLarge,
    GiveWay,
    Leaving,
    Prepare,
    Ready,
    Reply,
    Request,
    Returned,
    Role,
    decode_reply,
    encode_frame,
    next_number,
    take_frames,
)

START_TIMEOUT_S = 20.0
# Replies are UTF-8 and capped by the limits; machine code is some ten times its module, and a snapshot at most the
# module with 16 MiB of memory.
_MOST_CODE_BYTES = 512 * MIB
_LAST_LOOK_S = 0.05
_SPARE_REPLY_BYTES = MIB


class ProcessLost(Exception):
    """The process ended, or was ended, before it answered."""


class ProcessOverdue(ProcessLost):
    """It was killed for not answering in time. was_running: had it a processor in its time of grace?"""

    def __init__(self, *, was_running: bool) -> None:
        self.was_running = was_running
        super().__init__("it did not answer in time")


class NotBegun(Exception):
    """The request was never begun: it waited behind one that takes long, or that took the process with it."""


class SandboxProcess(asyncio.Protocol):
    """A process that answers requests in turn. The first of those pending is under way, the others wait behind it.

    on_slow is called when the request under way is known to take long; is_slow is true from then until its answer.
    on_lost is called once, when the connection has closed for whatever reason; the request under way has failed with
    ProcessLost by then, and those behind it with NotBegun. is_lost: it takes nothing more. has_left: it said so.
    """

    def __init__(
        self,
        handle: ProcessHandle,
        sock: socket.socket,
        most_reply_bytes: int,
        on_lost: Callable[["SandboxProcess"], None],
        on_slow: Callable[["SandboxProcess"], None] | None,
    ) -> None:
        self.pid = handle.pid
        self.assigned = 0
        self._assigned_to = ""
        self.answered = 0
        self.begun_at = 0.0  # of the request under way
        self.took_s = 0.0  # the one answered last
        self.idle_since = 0.0
        self._handle = handle
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._most_reply_bytes = most_reply_bytes
        self._on_lost = on_lost
        self._on_slow = on_slow
        self.is_slow = False
        self._nice = LEAST_NICE  # as it will take it without a word
        self._transport: asyncio.Transport | None = None
        self._pending: deque[_Pending] = deque()
        self._number = 0
        self._outbox = bytearray()
        self._received = bytearray()
        self._watch: asyncio.TimerHandle | None = None
        self._overdue: ProcessOverdue | None = None
        self._grace: _Grace | None = None
        self.has_left = False
        self.is_lost = False
        self.unhardened = ""

    @classmethod
    async def start(
        cls,
        fork_server: ForkServer,
        role: Role,
        limits: Limits,
        readable: str | None,
        on_lost: Callable[["SandboxProcess"], None],
        on_slow: Callable[["SandboxProcess"], None] | None = None,
    ) -> "SandboxProcess":
        """Returns once the process is ready for requests. readable: as in Prepare, an absolute path.

        Raises PlatformUnavailable when it does not come up.
        """
        ours, theirs = socket.socketpair()
        try:
            handle = await fork_server.fork(theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        process = cls(handle, ours, _most_reply_bytes(role, limits), on_lost, on_slow)
        try:
            await process._loop.create_unix_connection(lambda: process, sock=ours)
            process.unhardened = await process._prepare(Prepare(role, limits, fork_server.pid, readable))
        except BaseException:
            process.kill()
            if process._transport is None:
                ours.close()
            await process.ended()
            raise
        return process

    async def _prepare(self, prepare: Prepare) -> str:
        try:
            ready = await self.ask(prepare, START_TIMEOUT_S)
        except (ProcessLost, NotBegun) as error:
            raise PlatformUnavailable(f"a sandbox process did not come up: {error or 'it ended'}") from error
        if not isinstance(ready, Ready):
            raise PlatformUnavailable("a sandbox process did not say that it is ready")
        return ready.unhardened

    @property
    def function(self) -> str:
        """Whose guest is under way, or about to be; empty when that is not known."""
        return self._pending[0].function if self._pending else self._assigned_to

    def assign(self, function: str) -> None:
        """One more guest is to be given to it; its caller may have to wait for the event loop before it asks."""
        self.assigned += 1
        self._assigned_to = function

    def ask(
        self, request: Request, timeout_s: float, function: str = "", grace_s: float = _LAST_LOOK_S
    ) -> "asyncio.Future[Reply]":
        """Send a request. timeout_s: from when it is the first of those pending. function: whose guest it runs.

        The future fails with NotBegun; with ProcessLost; with ProcessOverdue after the timeout, grace_s seconds more,
        and a SIGKILL.
        """
        future: asyncio.Future[Reply] = self._loop.create_future()
        if self.is_lost or self._transport is None:
            future.set_exception(NotBegun())
            return future
        self._number = next_number(self._number)
        self._pending.append(_Pending(self._number, future, timeout_s, grace_s, function))
        if len(self._pending) == 1:
            self._begin_next()
        # What comes in the same iteration of the event loop goes in one piece: it wakes the process once.
        if not self._outbox:
            self._loop.call_soon(self._empty_outbox)
        self._outbox += encode_frame(request, self._number)
        return future

    def give_way(self, nice: int) -> None:
        """The guest under way, which takes long, is to take this priority. Costs nothing where the process knows it."""
        if nice != self._nice:
            self._nice = nice
            self._send(encode_frame(GiveWay(nice), 0))

    def is_under_way(self, reply: "asyncio.Future[Reply]") -> bool:
        """Is it this one that the process works on?"""
        return bool(self._pending) and self._pending[0].reply is reply

    def _begin_next(self) -> None:
        self.begun_at = self._loop.time()
        self._watch_until(self.begun_at + self._pending[0].timeout_s)

    def _empty_outbox(self) -> None:
        outbox, self._outbox = self._outbox, bytearray()
        self._send(outbox)

    def _send(self, frames: bytearray) -> None:
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():
            self._transport.write(frames)
            return
        # Past the transport while its buffer is empty: uvloop's waits for the end of the iteration.
        try:
            sent = self._socket.send(frames)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it is gone; the transport is about to notice
        if sent < len(frames):
            self._transport.write(memoryview(frames)[sent:])

    def kill(self) -> None:
        """SIGKILL; on_lost follows. Safe to repeat."""
        self._handle.kill()
        if self._transport is not None:
            self._transport.abort()

    async def ended(self) -> None:
        """Wait until the process is gone. Call after kill or when it is lost."""
        pause_s = 0.001
        while not self._handle.is_gone() or self._transport is not None:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.05)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a stream's; uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            for number, body in take_frames(self._received, self._most_reply_bytes):
                self._take_reply(number, body)
        except FrameTooLarge:
            self.kill()

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True
        self._transport = None
        if self._watch is not None:
            self._watch.cancel()
        self._handle.kill()
        if self._pending and not self.has_left:
            _fail(self._pending.popleft().reply, self._overdue or ProcessLost("it ended"))
        while self._pending:
            _fail(self._pending.popleft().reply, NotBegun())
        self._on_lost(self)

    def _take_reply(self, number: int, body: bytes) -> None:
        try:
            reply = decode_reply(body)
        except msgspec.MsgspecError:
            self.kill()
            return
        if isinstance(reply, Leaving):
            self.is_lost = self.has_left = True
        elif isinstance(reply, Returned):
            self._return(reply.numbers)
        elif self._pending and self._pending[0].number == number:
            self._answer(reply)
        else:
            self.kill()  # an unexpected answer, or another's

    def _answer(self, reply: Reply) -> None:
        future = self._pending.popleft().reply
        self.answered += 1
        self.is_slow = False
        self.took_s = self._loop.time() - self.begun_at
        if self._pending and not self.is_lost:
            self._begin_next()
        if not future.done():
            future.set_result(reply)

    def _return(self, numbers: list[int]) -> None:
        """The request under way takes long, and these behind it were not begun; later ones are still on their way."""
        behind = list(islice(self._pending, 1, 1 + len(numbers)))
        if not self._pending or [each.number for each in behind] != numbers:
            self.kill()
            return
        first = self._pending.popleft()
        for each in behind:
            self._pending.popleft()
            _fail(each.reply, NotBegun())
        self._pending.appendleft(first)
        was_slow, self.is_slow = self.is_slow, True
        if not was_slow and self._on_slow is not None:
            self._on_slow(self)

    def _watch_until(self, deadline: float) -> None:
        # One timer follows many requests: a later deadline is noticed when it fires, not by resetting it.
        if self._watch is not None and self._watch.when() <= deadline:
            return
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._loop.call_at(deadline, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        self._watch = None
        if not self._pending:
            return
        first = self._pending[0]
        deadline = self.begun_at + first.timeout_s
        now = self._loop.time()
        if now < deadline:
            self._watch_until(deadline)
        elif self._grace is None or self._grace.number != first.number:
            # Also since this loop may have been held up itself, with the answer unread.
            self._grace = _Grace(first.number, now, self._handle.cpu_s())
            self._watch = self._loop.call_later(first.grace_s, self._look_at_the_clock)
        else:
            used_s = self._handle.cpu_s() - self._grace.cpu_s
            self._overdue = ProcessOverdue(was_running=used_s >= LEAST_SHARE * (now - self._grace.since))
            self.took_s = now - self.begun_at
            self.kill()


class _Pending(msgspec.Struct, eq=False):
    """A request that waits for its reply. timeout_s: from when it is the first of those pending; then grace_s more."""

    number: int
    reply: "asyncio.Future[Reply]"
    timeout_s: float
    grace_s: float
    function: str


class _Grace(msgspec.Struct, frozen=True):
    """The request `number` is overdue since then, on the loop's clock. cpu_s: what its process had used."""

    number: int
    since: float
    cpu_s: float


def _fail(future: "asyncio.Future[Reply]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _most_reply_bytes(role: Role, limits: Limits) -> int:
    if role in (Role.TRANSLATOR, Role.SNAPSHOTTER):
        return _MOST_CODE_BYTES
    return limits.output_bytes + limits.log_bytes + _SPARE_REPLY_BYTES
