"""(c) From POST to READY, against a fresh asc process on the same source."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from bench import sources
from bench.measurement import Goal, Row, Section, quantile
from bench.processes import measured_platform
from bench.scale import Scale
from tests.support.asc import compile_fresh
from tests.support.functions import ECHO, ready, register, wait_ready

_NOTE = (
    "POST /functions until GET says READY, polled every 2 ms, the compiler's process warm. asc: the time of the "
    "process, same options, on the same source, in turn. Each source differs from all before it by a comment."
)
_LANES = 8
_POLL_S = 0.002
_ONE_LINE = "1 line"


def measure(scale: Scale, folder: Path) -> Section:
    """One at a time first, then many at once."""
    alone = {what: _row_alone(what) for what in _sources()}
    count = scale.registrations
    at_once = Row(
        what=f"{count} registrations at once, all READY", unit="s", baseline=f"{count} x a fresh asc, {_ONE_LINE}"
    )
    median = Row(what=f"{count} registrations at once, the median one", unit="s")
    with measured_platform(folder / "compiling", scale) as platform, platform.client() as http:
        ready(http, sources.JSON_AS)  # the warm-up is over then
        for run in range(scale.runs):
            for what, source in _sources().items():
                distinct = f"{source}// {run}\n"
                alone[what].add(_until_ready_s(http, distinct), _fresh_asc_s(distinct))
            times_s = _at_once_s(http, count, run)
            at_once.add(max(times_s), count * alone[_ONE_LINE].theirs[-1])
            median.add(quantile(times_s, 0.5))
    return Section(name="compile", title="(c) Compile", note=_NOTE, rows=[*alone.values(), at_once, median])


def _row_alone(what: str) -> Row:
    return Row(what=f"POST to READY, {what}", unit="s", baseline="a fresh asc", goal=Goal(at_most=0.33))


def _sources() -> dict[str, str]:
    return {_ONE_LINE: ECHO, "json-as (examples/hello)": sources.JSON_AS, "500 lines": sources.of_lines(499)}


def _until_ready_s(http: httpx.Client, source: str) -> float:
    began = time.perf_counter()
    wait_ready(http, register(http, source), poll_s=_POLL_S)
    return time.perf_counter() - began


def _fresh_asc_s(source: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        compile_fresh(source, Path(folder), node_options=())
        return time.perf_counter() - began


def _at_once_s(http: httpx.Client, count: int, run: int) -> list[float]:
    began = time.perf_counter()

    def register_one(nth: int) -> str:
        return register(http, f"{ECHO}// {run} {nth}\n")

    def wait(function_id: str) -> float:
        wait_ready(http, function_id, timeout_s=300)
        return time.perf_counter() - began

    with ThreadPoolExecutor(_LANES) as lanes:
        identifiers = list(lanes.map(register_one, range(count)))
        return list(lanes.map(wait, identifiers))
