"""A data folder with compiled functions, made once for all processes of a test run: others begin with a copy of it.

Making a database and a compiler's first compilation take more CPU than most tests that have a platform of their own.
"""

import fcntl
from pathlib import Path

import msgspec

from tests.support.functions import ECHO, SPIN, ready
from tests.support.platform import copied, running_platform


class Stocked(msgspec.Struct, frozen=True):
    """The data folder of a platform that was stopped, and the ids of its functions `echo` and `spin`."""

    data_dir: Path
    echo: str
    spin: str

    def copy(self, to: Path) -> "Stocked":
        """Another one, for a platform of its own."""
        return msgspec.structs.replace(self, data_dir=copied(self.data_dir, to))


def stock(folder: Path) -> Stocked:
    """The one in a folder that all processes of a test run know. The first that asks makes it."""
    described = folder / "stocked.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not described.exists():
            described.write_bytes(msgspec.json.encode(_make(folder / "data"), enc_hook=str))
    return msgspec.json.decode(described.read_bytes(), type=Stocked, dec_hook=lambda kind, text: kind(text))


def _make(data_dir: Path) -> Stocked:
    with running_platform(data_dir) as platform, platform.client() as http:
        return Stocked(data_dir, echo=ready(http, ECHO, "echo"), spin=ready(http, SPIN, "spin"))
