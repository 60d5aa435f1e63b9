"""A request that asks for another protocol as well. This server ignores that, as RFC 9110, section 7.8 lets it.

The parser takes such a request as one without a body, whatever its head says. Another parser goes on behind the head.
"""

from collections.abc import Sequence
from typing import Any

import httptools

_FRAMING = (b"content-length", b"transfer-encoding")


def parser_behind_head(protocol: Any, headers: Sequence[tuple[bytes, bytes]]) -> httptools.HttpRequestParser:
    """A parser that expects the body that `headers` declare, and then further requests, which are `protocol`'s.

    Tells `protocol` that the message is complete if it has no body. Raises HttpParserError for faulty framing.
    """
    parser = httptools.HttpRequestParser(_BehindHead(protocol))
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
    framing = b"".join(b"%b: %b\r\n" % header for header in headers if header[0] in _FRAMING)
    parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n")
    return parser


class _BehindHead:
    """Passes on what a parser finds, except for its first head."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._is_behind = False
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if self._is_behind:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._is_behind:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_behind:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._is_behind:
            self._protocol.on_headers_complete()
        self._is_behind = True
