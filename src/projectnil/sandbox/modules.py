"""Machine code on disk: made once per module and engine, by a process that never runs guests.

Whoever can write these files can run native code as the platform, so the directory must be the platform's alone.
"""

import asyncio
import contextlib
import os
import stat
import tempfile
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import msgspec
import structlog

from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.functions import ModuleSha256, module_sha256
from projectnil.domain.guest_errors import GuestBrokeAbi
from projectnil.domain.limits import Limits
from projectnil.sandbox.child import NotBegun, ProcessLost, ProcessOverdue, SandboxProcess
from projectnil.sandbox.fingerprint import engine_fingerprint
from projectnil.sandbox.forking import ForkServer
from projectnil.sandbox.protocol import Invalid, Reply, Role, Translate, Translated

TRANSLATION_TIMEOUT_S = 30.0
# A file is touched when a process first uses it, so what was not touched for so long belongs to nobody any more.
UNUSED_S = 30 * 24 * 3600
_UNFINISHED_S = 3600
_UNFINISHED = "unfinished-"
_REMEMBERED_REJECTIONS = 1_000

_log = structlog.get_logger()


class ModuleFile(msgspec.Struct, frozen=True):
    """A module that can run. code_path: its machine code for this engine and CPU. wasm_path: its own bytes."""

    sha256: ModuleSha256
    code_path: str
    wasm_path: str


LoadWasm: TypeAlias = Callable[[], Awaitable[bytes]]
Translation: TypeAlias = ModuleFile | GuestBrokeAbi


class ModuleFiles:
    """The module directory and the translator that fills it."""

    def __init__(
        self, directory: Path, limits: Limits, fork_server: ForkServer, *, timeout_s: float = TRANSLATION_TIMEOUT_S
    ) -> None:
        self._directory = directory
        self._limits = limits
        self._fork_server = fork_server
        self._timeout_s = timeout_s
        self._present: dict[ModuleSha256, ModuleFile] = {}
        self._rejected: OrderedDict[ModuleSha256, GuestBrokeAbi] = OrderedDict()
        self._under_way: dict[ModuleSha256, asyncio.Task[Translation]] = {}
        self._translator: SandboxProcess | None = None
        self._one_at_a_time = asyncio.Lock()

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

    async def close(self) -> None:
        """End the translator and what waits for it."""
        for task in list(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        await self._end_translator()

    async def ensure(self, sha256: ModuleSha256, load_wasm: LoadWasm) -> Translation:
        """See SandboxPool.ensure_module."""
        known = self._present.get(sha256) or self._rejected.get(sha256) or self._find(sha256)
        if known is not None:
            return known
        task = self._under_way.get(sha256)
        if task is None:
            task = asyncio.create_task(self._translate(sha256, load_wasm), name=f"translate {sha256[:8]}")
            self._under_way[sha256] = task
            task.add_done_callback(lambda done: self._forget_task(sha256, done))
        return await asyncio.shield(task)  # one caller that goes away must not take it from the others

    def discard(self, module: ModuleFile) -> None:
        """The machine code turned out to be unusable: have it made again the next time it is wanted."""
        self._present.pop(module.sha256, None)
        Path(module.code_path).unlink(missing_ok=True)

    def _forget_task(self, sha256: ModuleSha256, task: "asyncio.Task[Translation]") -> None:
        self._under_way.pop(sha256, None)
        if not task.cancelled():
            task.exception()  # all who waited may be gone; those who are not have it from their shield

    def _remove_unused(self) -> None:
        now = time.time()
        for path in self._directory.iterdir():
            patience_s = _UNFINISHED_S if path.name.startswith(_UNFINISHED) else UNUSED_S
            # Another process may be tidying up too.
            with contextlib.suppress(FileNotFoundError):
                if now - path.lstat().st_mtime > patience_s:
                    path.unlink()

    def _find(self, sha256: ModuleSha256) -> ModuleFile | None:
        file = self._file(sha256)
        if not (_is_ours(file.code_path) and _is_ours(file.wasm_path)):
            return None
        os.utime(file.code_path)
        os.utime(file.wasm_path)
        self._present[sha256] = file
        return file

    def _file(self, sha256: ModuleSha256) -> ModuleFile:
        code = self._directory / f"{sha256}-{engine_fingerprint()}.code"
        return ModuleFile(sha256, str(code), str(self._directory / f"{sha256}.wasm"))

    async def _translate(self, sha256: ModuleSha256, load_wasm: LoadWasm) -> Translation:
        wasm = await load_wasm()
        if module_sha256(wasm) != sha256:
            raise PlatformUnavailable(f"the stored module {sha256} is damaged: its bytes have another SHA-256")
        async with self._one_at_a_time:
            reply = await self._ask_translator(wasm)
        match reply:
            case Translated(code):
                return await asyncio.to_thread(self._store, sha256, wasm, code)
            case Invalid(problem):
                return self._reject(sha256, GuestBrokeAbi(problem))
            case _:
                raise PlatformUnavailable("the translator gave an answer of the wrong kind")

    async def _ask_translator(self, wasm: bytes) -> Reply:
        if self._translator is None or self._translator.is_lost:
            self._translator = await SandboxProcess.start(
                self._fork_server, Role.TRANSLATOR, self._limits, lambda _: None
            )
        try:
            return await self._translator.ask(Translate(wasm), self._timeout_s)
        except ProcessOverdue:
            await self._end_translator()
            return Invalid(f"translating it to machine code took longer than {self._timeout_s:g} s")
        except (ProcessLost, NotBegun) as error:
            await self._end_translator()
            raise PlatformUnavailable("the process that translates modules was lost") from error
        except asyncio.CancelledError:
            await self._end_translator()
            raise

    async def _end_translator(self) -> None:
        translator, self._translator = self._translator, None
        if translator is not None:
            translator.kill()
            await translator.ended()

    def _reject(self, sha256: ModuleSha256, error: GuestBrokeAbi) -> GuestBrokeAbi:
        self._rejected[sha256] = error
        if len(self._rejected) > _REMEMBERED_REJECTIONS:
            self._rejected.popitem(last=False)
        return error

    def _store(self, sha256: ModuleSha256, wasm: bytes, code: bytes) -> ModuleFile:
        file = self._file(sha256)
        try:
            _write_whole(Path(file.wasm_path), wasm)
            _write_whole(Path(file.code_path), code)
        except OSError as error:
            raise PlatformUnavailable(f"machine code could not be stored: {error}") from error
        self._present[sha256] = file
        _log.info("module.translated", sha256=sha256, wasmBytes=len(wasm), codeBytes=len(code))
        return file


def _write_whole(path: Path, content: bytes) -> None:
    """Readers see all of it or nothing."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
