"""How a user's function can fail. Values, not exceptions: each is an ordinary outcome of an execution.

`describe()` is what `errorMessage` says: which limit or rule, its value, and what to do.
"""

from typing import TypeAlias

import msgspec

from projectnil.domain.limits import in_units


class _GuestError(msgspec.Struct, frozen=True, tag=True):
    pass


class GuestAborted(_GuestError, frozen=True):
    """The function threw. line and column count from 1, as the compiler reports them."""

    message: str
    file: str
    line: int
    column: int

    def describe(self) -> str:
        where = f" in {self.file}({self.line}:{self.column})" if self.file else ""
        return f"abort: {self.message or 'no message'}{where}"


class GuestTrapped(_GuestError, frozen=True):
    """The function broke a rule of WebAssembly. code: the trap's name, such as `INTEGER_DIVISION_BY_ZERO`."""

    code: str
    explanation: str

    def describe(self) -> str:
        return f"trap: {self.explanation} ({self.code})"


class GuestExited(_GuestError, frozen=True):
    """The function ended itself with `process.exit`, so it has no output."""

    code: int

    def describe(self) -> str:
        return f"exit: the function called process.exit({self.code}) before it returned its output"


class GuestTimedOut(_GuestError, frozen=True):
    timeout_s: float

    def describe(self) -> str:
        return f"timeout: the function ran longer than its limit of {self.timeout_s:g} s"


class GuestOutOfMemory(_GuestError, frozen=True):
    memory_bytes: int

    def describe(self) -> str:
        return f"out of memory: the function needed more than its limit of {in_units(self.memory_bytes)}"


class GuestOutputTooLarge(_GuestError, frozen=True):
    """size_bytes: at the least; of text that is much too large nobody counts the bytes it would have in UTF-8."""

    size_bytes: int
    limit_bytes: int

    def describe(self) -> str:
        return (
            f"output too large: {self.size_bytes:,} bytes of JSON, "
            f"and the limit is {in_units(self.limit_bytes)} ({self.limit_bytes:,} bytes)"
        )


class GuestOutputInvalid(_GuestError, frozen=True):
    """What `handle` returned is not JSON text that can be stored. problem: what is wrong, and where."""

    problem: str

    def describe(self) -> str:
        return f"the output is not valid JSON: {self.problem}"


class GuestBrokeAbi(_GuestError, frozen=True):
    """The module is not what the platform's ABI asks for: a missing export, an unknown import, a bad pointer."""

    problem: str

    def describe(self) -> str:
        return f"the module breaks the ABI: {self.problem}"


GuestError: TypeAlias = (
    GuestAborted
    | GuestTrapped
    | GuestExited
    | GuestTimedOut
    | GuestOutOfMemory
    | GuestOutputTooLarge
    | GuestOutputInvalid
    | GuestBrokeAbi
)
