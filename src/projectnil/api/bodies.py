"""A request's body: declared as JSON, decoded, and never more of it than its limit in memory."""

import re
import zlib
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request

from projectnil.api.context import holding_of
from projectnil.api.memory import FREE_BYTES
from projectnil.api.problems import UNSUPPORTED_MEDIA_TYPE, Refused
from projectnil.domain.errors import InvalidInput, TooLarge

HEADERS = "projectnil.headers"

# A JSON MIME type: https://mimesniff.spec.whatwg.org/#json-mime-type
_JSON = re.compile(r"(?:application|text)/json|[\w.+-]+/[\w.+-]+\+json")
# What curl -d and other clients say of any body when they are not told.
_FORM = "application/x-www-form-urlencoded"
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_UNICODE = ("utf-8", "utf8", "us-ascii")
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_DEFLATE = -15
_GZIP_MAGIC = b"\x1f"  # its first byte: the second may be in the next chunk
# Each costs a decoder, however small it is.
_MOST_MEMBERS = 100


async def read_body(request: Request, most_bytes: int) -> bytes | bytearray:
    """The whole body, decoded. most_bytes: of what is sent, and of what it decodes to.

    Raises Refused for a body that is declared as something else than JSON, TooLarge before more than `most_bytes` are
    held in memory, Overloaded when all bodies together hold too much, InvalidInput for one that cannot be decoded.
    """
    headers: Mapping[bytes, bytes] = request.scope[HEADERS]
    if headers.get(b"content-type") != b"application/json" and _has_body(headers):
        _check_media_type(headers)
    decoder = _decoder(headers[b"content-encoding"]) if b"content-encoding" in headers else None
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > most_bytes:
        raise TooLarge("the request body", most_bytes, int(declared))
    body: bytes | bytearray = b""
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        sent, more = message["body"], message["more_body"]
        chunk = sent if decoder is None else decoder.decode(sent, most_bytes - len(body))
        if len(body) + len(chunk) > most_bytes:
            raise TooLarge("the request body", most_bytes)
        body = _joined(body, chunk)
        if len(body) > FREE_BYTES:
            holding_of(request).resize(len(body))
    if decoder is not None:
        decoder.check_complete()
    return body


def _joined(body: bytes | bytearray, chunk: bytes) -> bytes | bytearray:
    if not body:
        return chunk
    if not isinstance(body, bytearray):
        body = bytearray(body)
    body += chunk
    return body


def _has_body(headers: Mapping[bytes, bytes]) -> bool:
    """See RFC 9112, section 6.3: a request that declares neither has none."""
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"").strip(b"0") != b""


def _check_media_type(headers: Mapping[bytes, bytes]) -> None:
    declared = headers.get(b"content-type", b"").decode("latin-1").strip()
    media_type = declared.partition(";")[0].strip().lower()
    charset = _CHARSET.search(declared)
    if charset is not None and charset[1].lower() not in _UNICODE:
        raise Refused(UNSUPPORTED_MEDIA_TYPE, f"the body is declared as {charset[1][:100]}; JSON is sent in UTF-8")
    if _JSON.fullmatch(media_type):
        return
    if media_type in ("", _FORM):
        # Without a page's Origin it is a program, such as curl, that says nothing or what it always says.
        if b"origin" not in headers:
            return
        media_type = media_type or "nothing"
    raise Refused(UNSUPPORTED_MEDIA_TYPE, f"the body is declared as {media_type[:100]}; send application/json")


def _decoder(declared: bytes) -> "_Inflater | None":
    coding = declared.decode("latin-1").strip().lower()
    if coding in ("", "identity"):
        return None
    if coding not in _WINDOW_BITS:
        raise Refused(
            UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding {coding[:100]} is not supported; supported: gzip, deflate",
            {"Accept-Encoding": "gzip, deflate"},
        )
    return _Inflater(coding)


class _Inflater:
    """gzip (RFC 1952) or deflate, which RFC 9110 means in a zlib wrapper (RFC 1950) and some clients send without."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._zlib = zlib.decompressobj(_WINDOW_BITS[coding])
        self._begun = False
        self._members = 1

    def decode(self, chunk: bytes, most_bytes: int) -> bytes:
        """At most `most_bytes` and one more, which tells that there is too much."""
        parts: list[bytes] = []
        room_bytes = most_bytes + 1
        while chunk and room_bytes:
            if self._zlib.eof:
                self._begin_member(chunk)
            elif not self._begun and self._coding == "deflate" and not _has_zlib_header(chunk):
                self._zlib = zlib.decompressobj(_RAW_DEFLATE)
            self._begun = True
            try:
                parts.append(self._zlib.decompress(chunk, room_bytes))
            except zlib.error as error:
                raise InvalidInput(f"the body is not {self._coding}: {error}") from None
            room_bytes -= len(parts[-1])
            chunk = self._zlib.unused_data
        return b"".join(parts)

    def _begin_member(self, rest: bytes) -> None:
        """gzip data may be several members (RFC 1952, section 2.2), as `cat a.gz b.gz` makes it."""
        if self._coding == "deflate" or not rest.startswith(_GZIP_MAGIC):
            raise InvalidInput(f"the body goes on after the end of its {self._coding} data")
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise InvalidInput(f"the body has more than {_MOST_MEMBERS} gzip members")
        self._zlib = zlib.decompressobj(_WINDOW_BITS[self._coding])

    def check_complete(self) -> None:
        """Raises InvalidInput when the data stops before its end."""
        if self._begun and not self._zlib.eof:
            raise InvalidInput(f"the body's {self._coding} data is cut off")


def _has_zlib_header(chunk: bytes) -> bool:
    # RFC 1950: CM is 8, and CMF * 256 + FLG is a multiple of 31. One byte of chunk tells half of it.
    return chunk[0] & 0x0F == 8 and (len(chunk) < 2 or (chunk[0] * 256 + chunk[1]) % 31 == 0)
