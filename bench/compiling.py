"""(c) From POST to READY, against a fresh asc process on the same source."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from bench import asc, sources
from bench.measurement import Goal, Row, Section, quantile
from bench.scale import Scale
from tests.support.functions import ready, register, wait_compiled
from tests.support.platform import running_platform

_NOTE = (
    "POST /functions until GET says READY, polled every 2 ms, the compiler's process warm. asc: the time of the "
    "process, same options, on the same source, in turn. Each source differs from all before it by a comment."
)
_LANES = 8


def measure(scale: Scale, folder: Path) -> Section:
    """One at a time first, then many at once."""
    rows: dict[str, tuple[list[float], list[float]]] = {}
    at_once: list[float] = []
    slowest: list[float] = []
    with running_platform(folder / "compiling") as platform, platform.client() as http:
        ready(http, sources.JSON_AS)  # the warm-up is over then
        for run in range(scale.runs):
            for what, source in _sources().items():
                distinct = f"{source}// {run}\n"
                ours, theirs = rows.setdefault(what, ([], []))
                ours.append(_until_ready(http, distinct))
                theirs.append(asc.compile_fresh(distinct, folder)[1])
            times = _many(http, scale.registrations, run)
            at_once.append(max(times))
            slowest.append(quantile(times, 0.5))
    return Section(name="compile", title="(c) Compile", note=_NOTE, rows=_rows(rows, at_once, slowest, scale))


def _sources() -> dict[str, str]:
    return {"1 line": sources.ECHO, "json-as (examples/hello)": sources.JSON_AS, "500 lines": sources.of_lines(499)}


def _rows(
    rows: dict[str, tuple[list[float], list[float]]], at_once: list[float], medians: list[float], scale: Scale
) -> list[Row]:
    one_line = rows["1 line"][1]
    return [
        *(
            Row(
                what=f"POST to READY, {what}",
                unit="s",
                ours=ours,
                baseline="a fresh asc",
                theirs=theirs,
                goal=Goal(at_most=0.33),
            )
            for what, (ours, theirs) in rows.items()
        ),
        Row(
            what=f"{scale.registrations} registrations at once, all READY",
            unit="s",
            ours=at_once,
            baseline=f"{scale.registrations} x a fresh asc, 1 line",
            theirs=[scale.registrations * each for each in one_line],
        ),
        Row(what=f"{scale.registrations} registrations at once, the median one", unit="s", ours=medians),
    ]


def _until_ready(http: httpx.Client, source: str) -> float:
    began = time.perf_counter()
    function_id = register(http, source)
    while (status := http.get(f"/functions/{function_id}").json()["status"]) != "READY":
        if status == "FAILED":
            raise RuntimeError("a measured source does not compile")
        time.sleep(0.002)
    return time.perf_counter() - began


def _many(http: httpx.Client, count: int, run: int) -> list[float]:
    began = time.perf_counter()

    def register_one(nth: int) -> str:
        return register(http, f"{sources.ECHO}// {run} {nth}\n")

    with ThreadPoolExecutor(_LANES) as lanes:
        identifiers = list(lanes.map(register_one, range(count)))
        return list(lanes.map(lambda each: _wait(http, each, began), identifiers))


def _wait(http: httpx.Client, function_id: str, began: float) -> float:
    details = wait_compiled(http, function_id, timeout_s=300)
    if details["status"] != "READY":
        raise RuntimeError("a measured source does not compile")
    return time.perf_counter() - began
