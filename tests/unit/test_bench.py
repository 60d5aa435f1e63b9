"""What the benchmarks measure with."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from bench.http_load import Request, run_load
from bench.processes import spent_s
from bench.scale import SMOKE

BRIEF = msgspec.structs.replace(SMOKE, warm_up_s=0.01, load_s=0.01)


class Slow(BaseHTTPRequestHandler):
    """Answers later than the load lasts."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(0.2)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def slow_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        serving.join()


def test_a_load_lasts_at_least_until_its_first_answer(slow_url: str) -> None:
    load = run_load([Request("GET", slow_url, "ok")], 2, BRIEF)
    assert load.p50_ms >= 200
    assert load.per_second > 0


def test_a_load_says_what_came_instead_of_the_expected_answer(slow_url: str) -> None:
    with pytest.raises(RuntimeError, match=r"answers were not as expected; the first:\nHTTP/1\.1 200"):
        run_load([Request("GET", slow_url, "fine")], 2, BRIEF)


def test_a_process_that_ended_takes_nothing_from_what_its_kind_has_spent() -> None:
    before_s = {("Postgres", 1): 5.0, ("Postgres", 2): 3.0, ("the api", 3): 1.0}
    after_s = {("Postgres", 1): 6.0, ("the api", 3): 1.5, ("the api", 4): 0.25}
    assert spent_s(before_s, after_s) == {"Postgres": 1.0, "the api": 0.75}
