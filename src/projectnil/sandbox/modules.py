"""The modules this api process runs: each translated once, and once it is in use, replaced by its snapshot."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import structlog

from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.functions import ModuleSha256, module_sha256
from projectnil.domain.guest_errors import GuestBrokeAbi
from projectnil.domain.limits import Limits
from projectnil.sandbox.code_cache import UNUSED_S, CodeCache, ModuleFile
from projectnil.sandbox.forking import ForkServer
from projectnil.sandbox.protocol import Invalid, NoSnapshot
from projectnil.sandbox.translator import TIMEOUT_S, Translator, take_snapshot
from projectnil.sandbox.wasm_snapshot import has_start_section

# A snapshot costs a tenth of a second of CPU time, which a function that is hardly ever run does not earn back.
SNAPSHOT_AFTER = 10
# One that could not be made is tried again later; one that turned out unusable is not.
_TRY_AGAIN_AFTER = 1_000
_REMEMBERED_REJECTIONS = 1_000
_TOUCH_EVERY_S = UNUSED_S / 10

_log = structlog.get_logger()

# Of these modules, those that some function has.
Wanted: TypeAlias = Callable[[list[ModuleSha256]], Awaitable[set[ModuleSha256]]]
LoadWasm: TypeAlias = Callable[[], Awaitable[bytes]]
Translation: TypeAlias = ModuleFile | GuestBrokeAbi


class Modules:
    """What is ready to run, and what makes it so."""

    def __init__(
        self, directory: Path, limits: Limits, fork_server: ForkServer, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._limits = limits
        self._fork_server = fork_server
        self._cache = CodeCache(directory, limits.memory_bytes)
        self._translator = Translator(fork_server, limits, timeout_s)
        self._present: dict[ModuleSha256, ModuleFile] = {}
        self._rejected: OrderedDict[ModuleSha256, GuestBrokeAbi] = OrderedDict()
        self._under_way: dict[ModuleSha256, asyncio.Task[Translation]] = {}
        self._until_snapshot: dict[ModuleSha256, int] = {}  # so many uses more
        self._without_snapshot: set[ModuleSha256] = set()
        self._snapshots: set[asyncio.Task[None]] = set()
        self._unwanted: set[ModuleSha256] = set()  # when it was asked last
        self._is_closed = False
        self._touching: asyncio.TimerHandle | None = None
        self._one_snapshot_at_a_time = asyncio.Lock()

    def open(self) -> None:
        """Raises PlatformUnavailable when others could write to the cache of machine code."""
        self._cache.open()
        self._touch_later()

    async def close(self) -> None:
        """End the translator and what waits for it; nothing is made any more."""
        self._is_closed = True
        if self._touching is not None:
            self._touching.cancel()
        tasks = [*self._under_way.values(), *self._snapshots]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._translator.close()

    async def ensure(self, sha256: ModuleSha256, load_wasm: LoadWasm) -> Translation:
        """See SandboxPool.ensure_module."""
        present = self._present.get(sha256)
        if present is not None:
            if sha256 in self._until_snapshot:
                self._count_use(present)
            return present
        known = self._rejected.get(sha256) or self._find(sha256)
        if known is not None:
            return known
        task = self._under_way.get(sha256)
        if task is None:
            if self._is_closed:
                raise PlatformUnavailable("the platform is stopping")
            task = asyncio.create_task(self._translate(sha256, load_wasm), name=f"translate {sha256[:8]}")
            self._under_way[sha256] = task
            task.add_done_callback(lambda done: self._forget_task(sha256, done))
        return await asyncio.shield(task)  # one caller that goes away must not take it from the others

    def discard(self, module: ModuleFile) -> None:
        """The machine code turned out to be unusable: have it made again the next time it is wanted.

        Without its snapshot the module runs as it is from now on.
        """
        if module.is_snapshot:
            self._without_snapshot.add(module.sha256)
        if self._present.get(module.sha256) == module:
            del self._present[module.sha256]
        self._cache.remove(module)

    async def remove_unwanted(self, wanted: Wanted) -> list[ModuleSha256]:
        """Forget modules that no function has, and remove those that had none the last time either.

        The first time, executions of them may still be about to run, here or in another process that shares the cache.
        """
        known = {*await asyncio.to_thread(self._cache.modules), *self._present}
        unwanted = known - await wanted(list(known))
        for sha256 in unwanted:
            self._present.pop(sha256, None)
            self._until_snapshot.pop(sha256, None)
            self._without_snapshot.discard(sha256)
        to_remove, self._unwanted = unwanted & self._unwanted, unwanted
        return await asyncio.to_thread(self._cache.remove_modules, to_remove)

    def cache_problem(self) -> str | None:
        """Why machine code cannot be stored; None when it most likely can."""
        return self._cache.problem()

    def _touch_later(self) -> None:
        self._touching = asyncio.get_running_loop().call_later(_TOUCH_EVERY_S, self._touch_present)

    def _touch_present(self) -> None:
        """A module is found in the cache once in the life of this process, which may be longer than a file's."""
        for file in self._present.values():
            with suppress(FileNotFoundError):
                self._cache.touch(file)
        self._touch_later()

    def _forget_task(self, sha256: ModuleSha256, task: "asyncio.Task[Translation]") -> None:
        self._under_way.pop(sha256, None)
        if not task.cancelled():
            task.exception()  # all who waited may be gone; those who are not have it from their shield

    def _find(self, sha256: ModuleSha256) -> ModuleFile | None:
        file = self._cache.find(sha256)
        if file is not None:
            self._keep(file)
        return file

    def _keep(self, file: ModuleFile) -> None:
        self._present[file.sha256] = file
        if not file.is_snapshot and file.sha256 not in self._without_snapshot:
            self._until_snapshot[file.sha256] = SNAPSHOT_AFTER

    async def _translate(self, sha256: ModuleSha256, load_wasm: LoadWasm) -> Translation:
        wasm = await load_wasm()
        if module_sha256(wasm) != sha256:
            raise PlatformUnavailable(f"the stored module {sha256} is damaged: its bytes have another SHA-256")
        reply = await self._translator.translate(wasm)
        if isinstance(reply, Invalid):
            return self._reject(sha256, GuestBrokeAbi(reply.problem))
        file = await asyncio.to_thread(self._cache.store, sha256, wasm, reply.code)
        self._keep(file)
        _log.info("module.translated", sha256=sha256, wasmBytes=len(wasm), codeBytes=len(reply.code))
        return file

    def _reject(self, sha256: ModuleSha256, error: GuestBrokeAbi) -> GuestBrokeAbi:
        self._rejected[sha256] = error
        if len(self._rejected) > _REMEMBERED_REJECTIONS:
            self._rejected.popitem(last=False)
        return error

    # Snapshots

    def _count_use(self, file: ModuleFile) -> None:
        left = self._until_snapshot[file.sha256] = self._until_snapshot[file.sha256] - 1
        if left > 0 or self._is_closed:
            return
        del self._until_snapshot[file.sha256]
        task = asyncio.create_task(self._replace_by_snapshot(file), name=f"snapshot {file.sha256[:8]}")
        self._snapshots.add(task)
        task.add_done_callback(self._snapshots.discard)

    async def _replace_by_snapshot(self, file: ModuleFile) -> None:
        try:
            async with self._one_snapshot_at_a_time:
                outcome = await self._snapshot_of(file)
        except (PlatformUnavailable, OSError, IndexError) as error:
            self._until_snapshot[file.sha256] = _TRY_AGAIN_AFTER
            _log.warning("module.snapshot_failed", sha256=file.sha256, error=str(error))
            return
        if isinstance(outcome, NoSnapshot):
            _log.info("module.kept_as_it_is", sha256=file.sha256, reason=outcome.reason)
        elif outcome is not None and self._present.get(file.sha256) is file:
            self._present[file.sha256] = outcome

    async def _snapshot_of(self, file: ModuleFile) -> ModuleFile | NoSnapshot | None:
        """None when the module needs none."""
        if not await asyncio.to_thread(_begins_with_a_start_section, file):
            return None
        found = self._cache.find(file.sha256)
        if found is not None and found.is_snapshot:
            return found  # another process was faster
        snapshot = await take_snapshot(self._fork_server, self._limits, file)
        if isinstance(snapshot, NoSnapshot):
            return snapshot
        reply = await self._translator.translate(snapshot.wasm)
        if isinstance(reply, Invalid):
            return NoSnapshot(f"its snapshot cannot run here: {reply.problem}")
        stored = await asyncio.to_thread(self._cache.store, file.sha256, snapshot.wasm, reply.code, is_snapshot=True)
        _log.info("module.snapshot_taken", sha256=file.sha256, wasmBytes=len(snapshot.wasm), codeBytes=len(reply.code))
        return stored


def _begins_with_a_start_section(file: ModuleFile) -> bool:
    wasm = Path(file.wasm_path).read_bytes()
    if module_sha256(wasm) != file.sha256:
        raise PlatformUnavailable(f"{Path(file.wasm_path).name} is damaged")
    return has_start_section(wasm)
