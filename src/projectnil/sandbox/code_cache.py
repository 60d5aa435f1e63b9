"""Machine code on disk, each file with the module that it was made from.

A process that can write these files can run native code as the platform, so the directory must be the platform's alone.
"""

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog

from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.functions import ModuleSha256
from projectnil.domain.limits import MIB
from projectnil.sandbox.fingerprint import engine_fingerprint
from projectnil.sandbox.seal import sealed

# A process removes at its start what has not been used for so long.
UNUSED_S = 30 * 24 * 3600
_UNFINISHED_S = 3600
_UNFINISHED = "unfinished-"
_JUST_USED_S = 30.0
_SHA256_DIGITS = 64
_FAILURE_TOLD_S = 30.0
_LEAST_FREE_BYTES = 16 * MIB
# Changes with what a snapshot is: how it is made, and what a start section may not call.
_SNAPSHOT_VERSION = 1
_BLOCK_BYTES = 4096
_NO_DATA = bytes(_BLOCK_BYTES)


_log = structlog.get_logger()


class ModuleFile(msgspec.Struct, frozen=True):
    """A module that can run. code_path: machine code for this engine and CPU. wasm_path: what that was made from.

    is_snapshot: it begins after its start section. sha256: of the module that it is, or is a snapshot of.
    """

    sha256: ModuleSha256
    code_path: str
    wasm_path: str
    is_snapshot: bool


class CodeCache:
    """A directory of machine code, which several api processes may share."""

    def __init__(self, directory: Path, memory_bytes: int) -> None:
        """memory_bytes: the most a guest may have. A start section may do otherwise when it may have less, so a
        snapshot is for one such limit only."""
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._last_failure: tuple[str, float] | None = None

    def open(self) -> None:
        """Create the directory if need be. Raises PlatformUnavailable when others could write to it."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._directory.lstat()
        except OSError as error:
            raise PlatformUnavailable(f"the module cache {self._directory} cannot be used: {error}") from error
        problem = _why_not_ours(found, stat.S_ISDIR)
        if problem is not None:
            raise PlatformUnavailable(
                f"the module cache {self._directory} {problem}; it holds native code, so it must be a directory "
                f"that only this user can write (chmod 700, or remove it)"
            )
        self._remove_unused()

    def find(self, sha256: ModuleSha256) -> ModuleFile | None:
        """The snapshot of a module, else the module."""
        for is_snapshot in (True, False):
            file = self._file(sha256, is_snapshot)
            # Another process may be removing it.
            with contextlib.suppress(FileNotFoundError):
                if _is_ours(file.code_path) and _is_ours(file.wasm_path):
                    self.touch(file)
                    return file
        return None

    def touch(self, file: ModuleFile) -> None:
        """It is in use. Raises FileNotFoundError."""
        try:
            os.utime(file.code_path)
            os.utime(file.wasm_path)
        except FileNotFoundError:
            raise
        except OSError as error:
            _log.warning("module.not_touched", sha256=file.sha256, error=str(error))  # a disk that became read-only

    def problem(self) -> str | None:
        """Why nothing can be stored, from what happened lately and from how much room there is; None if it can."""
        if self._last_failure is not None and time.monotonic() - self._last_failure[1] < _FAILURE_TOLD_S:
            return self._last_failure[0]
        try:
            found = os.statvfs(self._directory)
        except OSError as error:
            return f"the module cache {self._directory} cannot be used: {error.strerror}"
        free_bytes = found.f_bavail * found.f_frsize
        # statvfs(3): where files are not counted, there are 0 of them.
        if free_bytes >= _LEAST_FREE_BYTES and (found.f_favail or not found.f_files):
            return None
        room = f"{free_bytes // MIB} MiB and {found.f_favail} files left"
        return f"the module cache {self._directory} is full ({room}): functions that are new to it may fail"

    def store(self, sha256: ModuleSha256, wasm: bytes, code: bytes, *, is_snapshot: bool = False) -> ModuleFile:
        """Raises PlatformUnavailable."""
        file = self._file(sha256, is_snapshot)
        try:
            _write_whole(Path(file.wasm_path), wasm)
            _write_whole(Path(file.code_path), sealed(file.code_path, code))
        except OSError as error:
            problem = f"machine code could not be stored in {self._directory}: {error.strerror}"
            self._last_failure = (problem, time.monotonic())
            raise PlatformUnavailable(problem) from error
        self._last_failure = None
        return file

    def remove(self, file: ModuleFile) -> None:
        Path(file.code_path).unlink(missing_ok=True)

    def modules(self) -> set[ModuleSha256]:
        """Every module of which there is a file, whatever engine and CPU it is for."""
        return {sha256 for sha256, _ in self._files()}

    def remove_modules(self, modules: Collection[ModuleSha256]) -> list[ModuleSha256]:
        """Remove all files of these, but for those that were used a moment ago; returns the modules removed.

        A process that runs one has it in its memory.
        """
        files = [(sha256, path) for sha256, path in self._files() if sha256 in modules]
        oldest_use = time.time() - _JUST_USED_S
        used = {sha256 for sha256, path in files if _used_at(path) > oldest_use}
        for sha256, path in files:
            if sha256 not in used:
                path.unlink(missing_ok=True)
        return sorted({sha256 for sha256, _ in files} - used)

    def _files(self) -> Iterator[tuple[ModuleSha256, Path]]:
        for path in self._directory.iterdir():
            sha256, _, _ = path.name.partition("-")
            if len(sha256) == _SHA256_DIGITS:
                yield ModuleSha256(sha256), path

    def _file(self, sha256: ModuleSha256, is_snapshot: bool) -> ModuleFile:
        stem = f"{sha256}-{engine_fingerprint()}" + (
            f"-started{_SNAPSHOT_VERSION}-{self._memory_bytes}" if is_snapshot else ""
        )
        path = str(self._directory / stem)
        return ModuleFile(sha256, f"{path}.sealed", f"{path}.wasm", is_snapshot)

    def _remove_unused(self) -> None:
        now = time.time()
        for path in self._directory.iterdir():
            patience_s = _UNFINISHED_S if path.name.startswith(_UNFINISHED) else UNUSED_S
            # Another process may be tidying up too.
            with contextlib.suppress(FileNotFoundError):
                if now - path.lstat().st_mtime > patience_s:
                    path.unlink()


def _used_at(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:  # another process is removing it too
        return 0.0


def _write_whole(path: Path, content: bytes) -> None:
    """Readers see all of it or nothing."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write_with_holes(file, content)
            file.flush()
            os.fsync(file.fileno())  # native code that a power cut damaged would pass for whole
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _write_with_holes(file: BinaryIO, content: bytes) -> None:
    """Blocks of zeros take no place on the disk: most of a snapshot's memory is such."""
    for at in range(0, len(content), _BLOCK_BYTES):
        block = content[at : at + _BLOCK_BYTES]
        if block == _NO_DATA:
            file.seek(_BLOCK_BYTES, os.SEEK_CUR)
        else:
            file.write(block)
    file.truncate(len(content))


def _is_ours(path: str) -> bool:
    try:
        return _why_not_ours(os.lstat(path), stat.S_ISREG) is None
    except FileNotFoundError:
        return False


def _why_not_ours(found: os.stat_result, is_right_kind: Callable[[int], bool]) -> str | None:
    if not is_right_kind(found.st_mode):
        return "is of the wrong kind"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, not to user {os.geteuid()}"
    if found.st_mode & 0o022:
        return f"is writable by others (mode {stat.S_IMODE(found.st_mode):04o})"
    return None
