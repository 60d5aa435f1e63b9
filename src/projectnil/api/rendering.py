"""JSON answers."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

_encoder = msgspec.json.Encoder()


class _JsonResponse(Response):
    """As Starlette would make it, in a quarter of the time: every execution is answered with one."""

    media_type = "application/json"

    def __init__(self, body: bytes, status: int) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body`, a msgspec structure or a list of them, as `application/json`. status: one of those with a body."""
    response = _JsonResponse(_encoder.encode(body), status)
    if headers:
        response.headers.update(headers)
    return response
