"""Bad input gets its own clear error and changes nothing."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from projectnil.api.routes import OPERATIONS, Operation
from tests.support.functions import ECHO, ready
from tests.support.platform import Platform

GOOD: dict[str, Any] = {"name": "f", "language": "assemblyscript", "source": ECHO}
NOBODY = "0198c1a2-7d3e-7c55-9f0e-2b6f5a4c1d90"


@pytest.fixture(autouse=True)
def nothing_changes(http: httpx.Client) -> Iterator[None]:
    """Whatever a test sends, it leaves functions and executions as they were."""
    before = _everything(http)
    yield
    assert _everything(http) == before


@pytest.fixture(scope="module")
def echo(platform: Any) -> str:
    with platform.client() as client:
        return ready(client, ECHO)


def _everything(http: httpx.Client) -> Any:
    return http.get("/functions?limit=500").json(), http.get("/executions?limit=500").json()


def assert_problem(response: httpx.Response, status: int, kind: str, words: str, field: str | None = None) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"/docs#{kind}"
    assert problem["status"] == status
    assert words in problem["detail"]
    assert problem["message"] == problem["detail"]
    assert problem.get("field") == field
    assert problem["title"]
    assert problem["timestamp"].endswith("Z")
    assert problem["error"] == httpx.codes.get_reason_phrase(status) or status == 413
    assert problem["requestId"] == response.headers["X-Request-Id"]


BODIES: list[tuple[bytes, str, str | None]] = [
    (b"", "not valid JSON: it is empty", None),
    (b"{", "not valid JSON", None),
    (b'{"name": "f"', "not valid JSON", None),
    (b"nonsense", "not valid JSON: it is `nonsense`, which is not JSON", None),
    (b'{"name": "f", "source": NaN}', "not valid JSON: source is NaN, which JSON does not have", None),
    (b'{"name": "f",}', "not valid JSON: it has a comma after its last member", None),
    (b"[]", "the body must be an object, and this is an array", None),
    (b'"text"', "the body must be an object, and this is text", None),
    (b"{}", "is required", "name"),
    (b'{"name": "f"}', "is required", "language"),
    (b'{"name": "f", "language": "assemblyscript"}', "is required", "source"),
    (b'{"name": 1, "language": "assemblyscript", "source": "x"}', "must be text, and this is a whole number", "name"),
    (b'{"name": "f", "language": null, "source": "x"}', "must be text, and this is null", "language"),
    (b'{"name": "f", "language": "assemblyscript", "source": ["x"]}', "must be text, and this is an array", "source"),
    (
        b'{"name": "f", "description": {}, "language": "a", "source": "x"}',
        "must be text or null, and this is an object",
        "description",
    ),
    (b'{"name": "f", "language": "assemblyscript", "source": "\xff"}', "source is not UTF-8: invalid start byte", None),
    (
        b'{"name": "f", "language": "assemblyscript", "source": "\\ud800"}',
        "source holds half of a surrogate pair",
        None,
    ),
    (b'{"name": "\xed\xa0\x80", "language": "assemblyscript", "source": "x"}', "not UTF-8", None),
    (b'{"name": ' + b"[" * 100_000, "this is an array", "name"),
    (b'{"x": ' + b"[" * 100_000, "nested deeper than 256 levels", None),
]
FIELDS: list[tuple[str, Any, str]] = [
    ("name", "", "must not be empty"),
    ("name", "x" * 256, "at most 255 characters; this one has 256"),
    ("name", "a\0b", "must not contain the NUL character"),
    ("description", "a\0b", "must not contain the NUL character"),
    ("source", "", "must not be empty"),
    ("source", "a\0b", "must not contain the NUL character"),
]


@pytest.mark.parametrize(("body", "words", "field"), BODIES)
def test_a_malformed_function_is_a_400_that_says_where(
    http: httpx.Client, echo: str, body: bytes, words: str, field: str | None
) -> None:
    assert_problem(http.post("/functions", content=body), 400, "invalid-input", words, field)
    assert_problem(http.put(f"/functions/{echo}", content=body), 400, "invalid-input", words, field)


@pytest.mark.parametrize(("field", "value", "words"), FIELDS)
def test_a_bad_field_is_a_400_that_names_it(http: httpx.Client, echo: str, field: str, value: Any, words: str) -> None:
    body = {**GOOD, field: value}
    assert_problem(http.post("/functions", json=body), 400, "invalid-input", words, field)
    assert_problem(http.put(f"/functions/{echo}", json=body), 400, "invalid-input", words, field)


def test_an_unsupported_language_is_a_415_that_lists_the_supported_ones(http: httpx.Client, echo: str) -> None:
    response = http.post("/functions", json={**GOOD, "language": "cobol"})
    assert_problem(response, 415, "unsupported-language", "supported: assemblyscript")
    assert response.json()["supported"] == ["assemblyscript"]
    response = http.put(f"/functions/{echo}", json={**GOOD, "language": "cobol"})
    assert_problem(response, 415, "unsupported-language", "supported: assemblyscript")


def test_a_source_over_its_limit_is_a_413_that_names_the_limit(http: httpx.Client) -> None:
    response = http.post("/functions", json={**GOOD, "source": "//" + "x" * 1024 * 1024})
    assert_problem(response, 413, "too-large", "source may have at most 1 MiB (1,048,576 bytes)")


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_ten_megabytes_is_a_413_whether_or_not_it_says_so_beforehand(
    http: httpx.Client, echo: str, declared: bool
) -> None:
    body = b'{"input": {"a": "' + b"x" * 10_000_000 + b'"}}'

    def chunks() -> Iterator[bytes]:
        yield from (body[at : at + 65536] for at in range(0, len(body), 65536))

    for path in (f"/functions/{echo}/execute", "/functions"):
        response = http.post(path, content=body if declared else chunks())
        assert_problem(response, 413, "too-large", "the request body may have at most")


def test_an_input_over_its_limit_is_a_413(http: httpx.Client, echo: str) -> None:
    response = http.post(f"/functions/{echo}/execute", content=_input_of(1024 * 1024 + 1))
    assert_problem(response, 413, "too-large", "input may have at most 1 MiB")


INPUTS: list[tuple[bytes, str]] = [
    (b"[]", "must be a JSON object, and this is an array"),
    (b"1", "must be a JSON object, and this is a number"),
    (b'"text"', "must be a JSON object, and this is a string"),
    (b"true", "must be a JSON object, and this is a boolean"),
    (b'{"a": "\\u0000"}', "input.a: holds the NUL character (\\u0000), which Postgres JSONB cannot hold"),
    (b'{"a\\u0000": 1}', "the NUL character"),
    (b'{"a": [1, {"b": "\\ud800"}]}', "input.a[1].b holds half of a surrogate pair (\\ud800)"),
    (b'{"a": "\\udc00 and more"}', "input.a holds half of a surrogate pair"),
    (b'{"a": 1e500}', "input.a: has an exponent beyond 400"),
    (b'{"a": 1e1000000000}', "input.a: has an exponent beyond 400"),
    (b'{"a": ' + b"9" * 2000 + b"}", "input.a: has more than 1000 digits"),
    (b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}", "nested deeper than 256 levels"),
    (b'{"a": ["' + b"x" * 100_000 + b'", "\\u0000"]}', "input.a[1]: holds the NUL character"),
]


@pytest.mark.parametrize(("given", "words"), INPUTS)
def test_an_input_that_cannot_be_stored_is_a_400_that_says_why(
    http: httpx.Client, echo: str, given: bytes, words: str
) -> None:
    response = http.post(f"/functions/{echo}/execute", content=b'{"input": ' + given + b"}")
    assert response.status_code == 400
    assert words in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "it ends too early: the text stops before the closing }"),
        (b'{"input": {"a": NaN}}', "input.a is NaN, which JSON does not have"),
        (b'{"input": {"a": 01}}', "input.a is `01`, which is not a number in JSON"),
        (b'{"input": {"a": [1, 2,]}}', "input.a has a comma after its last element"),
        (b'{"input": {"a": 1}} x', "it is followed by more text: `x`"),
        (b'{"input": {' + b'"a": 1, ' * 10_000 + b"x}}", "expected '\"' (byte 80011)"),
    ],
)
def test_a_malformed_execution_is_a_400_that_says_where(http: httpx.Client, echo: str, body: bytes, words: str) -> None:
    response = http.post(f"/functions/{echo}/execute", content=body)
    assert_problem(response, 400, "invalid-input", f"the body is not valid JSON: {words}")


@pytest.mark.parametrize(
    "identifier", ["1", "not-a-uuid", NOBODY + "0", NOBODY.replace("-", ""), "%00", "é", "%7Bid%7D"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/functions/{}"),
        ("PUT", "/functions/{}"),
        ("DELETE", "/functions/{}"),
        ("GET", "/functions/{}/wasm"),
        ("POST", "/functions/{}/execute"),
        ("GET", "/functions/{}/executions"),
        ("GET", "/executions/{}"),
    ],
)
def test_an_id_that_is_not_a_uuid_is_a_400(http: httpx.Client, method: str, path: str, identifier: str) -> None:
    response = http.request(method, path.format(identifier), json=GOOD if method == "PUT" else None)
    what = "execution id" if path.startswith("/executions") else "function id"
    assert_problem(response, 400, "invalid-input", "must be a UUID such as", what)


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/functions/{}", "function-not-found"),
        ("PUT", "/functions/{}", "function-not-found"),
        ("DELETE", "/functions/{}", "function-not-found"),
        ("GET", "/functions/{}/wasm", "function-not-found"),
        ("POST", "/functions/{}/execute", "function-not-found"),
        ("GET", "/functions/{}/executions", "function-not-found"),
        ("GET", "/executions/{}", "execution-not-found"),
    ],
)
def test_an_id_of_nothing_is_a_404(http: httpx.Client, method: str, path: str, kind: str) -> None:
    response = http.request(method, path.format(NOBODY), json=GOOD if method == "PUT" else None)
    assert_problem(response, 404, kind, NOBODY)


@pytest.mark.parametrize("path", ["/nothing", "/functions/", "/functions/x/y", "//functions", "/functions/%2F/x/y"])
def test_an_unknown_path_is_a_404(http: httpx.Client, path: str) -> None:
    response = http.get(httpx.URL(str(http.base_url)).copy_with(raw_path=path.encode()))
    assert_problem(response, 404, "path-not-found", "there is nothing at")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/functions", "GET, HEAD, POST"),
        ("PROPFIND", "/functions", "GET, HEAD, POST"),
        ("POST", f"/functions/{NOBODY}", "DELETE, GET, HEAD, PUT"),
        ("GET", f"/functions/{NOBODY}/execute", "POST"),
        ("DELETE", "/executions", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
def test_a_method_a_path_does_not_have_is_a_405_with_allow(
    http: httpx.Client, method: str, path: str, allowed: str
) -> None:
    response = http.request(method, path)
    assert_problem(response, 405, "method-not-allowed", f"it has {allowed}")
    assert response.headers["Allow"] == allowed


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e2", "limit"),
        ("limit=0000000010000", "limit"),
        ("limit=000000001" + "0" * 30, "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=%EF%BC%91", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
        ("cursor=", "cursor"),
        ("status=DONE", "status"),
    ],
)
@pytest.mark.parametrize("path", ["/functions", "/executions"])
def test_a_bad_query_parameter_is_a_400_that_names_it(http: httpx.Client, path: str, query: str, field: str) -> None:
    assert_problem(http.get(f"{path}?{query}"), 400, "invalid-input", "must be", field)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_a_query_parameter_that_an_operation_does_not_have_is_a_400_that_names_it(
    http: httpx.Client, operation: Operation
) -> None:
    path = re.sub(r"\{\w+\}", NOBODY, operation.path)
    response = http.request(operation.method, f"{path}?stauts=READY")
    assert_problem(response, 400, "invalid-input", f"unknown query parameter of {operation.method} ", "stauts")
    for name in operation.query_names:
        assert name in response.json()["detail"]


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("status=READY&status=FAILED", "status", "is given more than once"),
        ("name=%ff", "name", "is not UTF-8 in percent-encoding"),
        ("n%ffme=x", "n?me", "unknown query parameter"),
        ("&".join(f"x{n}=" for n in range(1000)), "x0", "unknown query parameter"),
    ],
)
def test_a_query_that_could_be_read_in_two_ways_is_a_400(
    http: httpx.Client, query: str, field: str, words: str
) -> None:
    assert_problem(http.get(f"/functions?{query}"), 400, "invalid-input", words, field)


def test_a_filter_may_hold_any_text(http: httpx.Client) -> None:
    assert http.get("/functions", params={"name": "\ufffd é & = + %"}).json() == []


def test_a_name_with_nul_in_a_filter_is_a_400(http: httpx.Client) -> None:
    assert_problem(http.get("/functions?name=a%00b"), 400, "invalid-input", "NUL", "name")


def test_a_request_may_choose_its_id_and_a_bad_one_is_replaced(http: httpx.Client) -> None:
    assert http.get("/nothing", headers={"X-Request-Id": "mine-1"}).json()["requestId"] == "mine-1"
    assert http.get("/nothing", headers={"X-Request-Id": "a b"}).json()["requestId"] != "a b"


def test_what_is_not_http_gets_an_error_of_the_same_shape(platform: Platform) -> None:
    with socket.create_connection(("127.0.0.1", int(platform.url.rsplit(":", 1)[1])), 10) as connection:
        connection.sendall(b"good day\r\n\r\n")
        answer = connection.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["type"] == "/docs#malformed-request"


def test_a_client_that_goes_away_in_mid_request_is_no_internal_error(platform: Platform, http: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", int(platform.url.rsplit(":", 1)[1])), 10) as connection:
        connection.sendall(b"POST /functions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{")
    for _ in range(20):
        http.get("/health")
    assert "api.internal_error" not in platform.log.read_text()


def _input_of(size_bytes: int) -> bytes:
    padding = size_bytes - len('{"a":""}')
    body = json.dumps({"input": {"a": "x" * padding}}, separators=(",", ":")).encode()
    assert len(body) == size_bytes + len('{"input":}')
    return body
