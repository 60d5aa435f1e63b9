"""`pnil` as a person and as a script use it."""

import fcntl
import json
import os
import re
import select
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

from tests.support.platform import PNIL, environment
from tests.support.terminals import open_terminal

TIMEOUT_S = 120.0
_STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Pnil:
    """`pnil` against one platform. Called, it has no terminal."""

    def __init__(self, url: str) -> None:
        self.environment = environment(url=url)
        for name in ("COLUMNS", "NO_COLOR"):
            self.environment.pop(name, None)
        self.environment["TERM"] = "xterm"

    def __call__(self, *arguments: object, given: str | bytes = b"") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [PNIL, *map(str, arguments)],
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True,
            env=self.environment,
            timeout=TIMEOUT_S,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def json(self, *arguments: object) -> Any:
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def deploy(self, folder: Path, name: str, source: str) -> str:
        """The id of a function with this source, which is READY."""
        return str(self.json("deploy", write(folder, f"{name}.ts", source))["id"])

    def on_a_terminal(self, *arguments: object, columns: int = 80, typed: str = "") -> tuple[int, str]:
        """The exit code, and all that was shown, as it was sent to the terminal."""
        controller, terminal = open_terminal()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        if typed:
            os.write(controller, typed.encode())
        done = subprocess.Popen(
            [PNIL, *map(str, arguments)], stdin=terminal, stdout=terminal, stderr=terminal, env=self.environment
        )
        os.close(terminal)
        shown = b""
        while chunk := _read(controller):
            shown += chunk
        os.close(controller)
        return done.wait(TIMEOUT_S), shown.decode().replace("\r\n", "\n")


def without_styles(shown: str) -> str:
    """What a terminal shows, without its colours, and without what was erased again."""
    return _STYLES.sub("", shown.replace("\r\x1b[K", ""))


def write(folder: Path, name: str, source: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return path


def _read(controller: int) -> bytes:
    readable, _, _ = select.select([controller], [], [], TIMEOUT_S)
    assert readable, "nothing more is shown, and it does not end"
    try:
        return os.read(controller, 65536)
    except OSError:  # the other end is closed
        return b""
