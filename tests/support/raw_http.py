"""HTTP byte by byte, for what a client library would not send."""

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
from httpx import Headers

from tests.support.platform import Platform

# Long, so that a slow machine fails no test; what is waited for comes sooner.
PATIENCE_S = 60.0


class Answer(msgspec.Struct, frozen=True):
    """One HTTP response."""

    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@contextlib.contextmanager
def connected(platform: Platform) -> Iterator[socket.socket]:
    """A connection to the platform."""
    with socket.create_connection(("127.0.0.1", platform.port), PATIENCE_S) as connection:
        yield connection


def ask(platform: Platform, request: bytes) -> Answer:
    """Send some bytes, and read the first response that they get."""
    with connected(platform) as connection:
        connection.sendall(request)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> Answer:
    """The next response of a connection, no byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, f"closed after {head!r}"
        head += byte
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    headers = Headers([tuple(line.split(": ", 1)) for line in lines])  # type: ignore[arg-type] # pairs
    body = b""
    while missing := int(headers.get("content-length", "0")) - len(body):
        part = connection.recv(min(missing, 65536))
        assert part, f"closed after {len(body)} bytes"
        body += part
    return Answer(int(first.split()[1]), headers, body)


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other side closes; False when it sends something instead."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
