"""A platform to measure, and what each kind of its processes uses."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bench.scale import Scale
from projectnil.config import Settings
from tests.support.platform import Platform, running_platform

# What a process is called, by a part of its command line; the first that fits.
_KINDS = {
    "postgres": "Postgres",
    "sandbox.fork_server": "the sandboxes",
    "worker.mjs": "the AssemblyScript compiler",
    "bootstrap.child api": "the api",
    "bootstrap.child compiler": "the compiler service",
}


# A figure of each process, by its kind and id.
Figures = dict[tuple[str, int], float]


@contextmanager
def measured_platform(data_dir: Path, scale: Scale, **settings: str) -> Iterator[Platform]:
    """`pnil serve` as users have it: with a compiler that warms up, which the tests' does not."""
    warm_ups = str(0 if scale.is_smoke else Settings().compiler_warm_ups)
    with running_platform(data_dir, compiler_warm_ups=warm_ups, **settings) as platform:
        yield platform


def memory_mib(platform: Platform) -> dict[str, float]:
    """What each kind has for itself, and its share of what it shares (PSS)."""
    return _by_kind(_each(platform, lambda process: process.memory_full_info().pss / 2**20))


def cpu_s(platform: Platform) -> Figures:
    """The CPU time of each process since it started, in steps of 10 ms."""
    return _each(platform, lambda process: process.cpu_times().user + process.cpu_times().system)


def spent_s(before_s: Figures, after_s: Figures) -> dict[str, float]:
    """What each kind has used in between, without processes that ended."""
    return _by_kind({process: at_end_s - before_s.get(process, 0.0) for process, at_end_s in after_s.items()})


def _each(platform: Platform, measured: Callable[[psutil.Process], float]) -> Figures:
    found: Figures = {}
    for process in [psutil.Process(platform.process.pid), *platform.children("")]:
        with suppress(psutil.NoSuchProcess):
            found[_kind(process), process.pid] = measured(process)
    return found


def _by_kind(figures: Figures) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for (kind, _), figure in figures.items():
        found[kind] += figure
    return dict(found)


def _kind(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    for part, kind in _KINDS.items():
        if part in command:
            return kind
    return "the supervisor"
