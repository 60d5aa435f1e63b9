"""Podman on this machine, for tests."""

import os
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

# A machine without pids or file limits to give away needs both; runc, since crun wants newer kernels' interfaces.
_CONTAINERS_CONF = """
[engine]
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=5000:5000"]
"""


def run(*command: str | Path, timeout_s: float = 600, settings: Mapping[str, str] | None = None) -> str:
    """Run a command; returns its standard output. Raises AssertionError with all it said when it fails.

    settings: added to the environment.
    """
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, **(settings or {})},
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def podman(*arguments: str | Path, timeout_s: float = 600) -> str:
    return run("podman", *arguments, timeout_s=timeout_s)


def configure(folder: Path) -> None:
    """Settings for every Podman that the tests start, without a change of the machine's own.

    Fails where there is no Podman that answers, and says why.
    """
    path = folder / "containers.conf"
    path.write_text(_CONTAINERS_CONF)
    os.environ["CONTAINERS_CONF"] = str(path)
    podman("info", timeout_s=60)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has just now."""
    with ExitStack() as taken:
        sockets = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in sockets]
