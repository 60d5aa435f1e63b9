"""Keyset pages: a page is what comes before the place of an item, which for most is its id (see `place_of`).

The cursor is opaque to clients.
"""

import base64
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from projectnil.api.rendering import json_response
from projectnil.domain.errors import InvalidInput
from projectnil.domain.ids import place_of

DEFAULT_LIMIT = 50
MOST = 500
# The 16 bytes of an id in base64url: the last of 22 letters has two bits.
CURSOR_PATTERN = "^[A-Za-z0-9_-]{21}[AQgw]$"
_CURSOR = re.compile(CURSOR_PATTERN)
_LIMIT = re.compile(r"[1-9][0-9]{0,2}")


class HasId(Protocol):
    """Anything a page can end with."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...


Item = TypeVar("Item", bound=HasId)


class Page(msgspec.Struct, frozen=True):
    """limit: maximum number of items. before: the place of the last item of the page before, None for the newest."""

    limit: int
    before: str | None

    @property
    def fetch(self) -> int:
        """One more than is shown tells whether there is a next page."""
        return self.limit + 1


def parse_page(request: Request) -> Page:
    """Reads `limit` and `cursor`. Raises InvalidInput."""
    limit_text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not _LIMIT.fullmatch(limit_text) or int(limit_text) > MOST:
        raise InvalidInput(f"must be a whole number from 1 to {MOST}; it is {limit_text[:100]!r}", "limit")
    cursor = request.query_params.get("cursor")
    return Page(int(limit_text), _decode(cursor) if cursor is not None else None)


def page_response(
    request: Request,
    page: Page,
    found: Sequence[Item],
    render: Callable[[Item], Any],
    *,
    looked_to: str | None = None,
) -> Response:
    """The answer with the page's share of what was found with `page.fetch`, and the link to the next one.

    looked_to: the last place that a search looked at, when it ended there with fewer.
    """
    items = [render(item) for item in found[: page.limit]]
    last = _place(found[page.limit - 1]) if len(found) > page.limit else looked_to
    return json_response(items, headers=_next_link(request, page, last))


def _place(item: HasId) -> str:
    return place_of(item.id, item.created_at)


def _next_link(request: Request, page: Page, last: str | None) -> dict[str, str]:
    """The `Link` header (RFC 8288) for the page after the place `last`; none without one."""
    if last is None:
        return {}
    kept: dict[str, Any] = {name: value for name, value in request.query_params.items() if name != "cursor"}
    query = urlencode({**kept, "limit": page.limit, "cursor": encode_cursor(last)})
    return {"Link": f'<{request.url.path}?{query}>; rel="next"'}


def encode_cursor(identifier: str) -> str:
    """The cursor of the page that comes before an id."""
    return base64.urlsafe_b64encode(UUID(identifier).bytes).rstrip(b"=").decode()


def _decode(cursor: str) -> str:
    if not _CURSOR.fullmatch(cursor):
        raise InvalidInput("must be the cursor of a Link header, unchanged", "cursor")
    return str(UUID(bytes=base64.urlsafe_b64decode(cursor + "==")))
