"""(f) What an echo notices of guests that spin."""

import threading
import time
from pathlib import Path

from bench.http_load import echo_request, run_load
from bench.measurement import Goal, Row, Section
from bench.processes import measured_platform
from bench.scale import Scale
from tests.support.functions import ECHO, SPIN, ready
from tests.support.platform import Platform

SPINNERS = 8
_NOTE = (
    "An echo through HTTP by a closed loop of so many connections, without and with 8 guests that spin until their "
    "time limit of 10 s and are called again at once; at most 16 sandbox processes, the default."
)


def measure(scale: Scale, folder: Path) -> Section:
    """Without and with the spinners, in turn, at one connection and at eight."""
    rows = {connections: _row(connections) for connections in (1, 8)}
    with measured_platform(folder / "fairness", scale, execution_timeout_s=str(scale.guest_limit_s)) as platform:
        with platform.client() as http:
            echo, spinner = ready(http, ECHO), ready(http, SPIN)
        requests = [echo_request(platform.url, echo)]

        def p99_ms() -> dict[int, float]:
            return {connections: run_load(requests, connections, scale).p99_ms for connections in rows}

        for _ in range(scale.runs):
            without = p99_ms()
            with _Spinners(platform, spinner, settle_s=scale.guest_limit_s / 3):
                beside = p99_ms()
            for connections, row in rows.items():
                row.add(beside[connections], without[connections])
    return Section(name="fairness", title="(f) Fairness", note=_NOTE, rows=[*rows.values()])


def _row(connections: int) -> Row:
    what = f"p99 of an echo while {SPINNERS} guests spin, {connections} connection{'s' * (connections > 1)}"
    return Row(what=what, unit="ms", baseline="without them", goal=Goal(at_most=3.0))


class _Spinners:
    """Guests that spin while the block runs. Leaving waits until the last has met its time limit."""

    def __init__(self, platform: Platform, function_id: str, settle_s: float) -> None:
        self._platform = platform
        self._function_id = function_id
        self._settle_s = settle_s
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._spin) for _ in range(SPINNERS)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()
        time.sleep(self._settle_s)

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _spin(self) -> None:
        with self._platform.client() as http:
            while not self._is_over.is_set():
                http.post(f"/functions/{self._function_id}/execute", content=b"{}")
