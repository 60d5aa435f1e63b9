"""Closed-loop HTTP load: `python -m bench.load` reads a Plan and writes a Load, both as JSON.

Each connection sends a request, waits for the whole answer, checks it, and sends the next. Small on purpose: on a
machine of two cores whatever the client spends is taken from the server.
"""

import asyncio
import sys
from array import array
from time import perf_counter
from typing import cast

import msgspec
import uvloop

from bench.measurement import quantile

_PATIENCE_S = 60.0
_CONTENT_LENGTH = b"content-length: "


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """requests: whole HTTP/1.1 requests as text, sent in turn. expected: what each answer's body must contain."""

    host: str
    port: int
    requests: list[str]
    expected: str
    connections: int
    warm_up_s: float
    duration_s: float


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What came after the warm-up. answers: with those before. refused: not as expected, and not in the figures."""

    answers: int
    per_second: float
    p50_ms: float
    p99_ms: float
    refused: int
    first_refusal: str | None


class _Tally:
    def __init__(self, plan: Plan) -> None:
        self.requests = [request.encode() for request in plan.requests]
        self.expected = plan.expected.encode()
        self.answers = 0
        self.latencies_s = array("d")
        self.refused = 0
        self.first_refusal: str | None = None
        self.has_answers = asyncio.Event()
        self.is_over = False

    def restart(self) -> None:
        self.latencies_s = array("d")
        self.refused = 0
        self.has_answers.clear()

    def add(self, answer: bytes, latency_s: float) -> None:
        self.answers += 1
        self.has_answers.set()
        if answer.startswith(b"HTTP/1.1 200 ") and self.expected in answer:
            self.latencies_s.append(latency_s)
            return
        self.refused += 1
        self.first_refusal = self.first_refusal or answer.decode(errors="replace")


class _Connection(asyncio.Protocol):
    def __init__(self, tally: _Tally, first: int) -> None:
        self._tally = tally
        self._next = first
        self._received = b""
        self._sent_at = 0.0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        if not _is_whole(received):
            self._received = received
            return
        self._received = b""
        self._tally.add(received, perf_counter() - self._sent_at)
        if self._tally.is_over:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        requests = self._tally.requests
        self._next = (self._next + 1) % len(requests)
        self._sent_at = perf_counter()
        self._transport.write(requests[self._next])


def _is_whole(answer: bytes) -> bool:
    head_end = answer.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    length_at = answer.find(_CONTENT_LENGTH, 0, head_end) + len(_CONTENT_LENGTH)
    length = int(answer[length_at : answer.index(b"\r", length_at)])
    return len(answer) >= head_end + 4 + length


async def _run(plan: Plan) -> Load:
    loop = asyncio.get_running_loop()
    tally = _Tally(plan)
    connections: list[_Connection] = []
    for nth in range(plan.connections):
        _, connection = await loop.create_connection(lambda nth=nth: _Connection(tally, nth), plan.host, plan.port)  # type: ignore[misc]
        connections.append(connection)
    await asyncio.sleep(plan.warm_up_s)
    tally.restart()
    began = perf_counter()
    await asyncio.sleep(plan.duration_s)
    # A short measurement on a busy machine may end before the first answer.
    await asyncio.wait_for(tally.has_answers.wait(), _PATIENCE_S)
    duration_s = perf_counter() - began
    latencies_ms, refused = [latency_s * 1e3 for latency_s in tally.latencies_s], tally.refused
    tally.is_over = True
    await asyncio.wait([connection.closed for connection in connections], timeout=_PATIENCE_S)
    return Load(
        answers=tally.answers,
        per_second=len(latencies_ms) / duration_s,
        p50_ms=quantile(latencies_ms or [0.0], 0.5),
        p99_ms=quantile(latencies_ms or [0.0], 0.99),
        refused=refused,
        first_refusal=tally.first_refusal,
    )


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    load = uvloop.run(_run(plan))
    sys.stdout.buffer.write(msgspec.json.encode(load))


if __name__ == "__main__":
    main()
