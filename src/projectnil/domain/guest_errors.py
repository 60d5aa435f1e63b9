"""How a user's function can fail. Values, not exceptions: each is an ordinary outcome of an execution.

`describe()` is what `errorMessage` says: which limit or rule, its value, and what to do.
"""

from typing import TypeAlias

import msgspec

from projectnil.domain.limits import in_units

# Its messages name the wrong value and the reason; its own line would not help anyone.
_JSON_LIBRARY = "~lib/json-as/"


class Place(msgspec.Struct, frozen=True):
    """In the user's source. line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}({self.line}:{self.column})"


class _GuestError(msgspec.Struct, frozen=True, tag=True):
    pass


def _in(place: Place | None) -> str:
    return f" in {place}" if place is not None else ""


class GuestAborted(_GuestError, frozen=True):
    """The function threw. line and column count from 1, as the compiler reports them.

    place: the user's own line, which called what threw in a library's file.
    """

    message: str
    file: str
    line: int
    column: int
    place: Place | None = None

    def describe(self) -> str:
        thrown_at = f"{self.file}({self.line}:{self.column})" if self.file else ""
        if self.place is not None and self.place.file != self.file:
            is_told = thrown_at and not self.file.startswith(_JSON_LIBRARY)
            where = f"{_in(self.place)} ({thrown_at})" if is_told else _in(self.place)
        else:
            where = f" in {thrown_at}" if thrown_at else ""
        return f"abort: {self.message or 'no message'}{where}"


class GuestTrapped(_GuestError, frozen=True):
    """The function broke a rule of WebAssembly. code: the trap's name, such as `INTEGER_DIVISION_BY_ZERO`.

    place: the user's own line that did it, or called what did; None when it is not known.
    """

    code: str
    explanation: str
    place: Place | None = None

    def describe(self) -> str:
        return f"trap: {self.explanation} ({self.code}){_in(self.place)}"


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
    """place: as in GuestTrapped."""

    memory_bytes: int
    place: Place | None = None

    def describe(self) -> str:
        limit = in_units(self.memory_bytes)
        return f"out of memory: the function needed more than its limit of {limit}{_in(self.place)}"


class GuestOutputTooLarge(_GuestError, frozen=True):
    """size_bytes: a lower bound, since text that is much too large is not encoded only to be counted."""

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
