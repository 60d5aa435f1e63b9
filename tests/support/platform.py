"""Runs the real platform for tests, as a user would."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

PNIL = Path(sys.executable).with_name("pnil")
READY = re.compile(r"projectnil is ready at (http://\S+:\d+)\n")

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 60.0


@dataclass
class Platform:
    """A running `pnil serve`. log: the file its standard error goes to."""

    url: str
    process: subprocess.Popen[str]
    data_dir: Path
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, timeout_s: float = 30.0) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=timeout_s)

    def children(self, containing: str) -> list[psutil.Process]:
        """The processes below `pnil serve` whose command line contains a text."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if containing in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def stop(self) -> float:
        """Ask it to stop; returns how long it took, in seconds."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_TIMEOUT_S)
        return time.monotonic() - began

    def forget(self) -> None:
        """Close what is left of one that was killed."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait(STOP_TIMEOUT_S)

    def kill(self) -> None:
        """kill -9, and wait until every process below it is gone."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)
        _, alive = psutil.wait_procs(below, timeout=STOP_TIMEOUT_S)
        assert not alive, f"outlived its platform: {[process.cmdline() for process in alive]}"


def start_platform(data_dir: Path, *arguments: str, under: Sequence[object] = (), **settings: str) -> Platform:
    """Start `pnil serve` on a free port and wait for its ready line. settings: PROJECTNIL_ variables by field name.

    under: a command that starts the one after it. The compiler does not warm up: that takes more CPU than most tests.
    """
    log = data_dir.with_name(data_dir.name + ".log")
    with log.open("ab") as log_file:
        process = subprocess.Popen(
            [*map(str, under), PNIL, "serve", "--port", "0", "--data-dir", data_dir, *arguments],
            stdin=subprocess.PIPE if under else None,
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
            env=environment(**{"compiler_warm_ups": "0", **settings}),
        )
    try:
        return Platform(_ready_url(process, log), process, data_dir, log)
    except BaseException:
        process.kill()
        process.wait()
        raise


@contextlib.contextmanager
def running_platform(data_dir: Path, *arguments: str, **settings: str) -> Iterator[Platform]:
    """As `start_platform`; stopped when the block ends, and its log shown when the block fails."""
    platform = start_platform(data_dir, *arguments, **settings)
    try:
        yield platform
    except BaseException:
        print(platform.log.read_text(errors="replace")[-8000:], file=sys.stderr)
        raise
    finally:
        if platform.process.poll() is None:
            platform.stop()
        if platform.process.stdout is not None:
            platform.process.stdout.close()


def copied(data_dir: Path, to: Path) -> Path:
    """A data folder of a platform that was stopped, with all its owners, at another place; returns that."""
    subprocess.run(["/bin/cp", "-a", data_dir, to], check=True)
    return to


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without its own PROJECTNIL_ variables, and with the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROJECTNIL_")}
    return kept | {f"PROJECTNIL_{name.upper()}": value for name, value in settings.items()}


def _ready_url(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    line = process.stdout.readline() if readable else ""
    match = READY.fullmatch(line)
    assert match, f"not ready: {line!r}\n{log.read_text(errors='replace')[-4000:]}"
    return match[1]


def time_slice_ns(pid: int) -> int | None:
    """How long the kernel lets a process keep a processor that others want; None where it does not tell."""
    with contextlib.suppress(OSError):
        found = re.search(r"^se\.slice\s*:\s*(\d+)$", Path(f"/proc/{pid}/sched").read_text(), re.MULTILINE)
        return int(found[1]) if found else None
    return None
