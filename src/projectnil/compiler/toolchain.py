"""What a language must offer to be compiled here."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from projectnil.domain.compilation import CompileCost, Outcome
from projectnil.domain.languages import Language

# Told several times a second, and at the end, what a compilation has cost so far; False stops it.
Onlooker: TypeAlias = Callable[[CompileCost], bool]


def let_go_on(_cost: CompileCost) -> bool:
    """The onlooker that stops nothing."""
    return True


class Toolchain(Protocol):
    """A compiler for one language. Safe to use from many tasks at once."""

    language: Language

    async def start(self) -> None:
        """Start the processes; they go on warming up in the background. Raises PlatformUnavailable."""

    async def stop(self) -> None:
        """End every process and remove every file. What still compiles raises PlatformUnavailable."""

    async def compile(self, source: str, onlooker: Onlooker = let_go_on) -> Outcome:
        """The module, or why there is none. Stopped only when `onlooker` wanted that.

        Raises PlatformUnavailable when the compiler could not do its work, and CompilerLost when it was ended in the
        middle of it, which the source may have brought about; it may well be right all the same.
        """
