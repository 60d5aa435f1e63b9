"""Data and element segments that no instance can begin with: they end outside the memory, or the table, they fill.

Formats: see wasm_format. The module is known to be valid and imports functions only.
"""

from projectnil.sandbox.wasm_format import (
    END,
    PAGE_BYTES,
    Reader,
    SectionId,
    memory_pages,
    section,
    skip_expression,
    table_sizes,
    value_type,
)

_I32_CONST = 0x41
_U32 = 2**32 - 1
# The bits of an element segment's flags.
_NOT_ACTIVE, _EXPLICIT, _EXPRESSIONS = 1, 2, 4


def segment_problem(wasm: bytes) -> str | None:
    """The first segment that cannot be put where it belongs, in words; None when all can."""
    return _data_problem(wasm) or _element_problem(wasm)


def _data_problem(wasm: bytes) -> str | None:
    data = section(wasm, SectionId.DATA)
    if data is None:
        return None
    memory_bytes = memory_pages(wasm) * PAGE_BYTES
    for nth in range(data.leb()):
        offset = _data_offset(data)
        size = data.leb()
        data.at += size
        if offset is not None and offset + size > memory_bytes:
            return (
                f"its data segment {nth} ends at byte {offset + size:,}, outside its memory of {memory_bytes:,} bytes"
            )
    return None


def _data_offset(data: Reader) -> int | None:
    """Goes past what comes before the bytes. None for a passive segment, or a place that is not a constant."""
    flags = data.leb()
    if flags & _NOT_ACTIVE:
        return None
    if flags & _EXPLICIT:
        data.leb()
    return _constant_offset(data)


def _element_problem(wasm: bytes) -> str | None:
    elements = section(wasm, SectionId.ELEMENT)
    if elements is None:
        return None
    sizes = table_sizes(wasm)
    for nth in range(elements.leb()):
        flags = elements.leb()
        is_active = not flags & _NOT_ACTIVE
        table = elements.leb() if is_active and flags & _EXPLICIT else 0
        offset = _constant_offset(elements) if is_active else None
        count = _skip_elements(elements, flags)
        if offset is not None and offset + count > sizes[table]:
            return f"its element segment {nth} ends at element {offset + count:,}, and its table has {sizes[table]:,}"
    return None


def _skip_elements(elements: Reader, flags: int) -> int:
    """Goes past the elements, and the type before them; returns how many they are."""
    if flags & (_NOT_ACTIVE | _EXPLICIT):
        value_type(elements)  # or the kind, which is one byte as well
    count = elements.leb()
    for _ in range(count):
        if flags & _EXPRESSIONS:
            skip_expression(elements)
        else:
            elements.leb()
    return count


def _constant_offset(reader: Reader) -> int | None:
    """Goes past an offset; None when it is not a single i32.const."""
    begins = reader.at
    if reader.byte() == _I32_CONST:
        value = _signed(reader)
        if reader.byte() == END:
            return value & _U32
    reader.at = begins
    skip_expression(reader)
    return None


def _signed(reader: Reader) -> int:
    begins = reader.at
    value = reader.leb()
    bits = 7 * (reader.at - begins)
    return value - (1 << bits) if value >> (bits - 1) else value
