"""HTTP keeps its bounds: on what a client may send, on what it may hold, and on how long it may take."""

import contextlib
import gzip
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import HTTP_MEMORY_BYTES
from tests.support.functions import ECHO, SPIN, Json, execute, ready, register
from tests.support.platform import Platform, running_platform
from tests.support.raw_http import PATIENCE_S, Answer, ask, connected, is_closed, read_answer
from tests.support.waiting import eventually

HOST = b"Host: localhost\r\n"
GET = b"GET /functions?limit=1 HTTP/1.1\r\n" + HOST
CONNECTIONS = 20
# What is refused at once when there are this many more.
BEYOND = 64


@pytest.fixture(scope="module")
def bounded(data_root: Path) -> Iterator[Platform]:
    """A platform with short patience and few connections."""
    with running_platform(
        data_root / "bounded",
        execution_timeout_s="2",
        http_request_timeout_s="1.5",
        http_idle_timeout_s="3",
        http_answer_timeout_s="2",
        http_connections=str(CONNECTIONS),
    ) as running:
        yield running


def assert_refused(answer: Answer, status: int, kind: str, words: str = "") -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["type"], problem["status"]) == (f"/docs#{kind}", status)
    assert words in problem["detail"]
    assert answer.headers["x-request-id"] == problem["requestId"]


# The head


def test_a_head_of_64_kib_is_read_and_a_larger_one_is_a_431(platform: Platform) -> None:
    # Beside the value: the first line's path, and four bytes around each header.
    room = 64 * 1024 - len("/functions?limit=1") - len("Host: localhost\r\n") - len("X: \r\n") + 1
    fitting = ask(platform, GET + b"X: " + b"x" * (room - 1) + b"\r\n\r\n")
    assert fitting.status == 200
    answer = ask(platform, GET + b"X: " + b"x" * (room + 1) + b"\r\n\r\n")
    assert_refused(answer, 431, "head-too-large", "the head may have at most 65,536 bytes")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "endless",
    [b"X: " + b"x" * 10_000, b"x" * 10_000, b"X: y\r\n" * 1000, b"X: y\r\n " * 1000],
    ids=["value", "name", "headers", "folded"],
)
def test_a_head_without_end_is_refused_while_it_comes(platform: Platform, endless: bytes) -> None:
    with connected(platform) as connection:
        connection.sendall(GET)
        sent_bytes = _send_until_refused(connection, endless)
        answer = read_answer(connection)
    assert answer.status in (431, 400)
    assert "x-request-id" in answer.headers
    # The rest is what the sockets hold.
    assert sent_bytes < 16_000_000


def _send_until_refused(connection: socket.socket, piece: bytes) -> int:
    sent_bytes = 0
    connection.setblocking(False)
    with contextlib.suppress(ConnectionError):
        while sent_bytes < 120_000_000:
            with contextlib.suppress(BlockingIOError):
                sent_bytes += connection.send(piece)
            with contextlib.suppress(BlockingIOError):
                if connection.recv(1, socket.MSG_PEEK):
                    break
    connection.settimeout(60)
    return sent_bytes


def test_too_many_headers_are_a_431(platform: Platform) -> None:
    assert ask(platform, GET + b"a: b\r\n" * 255 + b"\r\n").status == 200
    assert_refused(ask(platform, GET + b"a: b\r\n" * 256 + b"\r\n"), 431, "head-too-large", "at most 256 headers")


def test_a_path_of_8_kib_is_read_and_a_longer_one_is_a_414(platform: Platform) -> None:
    def get(path: bytes) -> Answer:
        return ask(platform, b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")

    assert get(b"/" + b"x" * 8191).status == 404
    assert_refused(get(b"/" + b"x" * 8192), 414, "path-too-long", "at most 8,192 bytes")
    assert get(b"/functions?name=" + b"x" * (8192 - 16)).status == 200
    assert get(b"/functions?name=" + b"x" * (8193 - 16)).status == 414
    assert get(b"/" + b"x" * 1_000_000).status == 414


# What is not HTTP, or could be read in two ways

CHUNKED = b"POST /functions HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "no words of HTTP": b"good day\r\n\r\n",
    "HTTP/0.9": b"GET /functions\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another version": b"GET /functions HTTP/1.2\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "NUL in a header": GET + b"X: a\0b\r\n\r\n",
    "a folded header": GET + b"X: a\r\n b\r\n\r\n",
    "a space before the colon": GET + b"X : a\r\n\r\n",
    "no name": GET + b": a\r\n\r\n",
    "bare line feeds": b"GET /functions HTTP/1.1\nHost: localhost\n\n",
    "a bare line feed after a header": GET + b"X: a\n\r\n",
    "a bare carriage return": GET + b"X: a\rY: b\r\n\r\n",
    "length and chunks": b"POST /functions HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"POST /functions HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /functions HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "the same length twice": b"POST /functions HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": b"POST /functions HTTP/1.1\r\n" + HOST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a length with a sign": b"POST /functions HTTP/1.1\r\n" + HOST + b"Content-Length: +2\r\n\r\n{}",
    "a length that overflows": b"POST /functions HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 18446744073709551618\r\n\r\n{}",
    "chunked is not last": b"POST /functions HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST /functions HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "almost chunked": b"POST /functions HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /functions HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk's size with a sign": CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n",
    "a chunk's size that overflows": CHUNKED + b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk that is longer than it says": CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
    "a chunk that ends in a bare line feed": CHUNKED + b"2\r\n{}\n0\r\n\r\n",
    "a chunk's size that ends in a bare line feed": CHUNKED + b"2\n{}\r\n0\r\n\r\n",
    "a raw letter beyond ASCII in the path": b"GET /functions?name=\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space in the path": b"GET /functions?name=a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "no slash": b"GET functions HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_http_is_a_400_of_the_one_shape_and_ends_the_connection(
    platform: Platform, request_bytes: bytes
) -> None:
    with connected(platform) as connection:
        connection.sendall(request_bytes)
        assert_refused(read_answer(connection), 400, "malformed-request")
        assert is_closed(connection)


def test_a_malformed_request_is_answered_after_those_before_it(platform: Platform) -> None:
    with connected(platform) as connection:
        connection.sendall(GET + b"\r\n" + GET + b"\r\n" + b"good day\r\n\r\n")
        assert [read_answer(connection).status for _ in range(3)] == [200, 200, 400]
        assert is_closed(connection)


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/functions", "evil.example", 200),
        ("http://LOCALHOST:80/functions?limit=1", "localhost", 200),
        ("http://[::1]:8080/functions", "evil.example", 200),
        ("http://evil.example/functions", "localhost", 421),
        ("http://localhost", "localhost", 307),
        ("*", "localhost", 404),
    ],
)
def test_a_whole_url_names_the_host_itself(platform: Platform, target: str, host: str, status: int) -> None:
    assert ask(platform, f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status == status


def test_a_whole_url_does_not_replace_the_host_header(platform: Platform) -> None:
    assert ask(platform, b"GET http://localhost/functions HTTP/1.1\r\n\r\n").status == 400
    assert ask(platform, b"GET http://localhost/functions HTTP/1.0\r\n\r\n").status == 200


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


def test_a_request_for_another_protocol_is_answered_in_this_one(platform: Platform) -> None:
    with connected(platform) as connection:
        connection.sendall((GET + UPGRADE + b"\r\n") * 2 + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert [read_answer(connection).status for _ in range(3)] == [200, 200, 400]
        assert is_closed(connection)
    with connected(platform) as connection:
        connection.sendall(b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n" + GET + b"\r\n")
        assert read_answer(connection).status == 404
        assert is_closed(connection)


def _framed(body: bytes) -> dict[str, tuple[bytes, bytes]]:
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]))
    return {
        "length": (b"Content-Length: %d\r\n" % len(body), body),
        "chunks": (b"Transfer-Encoding: chunked\r\n", chunks + b"0\r\n\r\n"),
    }


@pytest.mark.parametrize("size", [10, 100_000], ids=["small", "large"])
@pytest.mark.parametrize("pieces", [1, 2, 7])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_request_for_another_protocol_keeps_its_body(
    platform: Platform, http: httpx.Client, framing: str, pieces: int, size: int
) -> None:
    """As Java's HttpClient and `curl --http2` ask for HTTP/2."""
    path = f"/functions/{ready(http, ECHO)}/execute".encode()
    header, body = _framed(b'{"input": {"text": "%b"}}' % (b"x" * size))[framing]
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + UPGRADE + header + b"\r\n"
    step = -(-len(body) // pieces)
    with connected(platform) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head if pieces > 1 else head + body + GET + b"\r\n")
        for at in range(0, len(body) if pieces > 1 else 0, step):
            connection.sendall(body[at : at + step])
        assert read_answer(connection).json()["output"] == {"text": "x" * size}
        if pieces > 1:
            connection.sendall(GET + b"\r\n")
        assert read_answer(connection).status == 200


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Transfer-Encoding: xchunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"+2\r\n{}\r\n0\r\n\r\n"),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{} "),
    ],
    ids=["unknown coding", "malformed chunk", "length and chunks", "two lengths"],
)
def test_a_malformed_body_behind_a_request_for_another_protocol_is_a_400(
    platform: Platform, framing: bytes, body: bytes
) -> None:
    with connected(platform) as connection:
        connection.sendall(b"POST /functions HTTP/1.1\r\n" + HOST + UPGRADE + framing + b"\r\n" + body)
        assert_refused(read_answer(connection), 400, "malformed-request")
        assert is_closed(connection)


def test_a_trailer_is_ignored_and_one_without_end_is_refused(platform: Platform) -> None:
    body = CHUNKED + b"2\r\n{}\r\n0\r\n"
    assert "is required" in ask(platform, body + b"Host: evil.example\r\nX: y\r\n\r\n").json()["detail"]
    for endless in (b"X: y\r\n" * 1000, b"x" * 10_000):
        with connected(platform) as connection:
            connection.sendall(body)
            assert _send_until_refused(connection, endless) < 16_000_000
            assert read_answer(connection).status in (400, 431)


def test_chunk_extensions_without_end_are_refused(platform: Platform) -> None:
    with connected(platform) as connection:
        connection.sendall(CHUNKED + b"2;x=")
        assert _send_until_refused(connection, b"y" * 10_000) < 16_000_000
        assert read_answer(connection).status in (400, 431)


# Time


@pytest.mark.parametrize(
    "begun",
    [b"G", GET, b"POST /functions HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n{", CHUNKED + b"1\r\n{"],
    ids=["first byte", "head", "body", "chunks"],
)
def test_a_request_that_is_not_complete_in_time_is_a_408(bounded: Platform, begun: bytes) -> None:
    with connected(bounded) as connection:
        connection.sendall(begun)
        assert_refused(read_answer(connection), 408, "request-timed-out", "the request was not complete within 1.5 s")
        assert is_closed(connection)


def test_a_byte_now_and_then_buys_no_time(bounded: Platform) -> None:
    with connected(bounded) as connection:
        connection.settimeout(0.1)
        answer = b""
        for byte in GET * 100:
            connection.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(4096)
                break
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("said", [b"", b"\r\n\r\n", GET + b"\r\n"], ids=["nothing", "line ends", "a request"])
def test_an_idle_connection_is_closed_without_a_word(bounded: Platform, said: bytes) -> None:
    with connected(bounded) as connection:
        connection.sendall(said)
        if said.startswith(b"GET"):
            assert read_answer(connection).status == 200
        assert is_closed(connection)


def test_an_execution_may_take_longer_than_a_request(bounded: Platform) -> None:
    with bounded.client() as http:
        result = http.post(f"/functions/{ready(http, SPIN)}/execute").json()
    assert "2 s" in result["errorMessage"]


# A connection's end


def test_a_half_closed_connection_gets_its_answers(platform: Platform) -> None:
    with connected(platform) as connection:
        connection.sendall(GET + b"\r\n" + GET + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert [read_answer(connection).status for _ in range(2)] == [200, 200]
        assert is_closed(connection)


def test_a_half_closed_connection_gets_the_outcome_of_its_execution(bounded: Platform) -> None:
    with bounded.client() as http:
        path = f"/functions/{ready(http, SPIN)}/execute"
    with connected(bounded) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        assert read_answer(connection).json()["status"] == "FAILED"
        assert is_closed(connection)


@pytest.mark.parametrize("begun", [b"GET /", GET, CHUNKED + b"1\r\n{"], ids=["line", "head", "chunks"])
def test_half_a_request_that_will_never_be_whole_is_a_400(platform: Platform, begun: bytes) -> None:
    with connected(platform) as connection:
        connection.sendall(begun)
        connection.shutdown(socket.SHUT_WR)
        assert_refused(read_answer(connection), 400, "malformed-request", "the request ended before it was complete")
        assert is_closed(connection)


def test_many_requests_ahead_of_their_answers_are_answered_in_part_and_in_order(platform: Platform) -> None:
    with connected(platform) as connection:
        connection.sendall((GET + b"X-Request-Id: n%d\r\n\r\n") * 1 % 0)
        assert read_answer(connection).headers["x-request-id"] == "n0"
        connection.sendall(b"".join(GET + b"X-Request-Id: n%d\r\n\r\n" % n for n in range(1000)))
        answers = []
        with contextlib.suppress(AssertionError, ConnectionResetError):
            while True:
                answers.append(read_answer(connection))
    assert len(answers) >= 32
    assert [answer.headers["x-request-id"] for answer in answers] == [f"n{n}" for n in range(len(answers))]


# Connections


def test_one_connection_too_many_is_a_503_and_health_still_answers(bounded: Platform) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(CONNECTIONS):
            held.enter_context(connected(bounded)).sendall(b"G")
        answer = ask(bounded, GET + b"\r\n")
        assert_refused(answer, 503, "too-many-connections", "PROJECTNIL_HTTP_CONNECTIONS")
        assert answer.headers["retry-after"] == "1"
        assert ask(bounded, b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n").status == 200
    _wait_until_served(bounded)


UNFINISHED = b"POST /functions HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"


def test_beyond_all_connections_that_are_heard_a_newer_one_takes_the_place_of_an_older(bounded: Platform) -> None:
    with contextlib.ExitStack() as held:
        older = [held.enter_context(connected(bounded)) for _ in range(CONNECTIONS + BEYOND)]
        for connection in older:
            connection.sendall(b"GET /health HTTP/1.1\r\n")
        for _ in range(20):
            assert ask(bounded, b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n").status == 200
            assert ask(bounded, GET + b"\r\n").status in (503, 200)  # by now the first may have been given up
            held.enter_context(connected(bounded)).sendall(UNFINISHED)
        for connection in older[CONNECTIONS:][:10]:
            assert_refused(read_answer(connection), 503, "too-many-connections", "PROJECTNIL_HTTP_CONNECTIONS")
    _wait_until_served(bounded)


def test_connections_that_never_finish_a_request_use_nothing_up(bounded: Platform) -> None:
    api = psutil.Process(_api_pid(bounded))
    with contextlib.ExitStack() as held:
        for _ in range(CONNECTIONS + BEYOND + 200):
            held.enter_context(connected(bounded))
        eventually("health", lambda: ask(bounded, b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n").status == 200)
        assert len(api.net_connections("tcp")) <= CONNECTIONS + BEYOND + 20
        _wait_until_served(bounded)


def test_a_client_that_does_not_read_its_answer_is_reset(bounded: Platform) -> None:
    with bounded.client() as http, contextlib.closing(_deaf_socket(bounded)) as connection:
        _get(connection, _with_answers_of(http, 4 * KERNEL_BYTES))
        watched = select.poll()
        watched.register(connection, 0)  # errors are told without asking for them
        assert watched.poll(PATIENCE_S * 1000)[0][1] & select.POLLERR


def test_connections_are_bounded_by_the_file_descriptors_there_may_be() -> None:
    script = (
        "import resource; from projectnil.bootstrap.http_connections import most_connections;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (400, 600)); print(most_connections(1000), most_connections(100),"
        "resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    # 64 more are heard, and 256 are for everything else.
    assert said.splitlines()[-1] == "280 100 (600, 600)"
    assert "api.connections_limited" in said


# Memory

SHORT_OF = 6 * 1024 * 1024
# More than this the kernel holds of an answer that is not read, so that the platform has to hold the rest.
KERNEL_BYTES = 512 * 1024
OUTPUT = "x" * (KERNEL_BYTES + 250_000)
LARGE_OUTPUT = f"export function handle(input: string): string {{ return '\"{OUTPUT}\"'; }}"


def test_unfinished_requests_hold_no_more_than_they_may_and_small_ones_pass(
    platform: Platform, http: httpx.Client
) -> None:
    echo = ready(http, ECHO)
    api = psutil.Process(_api_pid(platform))
    before_bytes = api.memory_info().rss
    body = b" " * (SHORT_OF - 1)
    with contextlib.ExitStack() as held:
        connections = [held.enter_context(connected(platform)) for _ in range(30)]
        for connection in connections:
            connection.sendall(b"POST /functions HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % SHORT_OF + body)
        # A sixth would not fit.
        eventually("refused", lambda: len(_readable(connections)) == 25)
        assert api.memory_info().rss - before_bytes < 3 * HTTP_MEMORY_BYTES
        for refused in _readable(connections):
            answer = read_answer(refused)
            assert_refused(answer, 503, "overloaded", "PROJECTNIL_HTTP_MEMORY_BYTES")
            assert answer.headers["retry-after"] == "1"
            connections.remove(refused)
        assert execute(http, echo, {"a": "x" * 50_000})["status"] == "COMPLETED"
        for connection in connections:
            connection.sendall(b" ")
            assert_refused(read_answer(connection), 400, "invalid-input", "it is empty")
    large = {"name": "f", "language": "cobol", "source": "x" * 900_000}
    eventually("room", lambda: http.post("/functions", json=large).status_code == 415)


@pytest.mark.parametrize("ending", ["closed", "finished"])
def test_the_memory_of_large_requests_is_given_back(platform: Platform, ending: str) -> None:
    api = psutil.Process(_api_pid(platform))
    before_bytes = api.memory_info().rss
    head = b"POST /functions HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % SHORT_OF
    for _ in range(4):
        with contextlib.ExitStack() as held:
            connections = [held.enter_context(connected(platform)) for _ in range(6)]
            for connection in connections:
                connection.sendall(head + b" " * (SHORT_OF - 1))
            eventually("one too many", partial(_any_readable, connections))
            if ending == "finished":
                for connection in connections:
                    connection.sendall(b" ")
                    read_answer(connection)
    # Each round held five bodies.
    eventually("room", lambda: api.memory_info().rss - before_bytes < 5 * SHORT_OF)


def test_what_an_encoded_body_grows_to_counts(platform: Platform) -> None:
    encoded = gzip.compress(b" " * SHORT_OF)
    head = (
        b"POST /functions HTTP/1.1\r\n" + HOST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(encoded)
    )
    with contextlib.ExitStack() as held:
        connections = [held.enter_context(connected(platform)) for _ in range(30)]
        for connection in connections:
            connection.sendall(head + encoded[:-8])
        eventually("refused", lambda: len(_readable(connections)) >= 24)
        assert {read_answer(refused).status for refused in _readable(connections)} == {503}


def test_unread_answers_hold_no_more_than_they_may_and_quick_callers_pass(
    platform: Platform, http: httpx.Client
) -> None:
    echo, runnable = ready(http, ECHO), ready(http, LARGE_OUTPUT)
    large, larger = _with_answers_of(http, KERNEL_BYTES + 200_000), _with_answers_of(http, 3 * KERNEL_BYTES)
    with contextlib.ExitStack() as held:
        for function_id in (larger, large):
            assert _leave_unread_until_refused(platform, function_id, held) < 80
        for _ in range(20):
            assert execute(http, echo, {"a": 1})["status"] == "COMPLETED"
        problem = _told_to_wait(http, runnable)
    path = f"/executions/{problem['executionId']}"
    eventually("read later", lambda: http.get(path).status_code == 200)
    assert http.get(path).json()["output"] == OUTPUT
    for function_id in (large, larger):
        http.delete(f"/functions/{function_id}")


def _told_to_wait(http: httpx.Client, function_id: str) -> Json:
    """The problem of an execution whose answer has no room."""
    told: list[Json] = []

    def is_told() -> bool:
        response = http.post(f"/functions/{function_id}/execute")
        told.append(response.json())
        # On a machine that is busy the function may be too slow, which is not what is asked here.
        return response.status_code == 503 and "its answer has to wait" in told[-1]["detail"]

    eventually("told to wait", is_told)
    assert told[-1]["detail"].startswith("the execution ended and is recorded, but its answer has to wait: ")
    return told[-1]


def _with_answers_of(http: httpx.Client, size_bytes: int) -> str:
    """A function whose details are so large as JSON: six bytes for each control character."""
    return register(http, "//" + "\x01" * (size_bytes // 6))


def _leave_unread_until_refused(platform: Platform, function_id: str, held: contextlib.ExitStack) -> int:
    """How many answers the platform holds before it refuses one."""
    for count in range(100):
        connection = held.enter_context(contextlib.closing(_deaf_socket(platform)))
        _get(connection, function_id)
        if connection.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 503":
            return count
    return 100


def _any_readable(connections: list[socket.socket]) -> bool:
    return bool(_readable(connections))


def _readable(connections: list[socket.socket]) -> list[socket.socket]:
    return select.select(connections, [], [], 0)[0]


def _deaf_socket(platform: Platform) -> socket.socket:
    """A connection whose side here holds next to nothing."""
    connection = socket.socket()
    connection.settimeout(PATIENCE_S)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", platform.port))
    return connection


def _get(connection: socket.socket, function_id: str) -> None:
    connection.sendall(f"GET /functions/{function_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def _wait_until_served(platform: Platform) -> None:
    def served() -> bool:
        with contextlib.suppress(OSError, AssertionError):
            return ask(platform, GET + b"\r\n").status == 200
        return False

    eventually("served", served)


def _api_pid(platform: Platform) -> int:
    return next(child.pid for child in platform.children("projectnil.bootstrap.child api"))
