"""JSON answers."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

_encoder = msgspec.json.Encoder()


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body`, a msgspec structure or a list of them, as `application/json`."""
    return Response(_encoder.encode(body), status_code=status, headers=headers, media_type="application/json")
