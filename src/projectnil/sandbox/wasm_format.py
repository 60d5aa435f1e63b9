"""Just enough of the WebAssembly binary format to answer two questions about a module that is known to be valid.

Source: WebAssembly Core Specification, chapter 5 "Binary Format". Integers are LEB128.
"""

from collections.abc import Iterator

_TABLE_SECTION = 4
_CODE_SECTION = 10

_MEMORY_GROW = 0x40
_UNREACHABLE = 0x00
_IF = 0x04
# What compilers put between a memory.grow and the `unreachable` of its failure: constants, locals, comparisons,
# and structured branches.
_TESTS_OF_A_RESULT = frozenset((0x02, 0x04, 0x05, 0x0B, 0x0D, 0x20, 0x21, 0x22, 0x41, *range(0x45, 0x50)))

_ONE_LEB = frozenset((0x02, 0x03, 0x04, 0x0C, 0x0D, 0x10, 0x12, *range(0x20, 0x27), 0x3F, 0x40, 0x41, 0x42, 0xD0, 0xD2))
_TWO_LEBS = frozenset((0x11, 0x13, *range(0x28, 0x3F)))
_BULK_LEBS = {8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}


class _Reader:
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
    section = _section(wasm, _TABLE_SECTION)
    if section is None:
        return []
    return [_table_size(section) for _ in range(section.leb())]


def _table_size(reader: _Reader) -> int:
    if reader.byte() == 0x40:  # a table with an initial value: 0x40 0x00 tabletype expr; only null can follow here
        reader.byte()
        reader.byte()
        size = _limits_minimum(reader)
        while reader.byte() != 0x0B:
            pass
        return size
    return _limits_minimum(reader)


def _limits_minimum(reader: _Reader) -> int:
    has_maximum = reader.byte() & 1
    minimum = reader.leb()
    reader.skip_lebs(has_maximum)
    return minimum


def gave_up_after_memory_grow(wasm: bytes, trap_offset: int) -> bool:
    """Did the trap at `trap_offset` come from an `unreachable` that only the result of a memory.grow leads to?

    AssemblyScript's allocator ends a failed growth so (`memory.grow; i32.const 0; i32.lt_s; if; unreachable`).
    The function is decoded from its start, so that a constant that looks like code cannot mislead.
    """
    reader = _body_around(wasm, trap_offset)
    if reader is None:
        return False
    follows_growth = False
    while reader.at < trap_offset:
        opcode = reader.byte()
        follows_growth = opcode == _MEMORY_GROW or (follows_growth and opcode in _TESTS_OF_A_RESULT)
        _skip_immediates(reader, opcode)
    return follows_growth and reader.at == trap_offset and _is_unreachable(reader)


def _is_unreachable(reader: _Reader) -> bool:
    opcode = reader.byte()
    if opcode == _IF:  # Cranelift folds `if unreachable` into one conditional trap, and places it at the `if`
        reader.leb()
        opcode = reader.byte()
    return opcode == _UNREACHABLE


def _sections(wasm: bytes) -> Iterator[tuple[int, _Reader, int]]:
    reader = _Reader(wasm, 8)  # magic and version: 4 bytes each
    while reader.at < len(wasm):
        kind = reader.byte()
        size = reader.leb()
        end = reader.at + size
        yield kind, _Reader(wasm, reader.at), end
        reader.at = end


def _section(wasm: bytes, wanted: int) -> _Reader | None:
    return next((reader for kind, reader, _ in _sections(wasm) if kind == wanted), None)


def _body_around(wasm: bytes, offset: int) -> _Reader | None:
    """A reader at the first instruction of the function that holds `offset`."""
    section = _section(wasm, _CODE_SECTION)
    if section is None:
        return None
    for _ in range(section.leb()):
        size = section.leb()
        if section.at <= offset < section.at + size:
            _skip_locals(section)
            return section
        section.at += size
    return None


def _skip_locals(reader: _Reader) -> None:
    for _ in range(reader.leb()):
        reader.leb()
        reader.byte()  # the value type: one byte, since typed references are off


def _skip_immediates(reader: _Reader, opcode: int) -> None:
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
        reader.skip_lebs(reader.leb())
    elif opcode == 0xFC:
        reader.skip_lebs(_BULK_LEBS.get(reader.leb(), 0))
    elif opcode == 0xFD:
        _skip_vector_immediates(reader, reader.leb())


def _skip_vector_immediates(reader: _Reader, operation: int) -> None:
    if operation <= 11 or 84 <= operation <= 93:  # loads and stores: alignment and offset
        reader.skip_lebs(2)
    if operation in (12, 13):  # v128.const, i8x16.shuffle
        reader.at += 16
    if 21 <= operation <= 34 or 84 <= operation <= 91:  # a lane
        reader.at += 1
