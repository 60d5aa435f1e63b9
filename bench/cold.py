"""(d) The first time: after READY, after a restart, and from nothing."""

import shutil
import statistics
import time
from pathlib import Path

import httpx

from bench import sources
from bench.measurement import Goal, Row, Section
from bench.scale import Scale
from tests.support.functions import execute, ready
from tests.support.platform import running_platform

_NOTE = (
    "By one client on one kept connection. Warm: the median of 50 executions right after. The restart keeps the data "
    "folder: its first execution is of a function that ran before it. From nothing: an empty data folder, until the "
    "ready line."
)
_WARM = 50


def measure(scale: Scale, folder: Path) -> Section:
    """A platform from nothing in every run, and once more on the same folder."""
    started: list[float] = []
    restarted: list[float] = []
    first: tuple[list[float], list[float]] = ([], [])
    after_restart: tuple[list[float], list[float]] = ([], [])
    for run in range(scale.runs):
        data = folder / f"cold-{run}"
        began = time.perf_counter()
        with running_platform(data) as platform, platform.client() as http:
            started.append(time.perf_counter() - began)
            warmed_up = ready(http, sources.JSON_AS)
            execute(http, warmed_up, {})
            function_id = ready(http, f"{sources.ECHO}// {run}\n")
            _first_and_warm(http, function_id, first)
        began = time.perf_counter()
        with running_platform(data) as platform, platform.client() as http:
            restarted.append(time.perf_counter() - began)
            http.get("/health")
            _first_and_warm(http, function_id, after_restart)
        shutil.rmtree(data)
    return Section(
        name="cold", title="(d) Cold paths", note=_NOTE, rows=_rows(started, restarted, first, after_restart)
    )


def _first_and_warm(http: httpx.Client, function_id: str, into: tuple[list[float], list[float]]) -> None:
    into[0].append(_timed_ms(http, function_id))
    into[1].append(statistics.median(_timed_ms(http, function_id) for _ in range(_WARM)))


def _timed_ms(http: httpx.Client, function_id: str) -> float:
    began = time.perf_counter()
    if execute(http, function_id, {"hello": "world"})["status"] != "COMPLETED":
        raise RuntimeError("a measured execution failed")
    return (time.perf_counter() - began) * 1e3


def _rows(
    started: list[float],
    restarted: list[float],
    first: tuple[list[float], list[float]],
    after_restart: tuple[list[float], list[float]],
) -> list[Row]:
    return [
        Row(
            what="first execution after READY",
            unit="ms",
            ours=first[0],
            baseline="a warm one",
            theirs=first[1],
            goal=Goal(at_most=3.0),
        ),
        Row(
            what="first execution after a restart",
            unit="ms",
            ours=after_restart[0],
            baseline="a warm one",
            theirs=after_restart[1],
        ),
        Row(what="serve, from nothing to ready", unit="s", ours=started),
        Row(what="serve, again on the same folder", unit="s", ours=restarted),
    ]
