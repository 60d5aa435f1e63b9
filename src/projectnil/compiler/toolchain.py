"""What a language must offer to be compiled here."""

from typing import Protocol

from projectnil.domain.compilation import Compiled, Rejected
from projectnil.domain.languages import Language


class Toolchain(Protocol):
    """A compiler for one language. Safe to use from many tasks at once."""

    language: Language

    async def start(self) -> None:
        """Start the processes; they go on warming up in the background. Raises PlatformUnavailable."""

    async def stop(self) -> None:
        """End every process and remove every file. What still compiles raises PlatformUnavailable."""

    async def compile(self, source: str) -> Compiled | Rejected:
        """The module, or why the source is at fault: its errors, or a limit of time or memory it broke.

        Raises PlatformUnavailable when the compiler could not do its work, and CompilerLost when it was ended in the
        middle of it, which the source may have brought about; it may well be right all the same.
        """
