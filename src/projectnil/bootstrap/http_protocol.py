"""HTTP as uvicorn speaks it, with our own words for what is not HTTP, and an answer in one piece."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from projectnil.api.problems import MEDIA_TYPE, malformed_request_problem

# Longer than a proxy keeps an idle connection to us, so that it never sends a request on one we are about to close.
_KEEP_ALIVE_S = 75


def http_config(app: Callable[..., Any], stop_grace_s: int | None = None) -> uvicorn.Config:
    """How uvicorn serves an ASGI application here. stop_grace_s: for answers on their way when it stops."""
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=stop_grace_s,
    )


class HttpProtocol(HttpToolsProtocol):
    """Also a request that cannot be parsed gets an error of the one shape."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, _InOnePiece(transport, self.loop)))

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 # uvicorn's own words
        body = malformed_request_problem()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()


class _InOnePiece:
    """A transport in which an answer's head waits for its body.

    uvicorn writes one after the other, and each would be a packet of its own. The head waits until the next iteration
    of the event loop at the most.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting = b""

    def write(self, data: bytes) -> None:
        if self._waiting:
            head, self._waiting = self._waiting, b""
            self._transport.writelines((head, data))
        else:
            self._waiting = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._waiting:
            head, self._waiting = self._waiting, b""
            self._transport.write(head)
