"""A module rewritten: first so that its variables can be read, then so that it begins as its start section left it.

Nothing of the code changes. What a start section can have changed is the memory, the variables (mutable globals), and
tables; a module that could change its tables has no snapshot. Formats: see wasm_format.
"""

from collections.abc import Iterator, Mapping

import msgspec

from projectnil.sandbox.wasm_format import (
    END,
    HEADER_BYTES,
    PAGE_BYTES,
    PREFIX_FC,
    Kind,
    Reader,
    bodies,
    content,
    section,
    sections,
    signed_leb,
    skip_expression,
    skip_immediates,
    unsigned_leb,
)

_VARIABLE_PREFIX = "projectnil:variable:"
_GLOBAL_EXPORT = 3
_FUNCTION_IMPORT = 0
_I32 = 0x7F
# By value type, for i32, i64, f32 and f64: the instruction that makes a constant, and whether it takes a signed LEB128.
# If not, it takes the bits.
_CONSTANTS = {_I32: (0x41, True), 0x7E: (0x42, True), 0x7D: (0x43, False), 0x7C: (0x44, False)}
# Zeros are left out by blocks of this size, which keeps the number of segments low.
_BLOCK_BYTES = 4096

# What could change a table, or use a data segment that the snapshot does not have any more.
_TABLE_SET = 0x26
_UNSAFE_AFTER_FC = {
    8: "memory.init", 9: "data.drop", 12: "table.init", 13: "elem.drop", 14: "table.copy", 15: "table.grow",
    17: "table.fill",
}  # fmt: skip


class NotSafe(Exception):
    """The module cannot be replaced by a snapshot, and why."""


class Variable(msgspec.Struct, frozen=True):
    """A mutable global of the module's own. nth: among all globals."""

    nth: int
    value_type: int
    begins: int  # its initial value, in bytes from the start of the section's content
    ends: int


def has_start_section(wasm: bytes) -> bool:
    return section(wasm, Kind.START) is not None


def with_variables_exported(wasm: bytes) -> bytes:
    """The same module, with its variables as additional exports if it has a start section.

    It stays as it is where that is not possible; `check_snapshot_is_safe` says why. wasm: known to be valid.
    """
    exports = content(wasm, Kind.EXPORT)
    if not has_start_section(wasm) or exports is None or _imports_more_than_functions(wasm):
        return wasm
    if _VARIABLE_PREFIX.encode() in exports:
        return wasm
    variables = _variables(wasm)
    count = Reader(exports, 0)
    total = count.leb() + len(variables)
    added = b"".join(_export(_variable_name(each), _GLOBAL_EXPORT, each.nth) for each in variables)
    return _replace(wasm, {Kind.EXPORT: unsigned_leb(total) + exports[count.at :] + added})


def check_snapshot_is_safe(wasm: bytes) -> None:
    """Raises NotSafe unless memory and variables are all that the start section can change."""
    if _imports_more_than_functions(wasm):
        raise NotSafe("it imports more than functions")
    if section(wasm, Kind.MEMORY) is None:
        raise NotSafe("it has no memory")
    strange = [each for each in _variables(wasm) if each.value_type not in _CONSTANTS]
    if strange:
        raise NotSafe(f"its global {strange[0].nth} is mutable and not a number")
    for body, end in bodies(wasm):
        while body.at < end:
            opcode = body.byte()
            name = "table.set" if opcode == _TABLE_SET else None
            if opcode == PREFIX_FC:
                name = _UNSAFE_AFTER_FC.get(Reader(wasm, body.at).leb())
            if name is not None:
                raise NotSafe(f"it uses {name}")
            skip_immediates(body, opcode)


def variable_names(wasm: bytes) -> list[str]:
    """The exports that `with_variables_exported` added. Raises NotSafe when they are not there."""
    exports = content(wasm, Kind.EXPORT) or b""
    names = [_variable_name(each) for each in _variables(wasm)]
    if not all(name.encode() in exports for name in names):
        raise NotSafe("its variables cannot be read")
    return names


def after_start(wasm: bytes, memory: bytes, variables: Mapping[str, bytes]) -> bytes:
    """The module whose instances begin where those of `wasm` are after their start section.

    wasm: as `with_variables_exported` made it, and safe. memory: all of it, whole pages. variables: by their names,
    their bits, little-endian, in 4 or 8 bytes as their type needs.
    """
    return _replace(
        wasm,
        {
            Kind.MEMORY: _memory(wasm, len(memory) // PAGE_BYTES),
            Kind.GLOBAL: _globals(wasm, variables),
            Kind.EXPORT: _exports_without_variables(wasm),
            Kind.START: None,
            Kind.DATA_COUNT: None,
            Kind.DATA: None,
        },
    ) + _section(Kind.DATA, _data(memory))


def _memory(wasm: bytes, pages: int) -> bytes:
    memories = content(wasm, Kind.MEMORY) or b""
    reader = Reader(memories, 0)
    reader.skip_lebs(2)  # how many, which is one, since the engine allows no more; flags
    flags_end = reader.at
    reader.leb()
    return memories[:flags_end] + unsigned_leb(pages) + memories[reader.at :]


def _globals(wasm: bytes, variables: Mapping[str, bytes]) -> bytes | None:
    globals_ = content(wasm, Kind.GLOBAL)
    if globals_ is None:
        return None
    parts, at = [], 0
    for each in _variables(wasm):
        parts += [globals_[at : each.begins], _constant(each.value_type, variables[_variable_name(each)])]
        at = each.ends
    return b"".join([*parts, globals_[at:]])


def _exports_without_variables(wasm: bytes) -> bytes:
    exports = content(wasm, Kind.EXPORT) or b"\0"
    reader = Reader(exports, 0)
    kept = []
    for _ in range(reader.leb()):
        begins = reader.at
        size = reader.leb()
        name = exports[reader.at : reader.at + size]
        reader.at += size + 1
        reader.leb()
        if not name.startswith(_VARIABLE_PREFIX.encode()):
            kept.append(exports[begins : reader.at])
    return unsigned_leb(len(kept)) + b"".join(kept)


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


def _variables(wasm: bytes) -> list[Variable]:
    """Only meaningful for a module that imports no global."""
    return [variable for variable, is_mutable in _globals_of(wasm) if is_mutable]


def _globals_of(wasm: bytes) -> Iterator[tuple[Variable, bool]]:
    reader = Reader(content(wasm, Kind.GLOBAL) or b"\0", 0)
    for nth in range(reader.leb()):
        value_type, is_mutable = reader.byte(), reader.byte()
        begins = reader.at
        skip_expression(reader)
        yield Variable(nth, value_type, begins, reader.at), bool(is_mutable)


def _variable_name(variable: Variable) -> str:
    return f"{_VARIABLE_PREFIX}{variable.nth}"


def _imports_more_than_functions(wasm: bytes) -> bool:
    reader = section(wasm, Kind.IMPORT)
    if reader is None:
        return False
    for _ in range(reader.leb()):
        for _ in ("module", "name"):
            size = reader.leb()
            reader.at += size
        if reader.byte() != _FUNCTION_IMPORT:
            return True
        reader.leb()
    return False


def _constant(value_type: int, bits: bytes) -> bytes:
    opcode, is_integer = _CONSTANTS[value_type]
    value = signed_leb(int.from_bytes(bits, "little", signed=True)) if is_integer else bits
    return bytes([opcode]) + value + bytes([END])


def _export(name: str, kind: int, nth: int) -> bytes:
    encoded = name.encode()
    return unsigned_leb(len(encoded)) + encoded + bytes([kind]) + unsigned_leb(nth)


def _replace(wasm: bytes, contents: Mapping[Kind, bytes | None]) -> bytes:
    """The module with other contents in some of its sections; None leaves a section out."""
    parts, begins = [wasm[:HEADER_BYTES]], HEADER_BYTES
    for kind, _, ends in sections(wasm):
        if kind not in contents:
            parts.append(wasm[begins:ends])
        elif (replacement := contents[Kind(kind)]) is not None:
            parts.append(_section(kind, replacement))
        begins = ends
    return b"".join(parts)


def _section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + unsigned_leb(len(content)) + content
