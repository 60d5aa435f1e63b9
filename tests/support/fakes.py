"""A compiler that does what it is told; everything around it is real."""

import asyncio
from collections.abc import Callable

from projectnil.domain.compilation import Compiled, Rejected
from projectnil.domain.errors import CompilerLost, PlatformUnavailable
from projectnil.domain.languages import Language

WASM = b"\0asm\1\0\0\0"


class FakeToolchain:
    """Compiles any source to an empty module; `reject`, `break` and `lose` in a source do what they say."""

    language = Language.ASSEMBLYSCRIPT

    def __init__(self, during: Callable[[], object] | None = None) -> None:
        self.compiled: list[str] = []
        self._during = during

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def compile(self, source: str) -> Compiled | Rejected:
        self.compiled.append(source)
        if self._during is not None:
            outcome = self._during()
            if asyncio.iscoroutine(outcome):
                await outcome
        if "break" in source:
            raise PlatformUnavailable("the disk is full")
        if "lose" in source:
            raise CompilerLost("it was killed")
        return Rejected("no good") if "reject" in source else Compiled(WASM + source.encode())
