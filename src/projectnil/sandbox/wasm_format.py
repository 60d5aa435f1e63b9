"""Just enough of the WebAssembly binary format to walk through a module that is known to be valid.

Source: WebAssembly Core Specification, chapter 5 "Binary Format". Integers are LEB128.
"""

from collections.abc import Iterator
from enum import IntEnum

PREFIX_FC = 0xFC
PAGE_BYTES = 65_536  # of memory
HEADER_BYTES = 8  # magic and version: 4 bytes each
END = 0x0B


class SectionId(IntEnum):
    CUSTOM = 0
    IMPORT = 2
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12


_ONE_LEB = frozenset((0x02, 0x03, 0x04, 0x0C, 0x0D, 0x10, 0x12, *range(0x20, 0x27), 0x3F, 0x40, 0x41, 0x42, 0xD0, 0xD2))
_TWO_LEBS = frozenset((0x11, 0x13, *range(0x28, 0x3F)))
_LONG_REFERENCES = (0x63, 0x64)
_BULK_LEBS = {8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}


class Reader:
    """A place in a module. Each method reads what is there and goes past it."""

    def __init__(self, wasm: bytes, at: int) -> None:
        self.wasm = wasm
        self.at = at

    def byte(self) -> int:
        self.at += 1
        return self.wasm[self.at - 1]

    def leb(self) -> int:
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    def skip_lebs(self, count: int) -> None:
        for _ in range(count):
            self.leb()


def table_sizes(wasm: bytes) -> list[int]:
    """How many elements each of the module's own tables has at the start."""
    tables = section(wasm, SectionId.TABLE)
    if tables is None:
        return []
    return [_table_size(tables) for _ in range(tables.leb())]


def _table_size(reader: Reader) -> int:
    has_initial_value = value_type(reader) == 0x40  # then: 0x40 0x00 tabletype expr; only null can follow here
    if has_initial_value:
        reader.byte()
        value_type(reader)
    size = _limits_minimum(reader)
    if has_initial_value:
        skip_expression(reader)
    return size


def memory_pages(wasm: bytes) -> int:
    """How many pages the module's own memory has at the start; 0 when it has none."""
    memories = section(wasm, SectionId.MEMORY)
    return _limits_minimum(memories) if memories is not None and memories.leb() else 0


def _limits_minimum(reader: Reader) -> int:
    has_maximum = reader.byte() & 1
    minimum = reader.leb()
    reader.skip_lebs(has_maximum)
    return minimum


def sections(wasm: bytes) -> Iterator[tuple[int, Reader, int]]:
    """In order: the id, a reader at the start of the content, and where the content ends."""
    reader = Reader(wasm, HEADER_BYTES)
    while reader.at < len(wasm):
        section_id = reader.byte()
        size = reader.leb()
        end = reader.at + size
        yield section_id, Reader(wasm, reader.at), end
        reader.at = end


def section(wasm: bytes, wanted: SectionId) -> Reader | None:
    """At the start of the content of the only section with this id; None when there is none."""
    return next((reader for section_id, reader, _ in sections(wasm) if section_id == wanted), None)


def content(wasm: bytes, wanted: SectionId) -> bytes | None:
    """Of the only section with this id; None when there is none."""
    return next((wasm[reader.at : end] for section_id, reader, end in sections(wasm) if section_id == wanted), None)


def bodies(wasm: bytes) -> Iterator[tuple[Reader, int]]:
    """Of each function: a reader at its first instruction, and where its last one ends."""
    code = section(wasm, SectionId.CODE)
    if code is None:
        return
    for _ in range(code.leb()):
        size = code.leb()
        end = code.at + size
        yield instructions(wasm, code.at), end
        code.at = end


def instructions(wasm: bytes, body_at: int) -> Reader:
    """At the first instruction of the function whose body, its locals first, starts at body_at."""
    reader = Reader(wasm, body_at)
    _skip_locals(reader)
    return reader


def _skip_locals(reader: Reader) -> None:
    for _ in range(reader.leb()):
        reader.leb()
        value_type(reader)


def value_type(reader: Reader) -> int:
    """Its first byte; a reference written the long way has the type of what it refers to after that."""
    kind = reader.byte()
    if kind in _LONG_REFERENCES:
        reader.leb()
    return kind


def skip_expression(reader: Reader) -> None:
    """A constant expression: it has no blocks, so the first `end` is its own."""
    while (opcode := reader.byte()) != END:
        skip_immediates(reader, opcode)


def skip_immediates(reader: Reader, opcode: int) -> None:
    """What follows an opcode and belongs to its instruction."""
    if opcode in _ONE_LEB:
        reader.leb()
    elif opcode in _TWO_LEBS:
        reader.skip_lebs(2)
    elif opcode == 0x43:  # f32.const
        reader.at += 4
    elif opcode == 0x44:  # f64.const
        reader.at += 8
    elif opcode == 0x0E:  # br_table: a vector of labels, then the default
        reader.skip_lebs(reader.leb() + 1)
    elif opcode == 0x1C:  # select with types
        for _ in range(reader.leb()):
            value_type(reader)
    elif opcode == PREFIX_FC:
        reader.skip_lebs(_BULK_LEBS.get(reader.leb(), 0))
    elif opcode == 0xFD:
        _skip_vector_immediates(reader, reader.leb())


def _skip_vector_immediates(reader: Reader, operation: int) -> None:
    if operation <= 11 or 84 <= operation <= 93:  # loads and stores: alignment and offset
        reader.skip_lebs(2)
    if operation in (12, 13):  # v128.const, i8x16.shuffle
        reader.at += 16
    if 21 <= operation <= 34 or 84 <= operation <= 91:  # a lane
        reader.at += 1


def unsigned_leb(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed_leb(value: int) -> bytes:
    """In two's complement."""
    out = bytearray()
    while not -64 <= value < 64:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)
