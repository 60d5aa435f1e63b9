"""A sandbox process: `python -m projectnil.sandbox.process FD`, where FD is its end of a socket pair.

It answers one request at a time until the other end closes. The api starts it and ends it: it ignores Ctrl-C and
SIGTERM, and dies with the api however that dies.
"""

import socket
import sys
from collections.abc import Callable

from wasmtime import Engine

from projectnil.domain.limits import Limits
from projectnil.sandbox.capi import EngineFault
from projectnil.sandbox.engine import CannotLoad, create_engine, translate
from projectnil.sandbox.execution import Executor
from projectnil.sandbox.failure import BrokenModule
from projectnil.sandbox.hardening import drop_capabilities, give_up_privileges, outlive_signals_but_not_the_parent
from projectnil.sandbox.protocol import (
    LENGTH,
    LENGTH_BYTES,
    CannotRun,
    Invalid,
    Prepare,
    Ready,
    Reply,
    Request,
    Role,
    Run,
    Translate,
    Translated,
    decode_request,
    encode_frame,
)

_READ_BYTES = 65_536


class _Closed(Exception):
    """The api closed its end, or is gone."""


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def receive(self) -> Request:
        """Waits for the next request. Raises _Closed."""
        data = self._read(_READ_BYTES)
        while len(data) < LENGTH_BYTES:
            data += self._read(_READ_BYTES)
        end = LENGTH_BYTES + LENGTH.unpack_from(data)[0]
        if len(data) < end:
            data = self._read_until(data, end)
        request: Request = decode_request(memoryview(data)[LENGTH_BYTES:end])
        return request

    def send(self, reply: Reply) -> None:
        try:
            self._socket.sendall(encode_frame(reply))
        except ConnectionError:
            raise _Closed from None

    def _read_until(self, data: bytes, end: int) -> bytes:
        whole = bytearray(data)
        while len(whole) < end:
            whole += self._read(end - len(whole))
        return bytes(whole)

    def _read(self, most_bytes: int) -> bytes:
        try:
            data = self._socket.recv(most_bytes)
        except ConnectionError:
            raise _Closed from None
        if not data:
            raise _Closed
        return data


def main() -> None:
    connection = _Connection(socket.socket(fileno=int(sys.argv[1])))
    try:
        _serve(connection)
    except _Closed:
        return


def _serve(connection: _Connection) -> None:
    prepare = connection.receive()
    if not isinstance(prepare, Prepare):
        raise TypeError(f"the first request must be Prepare, not {type(prepare).__name__}")
    outlive_signals_but_not_the_parent(prepare.parent_pid)
    refused = [drop_capabilities()]
    answer = _answerer(prepare.role, prepare.limits)
    refused.append(give_up_privileges())
    connection.send(Ready("; ".join(problem for problem in refused if problem)))
    while True:
        connection.send(answer(connection.receive()))


def _answerer(role: Role, limits: Limits) -> Callable[[Request], Reply]:
    match role:
        case Role.EXECUTOR:
            executor = Executor(limits)
            return lambda request: _execute(executor, request)
        case Role.TRANSLATOR:
            engine = create_engine()
            return lambda request: _translate(engine, request)


def _execute(executor: Executor, request: Request) -> Reply:
    if not isinstance(request, Run):
        raise TypeError(f"an executor only runs, and was asked to {type(request).__name__}")
    try:
        return executor.run(request.code_path, request.wasm_path, request.input_json)
    except CannotLoad as error:
        return CannotRun(str(error), code_is_bad=True)
    except EngineFault as error:
        return CannotRun(f"the engine failed: {error}", code_is_bad=False)


def _translate(engine: Engine, request: Request) -> Reply:
    if not isinstance(request, Translate):
        raise TypeError(f"a translator only translates, and was asked to {type(request).__name__}")
    try:
        return Translated(translate(engine, request.wasm))
    except BrokenModule as failure:
        return Invalid(failure.problem)


if __name__ == "__main__":
    main()
