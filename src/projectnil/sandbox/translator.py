"""The process that makes machine code and never runs a guest, and those that run a start section, seen from the api."""

import asyncio

from projectnil.domain.errors import PlatformUnavailable
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

TIMEOUT_S = 30.0


class Translator:
    """One process for all modules, started with the first, and again when it was lost."""

    def __init__(self, fork_server: ForkServer, limits: Limits, timeout_s: float = TIMEOUT_S) -> None:
        self._fork_server = fork_server
        self._limits = limits
        self._timeout_s = timeout_s
        self._process: SandboxProcess | None = None
        self._one_at_a_time = asyncio.Lock()

    async def translate(self, wasm: bytes) -> Translated | Invalid:
        """Invalid, too, when it takes longer than the timeout, or the process dies of it twice.

        Raises PlatformUnavailable when there is no process to be had.
        """
        async with self._one_at_a_time:
            reply = await self._ask(wasm) or await self._ask(wasm)
        if reply is None:
            # Once, something else may have killed it. Cranelift ends its process when it gets no more memory.
            return Invalid(
                "the process that translates it to machine code died twice; most likely that takes more memory than "
                f"the platform allows ({in_units(TRANSLATION_BYTES)})"
            )
        if not isinstance(reply, Translated | Invalid):
            raise PlatformUnavailable("the translator gave an answer of the wrong kind")
        return reply

    async def _ask(self, wasm: bytes) -> Reply | None:
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
        """End the process. Safe to repeat."""
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
