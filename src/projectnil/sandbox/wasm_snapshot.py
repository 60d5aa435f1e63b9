"""A module rewritten: so that its mutable globals can be read, and so that it begins as its start section left it.

Nothing of the code changes. What a start section can change is the memory, the mutable globals, and tables; a module
that could change its tables has no snapshot. Formats: see wasm_format. Every module here is known to be valid, imports
functions only, and has a memory of its own.
"""

from collections.abc import Mapping
from itertools import islice

import msgspec

from projectnil.sandbox.wasm_format import (
    END,
    HEADER_BYTES,
    PAGE_BYTES,
    PREFIX_FC,
    Reader,
    SectionId,
    bodies,
    content,
    sections,
    signed_leb,
    skip_expression,
    skip_immediates,
    unsigned_leb,
    value_type,
)

_GLOBAL_EXPORT = 3
_I32 = 0x7F
# By value type, for i32, i64, f32 and f64: the instruction that makes a constant, and whether it takes a signed LEB128.
# If not, it takes the bits.
_CONSTANTS = {_I32: (0x41, True), 0x7E: (0x42, True), 0x7D: (0x43, False), 0x7C: (0x44, False)}
# Zeros are left out by blocks of this size, which keeps the number of segments low.
_BLOCK_BYTES = 4096
# A compiler makes some dozen. The api does not walk through thousands.
_MOST_SECTIONS = 1_000

# What could change a table, or use a data segment that the snapshot does not have any more.
_TABLE_SET = 0x26
_UNSAFE_AFTER_PREFIX_FC = {
    8: "memory.init", 9: "data.drop", 12: "table.init", 13: "elem.drop", 14: "table.copy", 15: "table.grow",
    17: "table.fill",
}  # fmt: skip


class NotSafe(Exception):
    """The module cannot be replaced by a snapshot, and why."""


class MutableGlobal(msgspec.Struct, frozen=True):
    """nth: among all globals. begins, ends: its initial value, in bytes from the start of the section's content."""

    nth: int
    value_type: int
    begins: int
    ends: int


def has_start_section(wasm: bytes) -> bool:
    return any(section_id == SectionId.START for section_id, _, _ in islice(sections(wasm), _MOST_SECTIONS))


def check_snapshot_is_safe(wasm: bytes) -> None:
    """Raises NotSafe unless memory and globals that are numbers are all that the start section can change."""
    strange = [each for each in _mutable_globals(wasm) if each.value_type not in _CONSTANTS]
    if strange:
        raise NotSafe(f"its global {strange[0].nth} is mutable and not a number")
    for body, end in bodies(wasm):
        while body.at < end:
            opcode = body.byte()
            name = "table.set" if opcode == _TABLE_SET else None
            if opcode == PREFIX_FC:
                name = _UNSAFE_AFTER_PREFIX_FC.get(Reader(wasm, body.at).leb())
            if name is not None:
                raise NotSafe(f"it uses {name}")
            skip_immediates(body, opcode)
        if body.at != end:
            raise NotSafe("it has instructions that are not known here")


def with_globals_exported(wasm: bytes) -> tuple[bytes, dict[int, str]]:
    """The same module with its mutable globals as additional exports, and their names by place among all globals."""
    exports = content(wasm, SectionId.EXPORT) or b"\0"
    prefix = b"global"
    while prefix in exports:
        prefix += b"+"
    names = {each.nth: f"{prefix.decode()}{each.nth}" for each in _mutable_globals(wasm)}
    count = Reader(exports, 0)
    total = count.leb() + len(names)
    added = b"".join(_global_export(name, nth) for nth, name in names.items())
    return _replace(wasm, {SectionId.EXPORT: unsigned_leb(total) + exports[count.at :] + added}), names


def after_start(wasm: bytes, memory: bytes, globals_bits: Mapping[int, bytes]) -> bytes:
    """The module whose instances begin where those of `wasm` are after their start section.

    memory: all of it, whole pages. globals_bits: of each mutable global, by its place among all globals: its bits,
    little-endian, in 4 or 8 bytes as its type needs.
    """
    without_start = _replace(
        wasm,
        {
            SectionId.MEMORY: _memory(wasm, len(memory) // PAGE_BYTES),
            SectionId.GLOBAL: _globals(wasm, globals_bits),
            SectionId.START: None,
            SectionId.DATA_COUNT: None,
            SectionId.DATA: None,
        },
    )
    return without_start + _section(SectionId.DATA, _data(memory))


def _memory(wasm: bytes, pages: int) -> bytes:
    memories = content(wasm, SectionId.MEMORY) or b""
    reader = Reader(memories, 0)
    reader.skip_lebs(2)  # how many, which is one, since the engine allows no more; flags
    flags_end = reader.at
    reader.leb()
    return memories[:flags_end] + unsigned_leb(pages) + memories[reader.at :]


def _globals(wasm: bytes, globals_bits: Mapping[int, bytes]) -> bytes | None:
    globals_ = content(wasm, SectionId.GLOBAL)
    if globals_ is None:
        return None
    parts, at = [], 0
    for each in _mutable_globals(wasm):
        parts += [globals_[at : each.begins], _constant(each.value_type, globals_bits[each.nth])]
        at = each.ends
    return b"".join([*parts, globals_[at:]])


def _data(memory: bytes) -> bytes:
    segments = []
    for at in range(0, len(memory), _BLOCK_BYTES):
        block = memory[at : at + _BLOCK_BYTES].rstrip(b"\0")
        data = block.lstrip(b"\0")
        if data:
            offset = at + len(block) - len(data)
            # An active segment of memory 0: its offset as an expression, then its bytes.
            segments.append(b"\0" + _constant(_I32, offset.to_bytes(4, "little")) + unsigned_leb(len(data)) + data)
    return unsigned_leb(len(segments)) + b"".join(segments)


def _mutable_globals(wasm: bytes) -> list[MutableGlobal]:
    found = []
    reader = Reader(content(wasm, SectionId.GLOBAL) or b"\0", 0)
    for nth in range(reader.leb()):
        kind, is_mutable = value_type(reader), reader.byte()
        begins = reader.at
        skip_expression(reader)
        if is_mutable:
            found.append(MutableGlobal(nth, kind, begins, reader.at))
    return found


def _constant(kind: int, bits: bytes) -> bytes:
    opcode, is_integer = _CONSTANTS[kind]
    value = signed_leb(int.from_bytes(bits, "little", signed=True)) if is_integer else bits
    return bytes([opcode]) + value + bytes([END])


def _global_export(name: str, nth: int) -> bytes:
    encoded = name.encode()
    return unsigned_leb(len(encoded)) + encoded + bytes([_GLOBAL_EXPORT]) + unsigned_leb(nth)


def _replace(wasm: bytes, contents: Mapping[SectionId, bytes | None]) -> bytes:
    """The module with other contents in some of its sections; None leaves a section out."""
    parts, begins = [wasm[:HEADER_BYTES]], HEADER_BYTES
    for section_id, _, ends in sections(wasm):
        if section_id not in contents:
            parts.append(wasm[begins:ends])
        elif (replacement := contents[SectionId(section_id)]) is not None:
            parts.append(_section(section_id, replacement))
        begins = ends
    return b"".join(parts)


def _section(section_id: int, section_content: bytes) -> bytes:
    return bytes([section_id]) + unsigned_leb(len(section_content)) + section_content
