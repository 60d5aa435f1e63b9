"""A function: source code a user posted, and what became of it."""

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import NewType

import msgspec

from projectnil.domain.errors import InvalidInput, TooLarge
from projectnil.domain.ids import FunctionId
from projectnil.domain.languages import Language, parse_language
from projectnil.domain.limits import Limits

NAME_CHARACTERS = 255
DESCRIPTION_CHARACTERS = 10_000
# Of the compiler's message in a list: a page of 500 functions would otherwise have 500 messages of up to 64 KiB.
LISTED_ERROR_CHARACTERS = 1000

ModuleSha256 = NewType("ModuleSha256", str)


class FunctionStatus(StrEnum):
    PENDING = "PENDING"
    COMPILING = "COMPILING"
    READY = "READY"
    FAILED = "FAILED"


class NewFunction(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may say about a function; already checked."""

    name: str
    description: str | None
    language: Language
    source: str


class Compilation(msgspec.Struct, frozen=True, kw_only=True):
    """What compiling a function has cost the platform's own compilers.

    duration_ms (wall time), cpu_ms and peak_memory_bytes are of the last try at the function's revision; None when no
    compiler of the platform has tried it. peak_memory_bytes: what the compiler's process held, all of it.
    """

    tries: int
    total_duration_ms: float
    total_cpu_ms: float
    duration_ms: float | None = None
    cpu_ms: float | None = None
    peak_memory_bytes: int | None = None


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """All of a function but its binary. revision counts changes of source or language, from 1."""

    id: FunctionId
    name: str
    description: str | None
    language: str
    source: str
    status: FunctionStatus
    compile_error: str | None
    revision: int
    created_at: datetime
    updated_at: datetime
    compilation: Compilation | None = None

    @property
    def awaits_result(self) -> bool:
        """Whether it is still to be compiled."""
        return self.status in (FunctionStatus.PENDING, FunctionStatus.COMPILING)


class FunctionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A function as lists show it: without its source. compile_error: the beginning of it, see `listed_error`."""

    id: FunctionId
    name: str
    description: str | None
    language: str
    status: FunctionStatus
    compile_error: str | None
    revision: int
    created_at: datetime
    updated_at: datetime


class FunctionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which functions a list shows; None means any. short_id: the last 8 digits of an id."""

    name: str | None = None
    status: FunctionStatus | None = None
    short_id: str | None = None


def check_new_function(
    *, name: str, description: str | None, language: str, source: str, limits: Limits
) -> NewFunction:
    """Raises InvalidInput naming the field, TooLarge for the source, UnsupportedLanguage."""
    _check_text("name", name, NAME_CHARACTERS)
    if not name.strip():
        raise InvalidInput("must not be empty", "name")
    if description is not None:
        _check_text("description", description, DESCRIPTION_CHARACTERS)
    known_language = parse_language(language)
    _check_text("source", source, None)
    if not source.strip():
        raise InvalidInput("must not be empty", "source")
    source_bytes = len(source.encode())
    if source_bytes > limits.source_bytes:
        raise TooLarge("source", limits.source_bytes, source_bytes)
    return NewFunction(name=name, description=description, language=known_language, source=source)


def _check_text(field: str, text: str, most_characters: int | None) -> None:
    if most_characters is not None and len(text) > most_characters:
        raise InvalidInput(f"may have at most {most_characters} characters; this one has {len(text)}", field)
    if "\0" in text:
        raise InvalidInput("must not contain the NUL character (U+0000): Postgres text cannot hold it", field)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput("must not contain a lone surrogate: it is not Unicode text", field)


def listed_error(beginning: str | None) -> str | None:
    """A compiler's message as lists show it. beginning: at least one character more than that, or the whole message."""
    if beginning is None or len(beginning) <= LISTED_ERROR_CHARACTERS:
        return beginning
    return beginning[: LISTED_ERROR_CHARACTERS - 1] + "…"


def module_sha256(wasm: bytes) -> ModuleSha256:
    """The name of a module's bytes: SHA-256 in lower-case hexadecimal."""
    return ModuleSha256(sha256(wasm).hexdigest())
