"""(g) The command line: what a command costs before and after it does something."""

import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.measurement import Row, Section
from bench.scale import Scale
from tests.support.functions import ECHO, ready
from tests.support.platform import PNIL, environment, running_platform

_NOTE = (
    "Processor time of the process, the least of 20 runs, against an interpreter that does nothing (`python -c pass`). "
    "The platform that answers is a process of its own."
)
_COMMANDS = (("--version",), ("--help",), ("invoke", "--help"), ("list",), ("show", "echo"), ("invoke", "echo"))


def measure(scale: Scale, folder: Path) -> Section:
    """Each command, against the interpreter alone."""
    rows = [Row(what=f"pnil {' '.join(words)}", unit="ms", baseline="python -c pass") for words in _COMMANDS]
    with running_platform(folder / "command-line") as platform, platform.client() as http:
        ready(http, ECHO, "echo")
        for _ in range(scale.runs):
            for row, words in zip(rows, _COMMANDS, strict=True):
                ours = _least_ms([PNIL, *words], platform.url, scale.commands)
                row.add(ours, _least_ms([sys.executable, "-c", "pass"], platform.url, scale.commands))
    return Section(name="command-line", title="(g) The command line", note=_NOTE, rows=rows)


def _least_ms(command: Sequence[str | Path], url: str, calls: int) -> float:
    return min(_processor_ms(command, url) for _ in range(calls))


def _processor_ms(command: Sequence[str | Path], url: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment(url=url), stdout=subprocess.DEVNULL, timeout=60, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3
