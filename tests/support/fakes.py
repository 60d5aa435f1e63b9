"""A compiler that does what it is told; everything around it is real."""

import asyncio
from collections.abc import Callable

from projectnil.compiler.toolchain import Onlooker, let_go_on
from projectnil.domain.compilation import CompileCost, Compiled, Crashed, Outcome, Rejected, Stopped
from projectnil.domain.errors import CompilerLost, PlatformUnavailable
from projectnil.domain.languages import Language

QUICK = CompileCost(duration_s=0.4, cpu_s=0.5, peak_memory_bytes=200 * 1024 * 1024)
SLOW = CompileCost(duration_s=60, cpu_s=60, peak_memory_bytes=700 * 1024 * 1024)
STARVED = CompileCost(duration_s=60, cpu_s=1, peak_memory_bytes=200 * 1024 * 1024)
WASM = b"\0asm\1\0\0\0"


class FakeToolchain:
    """Compiles any source to an empty module; `reject`, `break`, `lose`, `crash` in a source do what they say.

    One with `slow` is a minute's work, one with `exceed` takes more than there is, one with `starve` gets little CPU
    time, and one with `cramped` crashes while there is no room in memory.
    """

    language = Language.ASSEMBLYSCRIPT

    def __init__(self, during: Callable[[], object] | None = None) -> None:
        self.compiled: list[str] = []
        self.during = during
        self.after_look: Callable[[], object] = lambda: None
        self.has_room = False

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def compile(self, source: str, onlooker: Onlooker = let_go_on) -> Outcome:
        self.compiled.append(source)
        if self.during is not None:
            outcome = self.during()
            if asyncio.iscoroutine(outcome):
                await outcome
        if not onlooker(_cost(source)):
            return Stopped()
        self.after_look()
        if "crash" in source:
            return Crashed("it crashed")
        if "cramped" in source and not self.has_room:
            return Crashed("it needed more memory", lacked_room=True)
        if "exceed" in source:
            return Rejected("it takes too long", broke_limit=True)
        if "break" in source:
            raise PlatformUnavailable("the disk is full")
        if "lose" in source:
            raise CompilerLost("it was killed")
        return Rejected("no good") if "reject" in source else Compiled(WASM + source.encode())


def _cost(source: str) -> CompileCost:
    if "starve" in source:
        return STARVED
    return SLOW if "slow" in source or "exceed" in source else QUICK
