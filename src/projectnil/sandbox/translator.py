"""The processes that make machine code and never run a guest, and those that run a start section, seen from the api."""

import asyncio
from collections import OrderedDict
from enum import Enum

from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.functions import ModuleSha256, module_sha256
from projectnil.domain.limits import Limits, in_units
from projectnil.sandbox.child import NotBegun, ProcessLost, ProcessOverdue, SandboxProcess
from projectnil.sandbox.code_cache import ModuleFile
from projectnil.sandbox.forking import ForkServer
from projectnil.sandbox.protocol import (
    TRANSLATION_BYTES,
    Invalid,
    NoSnapshot,
    Reply,
    Role,
    Snapshot,
    TakeSnapshot,
    Translate,
    Translated,
)
from projectnil.sandbox.turnstile import Turnstile

TIMEOUT_S = 30.0
# Most modules take 10 to 50 ms.
SLOW_AFTER_S = 1.0
_REMEMBERED = 1000


class _Aside(Enum):
    """Why a module is to be translated among the slow ones. DIED: its process did."""

    SLOW = "slow"
    DIED = "died"


class Translator:
    """Two processes for all modules, started when they are needed: one for modules that take long, one for the others.

    A module that turns out to take long goes on where it is if no other of its kind is at work, and its process is the
    slow one from then on. Otherwise it is stopped once others wait, and begins again when its turn comes. A module is
    known by its SHA-256; each is translated once, so that functions need no turns beside that.
    """

    def __init__(
        self, fork_server: ForkServer, limits: Limits, timeout_s: float = TIMEOUT_S, slow_after_s: float = SLOW_AFTER_S
    ) -> None:
        """timeout_s, slow_after_s: wall time of one translation."""
        self._quick = _Process(fork_server, limits, timeout_s)
        self._slow = _Process(fork_server, limits, timeout_s)
        self._quick_line = Turnstile()
        self._slow_line = Turnstile()
        self._slow_after_s = slow_after_s
        self._known_slow: OrderedDict[ModuleSha256, None] = OrderedDict()

    async def translate(self, wasm: bytes) -> Translated | Invalid:
        """Invalid, too, when it takes longer than the timeout, or the process dies of it twice.

        Raises PlatformUnavailable when there is no process to be had.
        """
        sha256 = module_sha256(wasm)
        reply = _Aside.SLOW if sha256 in self._known_slow else await self._translate_quickly(sha256, wasm)
        if isinstance(reply, _Aside):
            reply = await self._translate_slowly(wasm, tries=2 if reply is _Aside.SLOW else 1)
        if not isinstance(reply, Translated | Invalid):
            raise PlatformUnavailable("the translator gave an answer of the wrong kind")
        return reply

    async def close(self) -> None:
        """End the processes. Safe to repeat."""
        await self._quick.close()
        await self._slow.close()

    async def _translate_quickly(self, sha256: ModuleSha256, wasm: bytes) -> "Reply | _Aside":
        await self._quick_line.enter()
        line, reply = self._quick_line, None
        asking = asyncio.create_task(self._quick.ask(wasm))
        try:
            while not (await asyncio.wait({asking}, timeout=self._slow_after_s))[0]:
                self._remember(sha256)
                if line is self._quick_line and self._slow_line.try_enter():
                    self._quick, self._slow = self._slow, self._quick
                    line.leave(wasted_turn=True)
                    line = self._slow_line
                elif line is self._quick_line and line.is_waited_for:
                    return _Aside.SLOW
            reply = asking.result()
            return reply or _Aside.DIED
        finally:
            await self._leave(line, asking, reply)

    async def _translate_slowly(self, wasm: bytes, tries: int) -> Reply:
        """tries: after so many deaths it is the module that its process dies of."""
        await self._slow_line.enter()
        asking = asyncio.create_task(self._ask_slowly(wasm, tries))
        reply = None
        try:
            reply = await asking
        finally:
            await self._leave(self._slow_line, asking, reply)
        # Once, something else may have killed it. Cranelift ends its process when it gets no more memory.
        return reply or Invalid(
            "the process that translates it to machine code died twice; most likely that takes more memory than "
            f"the platform allows ({in_units(TRANSLATION_BYTES)})"
        )

    async def _ask_slowly(self, wasm: bytes, tries: int) -> Reply | None:
        for _ in range(tries):
            reply = await self._slow.ask(wasm)
            if reply is not None:
                return reply
        return None

    async def _leave(self, line: Turnstile, asking: "asyncio.Task[Reply | None]", reply: Reply | None) -> None:
        """Let the next one in, once nothing of this one goes on. reply: what it came to, None for nothing."""
        asking.cancel()
        try:
            await asyncio.wait({asking})
            if line is self._slow_line and not line.is_waited_for:
                await self._slow.close()  # it may hold much memory
        finally:
            line.leave(wasted_turn=not isinstance(reply, Translated))

    def _remember(self, sha256: ModuleSha256) -> None:
        self._known_slow[sha256] = None
        if len(self._known_slow) > _REMEMBERED:
            self._known_slow.popitem(last=False)


class _Process:
    """A process that translates, started when it is needed, and again when it was lost."""

    def __init__(self, fork_server: ForkServer, limits: Limits, timeout_s: float) -> None:
        self._fork_server = fork_server
        self._limits = limits
        self._timeout_s = timeout_s
        self._process: SandboxProcess | None = None

    async def ask(self, wasm: bytes) -> Reply | None:
        """None when the process was lost while it translated."""
        if self._process is None or self._process.is_lost:
            self._process = await SandboxProcess.start(
                self._fork_server, Role.TRANSLATOR, self._limits, None, lambda _: None
            )
        try:
            return await self._process.ask(Translate(wasm), self._timeout_s)
        except ProcessOverdue:
            await self.close()
            return Invalid(f"translating it to machine code took longer than {self._timeout_s:g} s")
        except ProcessLost:
            await self.close()
            return None
        except NotBegun as error:
            await self.close()
            raise PlatformUnavailable("the process that translates modules was lost") from error
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """End it. Safe to repeat."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process)


async def take_snapshot(fork_server: ForkServer, limits: Limits, file: ModuleFile) -> Snapshot | NoSnapshot:
    """In a process of its own, which never meets another module.

    A start section may take as long here as an execution. Raises PlatformUnavailable when it could not be told.
    """
    process = await SandboxProcess.start(fork_server, Role.SNAPSHOTTER, limits, file.wasm_path, lambda _: None)
    try:
        reply = await process.ask(TakeSnapshot(file.wasm_path), limits.execution_timeout_s)
    except (ProcessLost, NotBegun) as error:
        # Its own fault or not: on a busy machine this process gets what others leave.
        problem = "it was not ready in time" if isinstance(error, ProcessOverdue) else "its process was lost"
        raise PlatformUnavailable(problem) from error
    finally:
        await _end(process)
    if not isinstance(reply, Snapshot | NoSnapshot):
        raise PlatformUnavailable("its process gave an answer of the wrong kind")
    return reply


async def _end(process: SandboxProcess) -> None:
    process.kill()
    await process.ended()
