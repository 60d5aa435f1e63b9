"""What a sandbox process does, once the fork server has made it.

It answers requests one after the other until the other end closes. The api starts it and ends it: it ignores Ctrl-C and
SIGTERM, and dies with the api however that dies. It ends by itself after a guest that took long: such a guest has made
it give way to others, and only a new process can have its place back. So it does after a module it could not load.
"""

import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import NoReturn

from wasmtime import Engine

from projectnil.confinement.landlock import allow_only_reading
from projectnil.domain.executions import Failed
from projectnil.domain.limits import MIB, Limits
from projectnil.processes import LONG_SLICES_NS, SHORT_SLICES_NS, take_slices
from projectnil.sandbox.capi import EngineFault
from projectnil.sandbox.engine import CannotLoad, create_engine, translate
from projectnil.sandbox.execution import Executor
from projectnil.sandbox.failure import BrokenModule
from projectnil.sandbox.fingerprint import SLOTS
from projectnil.sandbox.hardening import (
    close_standard_streams,
    data_bytes,
    drop_capabilities,
    give_up_privileges,
    outlive_signals_but_not_the_parent,
    prepare_to_give_way,
    prepare_wait_clock,
)
from projectnil.sandbox.priority import LEAST_NICE, MOST_NICE
from projectnil.sandbox.protocol import (
    TRANSLATION_BYTES,
    CannotRun,
    Invalid,
    Leaving,
    NoSnapshot,
    Prepare,
    Ready,
    Reply,
    Request,
    Returned,
    Role,
    Run,
    Snapshot,
    Starved,
    TakeSnapshot,
    Translate,
    Translated,
    decode_order,
    decode_request,
    encode_frame,
    take_frames,
)
from projectnil.sandbox.snapshotter import take_snapshot
from projectnil.sandbox.wasm_snapshot import NotSafe

_READ_BYTES = 65_536
# Replies go together while the next request is here already, but not later nor more than this.
_HELD_S = 0.0003
_HELD_BYTES = 65_536
# A guest that runs longer gives way to others, and takes its process with it when it ends.
TIRED_S = 0.05
# The kernel changes the priority of one group in a tenth of a second.
_TRIES_TO_GIVE_WAY = 40


# An output is held as UTF-16, as UTF-8 and as Python's objects, up to 200 bytes for each of 400,000 (domain.json_text).
_COPIES = 16
_SPARE_BYTES = 192 * MIB


class _Closed(Exception):
    """The api closed its end, or is gone."""


class _Connection:
    """The requests that have come and not begun, and the way back.

    The main thread receives and sends in turn; the clock's thread hands back what waits behind a slow guest.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._give_way_to_others = prepare_to_give_way()
        self.wait_clock = prepare_wait_clock()
        self._received = bytearray()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._begun: int | None = None  # the number of the request under way
        self._replies = bytearray()
        self._held_since = 0.0
        self._lock = threading.Lock()
        self.is_tired = False
        self._nice = 0  # what it has taken, and what it is to take
        self._wanted_nice = LEAST_NICE
        self._is_known_as_slow = False

    def receive(self) -> Request:
        """Waits for the next request, which counts as begun then. Raises _Closed."""
        while (body := self._begin_next()) is None:
            self._take_in(self._read(_READ_BYTES))
        request: Request = decode_request(body)
        return request

    def send(self, reply: Reply) -> None:
        now = monotonic()
        with self._lock:
            if not self._replies:
                self._held_since = now
            self._reply(reply)
            if self.is_tired:
                self._replies += encode_frame(Leaving(), 0)
            if (
                self.is_tired
                or not self._waiting
                or now - self._held_since > _HELD_S
                or len(self._replies) > _HELD_BYTES
            ):
                self._send_replies()

    def give_way(self, elapsed_s: float) -> None:
        """For the clock's thread, while a guest has run for so long: return every request that has not begun, hold no
        reply any longer, and leave the processor to others."""
        with self._lock, suppress(_Closed):  # the main thread will see it
            if self._begun is None:
                return
            if elapsed_s > TIRED_S:
                self.is_tired = True
                if self._nice < self._wanted_nice and self._give_way_to_others(self._wanted_nice):
                    self._nice = self._wanted_nice
            with suppress(BlockingIOError):
                self._take_in(self._read(_READ_BYTES, socket.MSG_DONTWAIT))
            numbers = [number for number, _ in self._waiting]
            self._waiting.clear()
            is_news = not self._is_known_as_slow
            if is_news:
                take_slices(LONG_SLICES_NS)
                self._is_known_as_slow = True
            if numbers or is_news:
                self._replies += encode_frame(Returned(numbers), 0)
            if self._replies:
                self._send_replies()

    def give_way_for_good(self) -> None:
        """Nothing waits for what this process does."""
        for _ in range(_TRIES_TO_GIVE_WAY):
            if self._give_way_to_others(MOST_NICE):
                return
            sleep(0.05)

    def send_last(self, reply: Reply) -> None:
        """For the clock's thread, which then ends the process."""
        with self._lock, suppress(_Closed):
            self._reply(reply)
            self._replies += encode_frame(Leaving(), 0)
            self._send_replies()

    def _reply(self, reply: Reply) -> None:
        if self._begun is None:
            raise RuntimeError("there is no request to reply to")
        self._replies += encode_frame(reply, self._begun)
        self._begun = None

    def _begin_next(self) -> bytes | None:
        with self._lock:
            if not self._waiting:
                return None
            if self._is_known_as_slow:
                take_slices(SHORT_SLICES_NS)
                self._is_known_as_slow = False
            self._begun, body = self._waiting.popleft()
            return body

    def _take_in(self, data: bytes) -> None:
        """Add to what was received; whole frames wait from then on."""
        self._received += data
        for number, body in take_frames(self._received):
            if number:
                self._waiting.append((number, body))
            else:
                self._wanted_nice = decode_order(body).nice

    def _send_replies(self) -> None:
        replies, self._replies = self._replies, bytearray()
        try:
            self._socket.sendall(replies)
        except ConnectionError:
            raise _Closed from None

    def _read(self, most_bytes: int, flags: int = 0) -> bytes:
        try:
            data = self._socket.recv(most_bytes, flags)
        except ConnectionError:
            raise _Closed from None
        if not data:
            raise _Closed
        return data


def serve(sock: socket.socket) -> None:
    """Answer the requests that come over the socket. Returns when the process is to end."""
    connection = _Connection(sock)
    with suppress(_Closed):
        _serve(connection)


def _serve(connection: _Connection) -> None:
    prepare = connection.receive()
    if not isinstance(prepare, Prepare):
        raise TypeError(f"the first request must be Prepare, not {type(prepare).__name__}")
    outlive_signals_but_not_the_parent(prepare.parent_pid)
    refused = [drop_capabilities()]
    engine = _engine_of(prepare.role)  # before: Wasmtime looks up how many processors there are for it
    most_data_bytes = data_bytes() + _work_bytes(prepare.role, prepare.limits)
    refused.append(allow_only_reading(prepare.readable))
    answer = _answerer(prepare.role, engine, prepare.limits, connection)
    close_standard_streams()
    refused.append(give_up_privileges(most_data_bytes))
    connection.send(Ready("; ".join(problem for problem in refused if problem)))
    while not connection.is_tired:
        connection.send(_answer(answer, connection))


def _answer(answer: Callable[[Request], Reply], connection: _Connection) -> Reply:
    request = connection.receive()
    try:
        return answer(request)
    except Exception as error:  # there is no standard error to tell it to, and this process is not to be trusted now
        connection.is_tired = True
        return CannotRun(f"it failed: {type(error).__name__}: {error}", code_is_bad=False)


def _work_bytes(role: Role, limits: Limits) -> int:
    """How much memory the process may need to write to, besides its engine's."""
    if role is not Role.EXECUTOR:
        return TRANSLATION_BYTES
    # Every slot of the engine's pool may have a memory that a guest has grown.
    texts_bytes = _COPIES * (limits.input_bytes + limits.output_bytes + limits.log_bytes)
    return SLOTS * limits.memory_bytes + texts_bytes + _SPARE_BYTES


def _engine_of(role: Role) -> Engine:
    # Wasmtime would put what a memory begins with into a file in memory, and a snapshotter may not write one.
    return create_engine(memory_init_cow=False) if role is Role.SNAPSHOTTER else create_engine()


def _answerer(role: Role, engine: Engine, limits: Limits, connection: _Connection) -> Callable[[Request], Reply]:
    match role:
        case Role.EXECUTOR:
            executor = Executor(
                engine,
                limits,
                connection.give_way,
                lambda outcome: _give_up(connection, outcome),
                connection.wait_clock,
            )
            return lambda request: _execute(executor, connection, request)
        case Role.TRANSLATOR:
            return lambda request: _translate(engine, limits, request)
        case Role.SNAPSHOTTER:
            connection.give_way_for_good()
            return lambda request: _take_snapshot(engine, limits, request)


def _give_up(connection: _Connection, outcome: Failed | Starved) -> NoReturn:
    connection.send_last(outcome)
    os._exit(0)  # the guest has the main thread, and does not let go of it


def _execute(executor: Executor, connection: _Connection, request: Request) -> Reply:
    if not isinstance(request, Run):
        raise TypeError(f"an executor only runs, and was asked to {type(request).__name__}")
    try:
        return executor.run(request.code_path, request.wasm_path, request.input_json)
    except CannotLoad as error:
        # The folder may have been replaced, and the new one is open to new processes only.
        connection.is_tired = True
        return CannotRun(str(error), code_is_bad=True)
    except EngineFault as error:
        return CannotRun(f"the engine failed: {error}", code_is_bad=False)


def _translate(engine: Engine, limits: Limits, request: Request) -> Reply:
    if not isinstance(request, Translate):
        raise TypeError(f"a translator only translates, and was asked to {type(request).__name__}")
    try:
        return Translated(translate(engine, request.wasm, limits.memory_bytes))
    except BrokenModule as failure:
        return Invalid(failure.problem)


def _take_snapshot(engine: Engine, limits: Limits, request: Request) -> Reply:
    if not isinstance(request, TakeSnapshot):
        raise TypeError(f"a snapshotter only takes snapshots, and was asked to {type(request).__name__}")
    try:
        return Snapshot(take_snapshot(engine, limits, request.wasm_path))
    except NotSafe as reason:
        return NoSnapshot(str(reason))
