"""The data folder belongs to one platform at a time: two would be two servers on one cluster."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from projectnil.bootstrap.takeover import InUse
from projectnil.domain.errors import PlatformUnavailable


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Make the folder if need be and hold it. Raises InUse when another process holds it."""
    with _lock_file(data_dir) as lock:
        if not _take(lock):
            raise InUse(
                f"the data folder {data_dir} is in use by another pnil serve; "
                "choose another --data-dir (PROJECTNIL_DATA_DIR)"
            )
        yield


def is_in_use(data_dir: Path) -> bool:
    """Whether some process holds the folder."""
    if not data_dir.exists():
        return False
    with _lock_file(data_dir) as lock:
        return not _take(lock)


def _lock_file(data_dir: Path) -> IO[str]:
    try:
        # Run by root, the database server is another user, who must get through.
        data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        return (data_dir / "lock").open("a")
    except OSError as error:
        raise PlatformUnavailable(f"cannot use the data folder {data_dir}: {error.strerror}") from error


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
