"""Temporary folders that are always removed: after use, at stop, and by the next start if neither could happen."""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".lock"
# Nothing, a link, a socket, a file that may not be read: it is the compilation that left it so.
_BY_WHAT_WAS_LEFT = {errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EACCES}


class NotLeft(Exception):
    """A compilation did not leave the file that it should have left."""


class TooLarge(Exception):
    """A compilation left a file that is larger than wanted."""


class Workspace:
    """A folder of this process under `root`, with one folder per compilation in it.

    Its owner holds file locks for as long as it lives, however it ends. A folder whose locks are free has no
    owner and is removed. A lock tells that across containers too, where process ids would not.
    The lock that counts is beside the folder, where compilations cannot write.
    Every method blocks on the disk: call them from a thread. They raise OSError.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._locks: list[int] = []
        self.path = root
        # The user and group that compilations run as; None where it is this process's own.
        self.owner: tuple[int, int] | None = None

    def open(self) -> None:
        """Remove what dead processes left, and take a folder of one's own."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self._root / _LOCK):  # no other process may see a new folder before its lock is held
            self._remove_abandoned()
            self.path = Path(tempfile.mkdtemp(dir=self._root)).resolve()
            self._locks = [_lock_file(lock) for lock in _locks_of(self.path)]
            for descriptor in self._locks:
                fcntl.flock(descriptor, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove the folder and all in it."""
        if self._locks:
            shutil.rmtree(self.path, ignore_errors=True)
            _lock_beside(self.path).unlink(missing_ok=True)
            for descriptor in self._locks:
                os.close(descriptor)
            self._locks = []

    def _remove_abandoned(self) -> None:
        for folder in [path for path in self._root.iterdir() if path.is_dir()]:
            if all(map(_is_free, _locks_of(folder))):
                shutil.rmtree(folder, ignore_errors=True)
        for lock in self._root.glob(f"?*{_LOCK}"):
            if not lock.with_suffix("").exists():
                lock.unlink(missing_ok=True)

    def folder_with(self, file_name: str, text: str) -> Path:
        """A new folder that holds one file with this text."""
        folder = Path(tempfile.mkdtemp(dir=self.path))
        (folder / file_name).write_text(text, encoding="utf-8", newline="")
        if self.owner is not None:
            os.chown(folder / file_name, *self.owner)
            os.chown(folder, *self.owner)
        return folder

    def read(self, folder: Path, file_name: str, most_bytes: int) -> bytes:
        """A file that a compilation left: never what it only points to, and nothing that reading would wait for.

        Raises NotLeft, where there is no such file, and TooLarge.
        """
        try:
            descriptor = os.open(folder / file_name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _BY_WHAT_WAS_LEFT:
                raise NotLeft(error.strerror) from error
            raise
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotLeft("not a file")
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise TooLarge
        return content

    def remove(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)


def _lock_beside(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _locks_of(folder: Path) -> tuple[Path, Path]:
    """The second is what earlier releases hold and look for."""
    return _lock_beside(folder), folder / _LOCK


def _is_free(lock: Path) -> bool:
    try:
        with _locked(lock, fcntl.LOCK_NB):
            return True
    except OSError:
        return False


@contextmanager
def _locked(path: Path, how: int = 0) -> Iterator[None]:
    descriptor = _lock_file(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(descriptor)


def _lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
