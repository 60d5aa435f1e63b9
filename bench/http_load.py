"""Starts load, and a server to compare with, as processes of their own."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from bench.load import Load, Plan
from bench.measurement import quantile


class Throughput(msgspec.Struct, frozen=True):
    """What a closed loop of so many connections got out of a server."""

    per_second: float
    p50_ms: float
    p99_ms: float


def post(url: str, body: str, expected: str, connections: int, duration_s: float, warm_up_s: float) -> Throughput:
    """POST the same body again and again; every answer must be a 200 with `expected` in it."""
    target = urlsplit(url)
    request = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    plan = Plan(
        host=target.hostname or "",
        port=target.port or 80,
        requests=[request],
        expected=expected,
        connections=connections,
        warm_up_s=warm_up_s,
        duration_s=duration_s,
    )
    command = [sys.executable, "-m", "bench.load", msgspec.json.encode(plan).decode()]
    done = subprocess.run(command, capture_output=True, check=True)
    load = msgspec.json.decode(done.stdout, type=Load)
    if load.refused:
        raise RuntimeError(f"{load.refused} answers were not as expected; the first:\n{load.first_refusal}")
    latencies_s = load.latencies_s
    return Throughput(
        len(latencies_s) / load.duration_s, quantile(latencies_s, 0.5) * 1e3, quantile(latencies_s, 0.99) * 1e3
    )


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
