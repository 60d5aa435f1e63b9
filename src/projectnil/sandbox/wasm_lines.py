"""Which lines of the user's source a stack of offsets in a module means.

The compiler puts them into the module, as the custom section `projectnil.lines` (compiler/assemblyscript/lines.mjs):

    version (1), name of the file, names of functions: their number, each;
    bodies of functions, in order: their number, each its offset and its function;
    segments of the code, in order: their number, each its offset, its function, its line and its column.

Integers are LEB128, signed ones in zigzag; texts are UTF-8 after their length. Offsets are from the start of the code
section's content, and stand as the difference from the one before; so do lines and columns, which count from 1. A
function is 0 for none, or else 1 more than its place among the names. A line is 0 where the code is not the user's.

A module may come from a stranger, and so may this section: all that can be wrong with it is that it says nothing.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeAlias

import msgspec

from projectnil.domain.guest_errors import Place
from projectnil.domain.text import storable
from projectnil.sandbox.wasm_format import Reader, SectionId, sections

_NAME = b"projectnil.lines"
_VERSION = 1
_MOST_SECTIONS = 1_000
# A failure must not cost more than a fraction of a second, whatever the section holds.
_MOST_BYTES = 1024 * 1024
_MOST_LEB_BYTES = 5
_MOST_NAME_BYTES = 400
_MOST_LINE = 2**31 - 1

# Where it begins, the function, the line, the column.
_Entry: TypeAlias = tuple[int, int, int, int]


class UserFrame(msgspec.Struct, frozen=True):
    """A function of the user's that was running, and where. function: None at the top level.

    inlined_into: the function that this one became a part of, where the compiler did so.
    """

    function: str | None
    place: Place
    inlined_into: str | None


class _Damaged(Exception):
    """The section is not what the compiler writes."""


def user_frames(wasm: bytes, offsets: Sequence[int]) -> list[UserFrame]:
    """Of a stack, the functions that the user wrote, in the order given. offsets: in the module.

    Empty when the module has no such section, or a damaged one.
    """
    try:
        code_start, table = _find(wasm)
        return [] if table is None else _frames(table, [offset - code_start for offset in offsets])
    except (_Damaged, IndexError, UnicodeDecodeError):
        return []


class _Table(Reader):
    """Reads the section's content, and no integer that is too long for it."""

    def leb(self) -> int:
        value = 0
        for nth in range(_MOST_LEB_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * nth
            if byte < 0x80:
                return value
        raise _Damaged

    def signed(self) -> int:
        value = self.leb()
        return -(value + 1) // 2 if value & 1 else value // 2

    def text(self) -> str:
        size = self.leb()
        if size > _MOST_NAME_BYTES:
            raise _Damaged
        self.at += size
        return storable(self.wasm[self.at - size : self.at].decode())


def _find(wasm: bytes) -> tuple[int, _Table | None]:
    """Where the code section's content starts, and the table."""
    code_start, table = 0, None
    for section_id, reader, end in islice(sections(wasm), _MOST_SECTIONS):
        if section_id == SectionId.CODE:
            code_start = reader.at
        elif section_id == SectionId.CUSTOM and end - reader.at <= _MOST_BYTES:
            content = _Table(wasm[reader.at : end], 0)
            if content.leb() == len(_NAME) and content.wasm[content.at : content.at + len(_NAME)] == _NAME:
                content.at += len(_NAME)
                table = content
    return code_start, table


def _frames(table: _Table, offsets: Sequence[int]) -> list[UserFrame]:
    if table.leb() != _VERSION:
        raise _Damaged
    file = table.text()
    names: list[str | None] = [None, *(table.text() for _ in range(table.leb()))]
    bodies = _last_before(offsets, _bodies(table))
    segments = _last_before(offsets, _segments(table))
    found = []
    for offset in offsets:
        begin, owner, *_ = bodies[offset]
        at, function, line, column = segments[offset]
        if not line or at < begin:
            continue
        around = names[owner] if function not in (0, owner) else None
        found.append(UserFrame(names[function or owner], Place(file, line, column), around))
    return found


def _last_before(offsets: Sequence[int], entries: Iterator[_Entry]) -> dict[int, _Entry]:
    """For each offset the last of the entries, which are in order, that does not begin after it. Reads them all."""
    waiting = sorted(set(offsets), reverse=True)
    found = {}
    current: _Entry = (0, 0, 0, 0)
    for entry in entries:
        while waiting and waiting[-1] < entry[0]:
            found[waiting.pop()] = current
        current = entry
    return found | dict.fromkeys(waiting, current)


def _bodies(table: _Table) -> Iterator[_Entry]:
    offset = 0
    for _ in range(table.leb()):
        offset += table.leb()
        yield offset, table.leb(), 0, 0


def _segments(table: _Table) -> Iterator[_Entry]:
    offset = line = column = 0
    for _ in range(table.leb()):
        offset += table.leb()
        function = table.leb()
        line += table.signed()
        column += table.signed()
        if not (0 <= line <= _MOST_LINE and 0 <= column <= _MOST_LINE):
            raise _Damaged
        yield offset, function, line, column
