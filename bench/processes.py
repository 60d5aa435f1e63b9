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


@contextmanager
def measured_platform(data_dir: Path, scale: Scale, **settings: str) -> Iterator[Platform]:
    """`pnil serve` as users have it: with a compiler that warms up, which the tests' does not."""
    warm_ups = str(0 if scale.is_smoke else Settings().compiler_warm_ups)
    with running_platform(data_dir, compiler_warm_ups=warm_ups, **settings) as platform:
        yield platform


def memory_mib(platform: Platform) -> dict[str, float]:
    """What each kind has for itself, and its share of what it shares (PSS)."""
    return _sum(platform, lambda process: process.memory_full_info().pss / 2**20)


def cpu_s(platform: Platform) -> dict[str, float]:
    """The CPU time of each kind since its processes started, in steps of 10 ms a process."""
    return _sum(platform, lambda process: process.cpu_times().user + process.cpu_times().system)


def _sum(platform: Platform, measured: Callable[[psutil.Process], float]) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for process in [psutil.Process(platform.process.pid), *platform.children("")]:
        with suppress(psutil.NoSuchProcess):
            found[_kind(process)] += measured(process)
    return dict(found)


def _kind(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    for part, kind in _KINDS.items():
        if part in command:
            return kind
    return "the supervisor"
