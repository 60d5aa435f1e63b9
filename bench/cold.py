"""(d) The first time: after READY, after a restart, and from nothing."""

import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench import sources
from bench.measurement import Goal, Row, Section
from bench.processes import measured_platform
from bench.scale import Scale
from tests.support.functions import ECHO, execute, ready

_NOTE = (
    "By one client on one kept connection. Warm: the median of 50 executions right after. The restart keeps the data "
    "folder: its first execution is of a function that ran before it. From nothing: an empty data folder, until the "
    "ready line."
)
_WARM = 50


def measure(scale: Scale, folder: Path) -> Section:
    """A platform from nothing in every run, and once more on the same folder."""
    first = Row(what="first execution after READY", unit="ms", baseline="a warm one", goal=Goal(at_most=3.0))
    after_restart = Row(what="first execution after a restart", unit="ms", baseline="a warm one")
    started = Row(what="serve, from nothing to ready", unit="s")
    restarted = Row(what="serve, again on the same folder", unit="s")
    for run in range(scale.runs):
        data = folder / f"cold-{run}"
        with _timed_start(data, scale, started) as http:
            execute(http, ready(http, sources.JSON_AS), {})
            function_id = ready(http, f"{ECHO}// {run}\n")
            _add_first_and_warm(http, function_id, first)
        with _timed_start(data, scale, restarted) as http:
            http.get("/health")
            _add_first_and_warm(http, function_id, after_restart)
        shutil.rmtree(data)
    rows = [first, after_restart, started, restarted]
    return Section(name="cold", title="(d) Cold paths", note=_NOTE, rows=rows)


@contextmanager
def _timed_start(data_dir: Path, scale: Scale, into: Row) -> Iterator[httpx.Client]:
    began = time.perf_counter()
    with measured_platform(data_dir, scale) as platform, platform.client() as http:
        into.add(time.perf_counter() - began)
        yield http


def _add_first_and_warm(http: httpx.Client, function_id: str, into: Row) -> None:
    first_ms = _timed_ms(http, function_id)
    into.add(first_ms, statistics.median(_timed_ms(http, function_id) for _ in range(_WARM)))


def _timed_ms(http: httpx.Client, function_id: str) -> float:
    began = time.perf_counter()
    if execute(http, function_id, {"hello": "world"})["status"] != "COMPLETED":
        raise RuntimeError("a measured execution failed")
    return (time.perf_counter() - began) * 1e3
