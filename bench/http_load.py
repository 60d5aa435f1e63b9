"""Starts load, and a server to compare with, as processes of their own."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from bench.load import Load, Plan
from bench.scale import Scale

ECHO_BODY = '{"input":{"hello":"world"}}'


class Request(msgspec.Struct, frozen=True):
    """What is sent again and again. expected: what every answer, a 200, must contain."""

    method: str
    url: str
    expected: str
    body: str = ""

    def as_http(self) -> str:
        target = urlsplit(self.url)
        path = f"{target.path}?{target.query}" if target.query else target.path
        head = f"{self.method} {path} HTTP/1.1\r\nHost: {target.netloc}\r\n"
        if self.method == "POST":
            head += f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
        return f"{head}\r\n{self.body}"


def echo_request(platform_url: str, function_id: str) -> Request:
    """An execution of an echo that must complete."""
    return Request("POST", f"{platform_url}/functions/{function_id}/execute", '"COMPLETED"', ECHO_BODY)


def run_load(requests: Sequence[Request], connections: int, scale: Scale) -> Load:
    """Closed loops that send the requests in turn, from a process of their own. Raises when an answer is wrong."""
    target = urlsplit(requests[0].url)
    plan = Plan(
        host=target.hostname or "",
        port=target.port or 80,
        requests=[request.as_http() for request in requests],
        expected=requests[0].expected,
        connections=connections,
        warm_up_s=scale.warm_up_s,
        duration_s=scale.load_s,
    )
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=msgspec.json.encode(plan), stdout=subprocess.PIPE, check=True)
    load = msgspec.json.decode(done.stdout, type=Load)
    if load.refused:
        raise RuntimeError(f"{load.refused} answers were not as expected; the first:\n{load.first_refusal}")
    return load


@contextlib.contextmanager
def constant_server(answer: str) -> Iterator[str]:
    """The platform's HTTP stack with nothing behind it; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "bench.constant_server", str(listener.fileno()), answer]
        process = subprocess.Popen(command, pass_fds=[listener.fileno()])
    try:
        _until_it_answers(port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


def _until_it_answers(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if probe.recv(1024):
                return
        time.sleep(0.05)
    raise RuntimeError("the constant server does not answer")
