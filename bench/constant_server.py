"""The baseline of HTTP alone: the platform's own HTTP stack answering a constant. `python -m bench.constant_server FD`.

uvicorn on uvloop and httptools, the same protocol class, a plain ASGI application: what no answer of the platform can
be faster than.
"""

import socket
import sys

import uvicorn
from starlette.types import Receive, Scope, Send

from projectnil.bootstrap.http_connections import Connections, http_bounds
from projectnil.bootstrap.http_protocol import http_config
from projectnil.config import Settings


class Constant:
    """Reads each request's body and answers the same bytes."""

    def __init__(self, body: bytes) -> None:
        self._start = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        }
        self._body = {"type": "http.response.body", "body": body}

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send(self._start)
        await send(self._body)


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    body = sys.argv[2].encode()
    config = http_config(Constant(body), http_bounds(Settings()), Connections(Settings().http_connections))
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
