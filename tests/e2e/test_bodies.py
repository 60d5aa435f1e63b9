"""How a request's body is declared, encoded and read."""

import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from tests.conftest import ALLOWED_ORIGIN
from tests.e2e.test_bad_input import assert_problem
from tests.support.functions import ECHO, ready
from tests.support.platform import Platform
from tests.support.raw_http import ask

FUNCTION: dict[str, Any] = {"name": "declared", "language": "assemblyscript", "source": ECHO}
BODY = msgspec.json.encode(FUNCTION)

pytestmark = pytest.mark.usefixtures("functions_made_here_are_deleted")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "APPLICATION/JSON ; Charset=UTF-8",
        "application/ld+json",
        "text/json",
        "application/x-www-form-urlencoded",
        None,
    ],
)
def test_a_body_of_json_by_any_name_is_read(http: httpx.Client, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    assert http.post("/functions", content=BODY, headers=headers).is_success


@pytest.mark.parametrize(
    ("media_type", "words"),
    [
        ("text/plain", "the body is declared as text/plain; send application/json"),
        ("text/plain;charset=UTF-8", "text/plain"),
        ("multipart/form-data; boundary=x", "multipart/form-data"),
        ("application/octet-stream", "application/octet-stream"),
        ("application/jsonp", "application/jsonp"),
        ("application/json, text/plain", "declared as application/json, text/plain"),
        ("application/json; charset=latin1", "declared as latin1; JSON is sent in UTF-8"),
        ("json", "declared as json"),
    ],
)
def test_a_body_that_is_declared_as_something_else_is_a_415(http: httpx.Client, media_type: str, words: str) -> None:
    response = http.post("/functions", json=FUNCTION, headers={"Content-Type": media_type})
    assert_problem(response, 415, "unsupported-media-type", words)
    assert http.get("/functions", params={"name": FUNCTION["name"]}).json() == []


@pytest.mark.parametrize("media_type", [None, "application/x-www-form-urlencoded"])
def test_a_page_has_to_declare_json(platform: Platform, media_type: str | None) -> None:
    declared = f"Content-Type: {media_type}\r\n" if media_type else ""
    head = f"POST /functions HTTP/1.1\r\nHost: localhost\r\nOrigin: {ALLOWED_ORIGIN}\r\n{declared}"
    answer = ask(platform, f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
    assert answer.status == 415


@pytest.mark.parametrize("length", ["", "Content-Length: 0\r\n"], ids=["none", "empty"])
@pytest.mark.parametrize("origin", ["", f"Origin: {ALLOWED_ORIGIN}\r\n"], ids=["program", "page"])
@pytest.mark.parametrize("declared", ["", "Content-Type: text/plain\r\n"], ids=["undeclared", "text"])
def test_nothing_need_be_declared_without_a_body(
    platform: Platform, http: httpx.Client, length: str, origin: str, declared: str
) -> None:
    path = f"/functions/{ready(http, ECHO, FUNCTION['name'])}/execute"
    answer = ask(platform, f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{length}{origin}{declared}\r\n".encode())
    assert (answer.status, answer.json()["output"]) == (200, {})


# Content-Encoding


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


CODINGS: list[tuple[str, Any]] = [
    ("gzip", gzip.compress),
    ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(b"") + gzip.compress(body[9:])),
    ("X-GZIP", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity", bytes),
]


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
@pytest.mark.parametrize("piece_bytes", [1, 100_000])
def test_an_encoded_body_is_decoded(http: httpx.Client, coding: str, encode: Any, piece_bytes: int) -> None:
    encoded = encode(BODY)

    def pieces() -> Iterator[bytes]:
        yield from (encoded[at : at + piece_bytes] for at in range(0, len(encoded), piece_bytes))

    response = http.post("/functions", content=pieces(), headers={"Content-Encoding": coding})
    assert response.status_code == 201, response.text
    assert http.get(f"/functions/{response.json()['id']}").json()["source"] == ECHO


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "x"])
def test_a_coding_that_is_not_supported_is_a_415_that_lists_those_that_are(http: httpx.Client, coding: str) -> None:
    response = http.post("/functions", content=BODY, headers={"Content-Encoding": coding})
    assert_problem(
        response, 415, "unsupported-media-type", f"Content-Encoding {coding} is not supported; supported: gzip"
    )
    assert response.headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[: len(body) // 50]) * 50),
        ("deflate", zlib.compress),
    ],
)
def test_a_body_that_grows_beyond_its_limit_is_a_413(http: httpx.Client, coding: str, encode: Any) -> None:
    bomb = encode(b" " * 300_000_000)
    response = http.post("/functions", content=bomb, headers={"Content-Encoding": coding})
    assert_problem(response, 413, "too-large", "the request body may have at most")


@pytest.mark.parametrize(
    ("coding", "body", "words"),
    [
        ("gzip", BODY, "the body is not gzip"),
        ("deflate", b"x" * 100, "the body is not deflate"),
        ("gzip", gzip.compress(BODY)[:-1], "the body's gzip data is cut off"),
        ("deflate", zlib.compress(BODY)[:-6], "the body's deflate data is cut off"),
        ("gzip", gzip.compress(BODY) + b"x", "goes on after the end of its gzip data"),
        ("deflate", zlib.compress(BODY) * 2, "goes on after the end of its deflate data"),
        ("gzip", gzip.compress(BODY) * 2, "not valid JSON: it is followed by more text"),
        ("gzip", gzip.compress(BODY) + gzip.compress(b" ")[:-1], "the body's gzip data is cut off"),
        ("gzip", gzip.compress(BODY) + gzip.compress(b"") * 100, "the body has more than 100 gzip members"),
        ("gzip", gzip.compress(BODY)[:-8] + bytes(8), "the body is not gzip"),
        ("gzip", b"", "not valid JSON: it is empty"),
    ],
    ids=range(11),
)
def test_a_body_that_cannot_be_decoded_is_a_400(http: httpx.Client, coding: str, body: bytes, words: str) -> None:
    response = http.post("/functions", content=body, headers={"Content-Encoding": coding})
    assert_problem(response, 400, "invalid-input", words)
