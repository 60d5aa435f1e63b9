"""The section may come from a stranger: whatever is in it, a failure costs little and names a line at the most."""

import time

from hypothesis import given
from hypothesis import strategies as st

from projectnil.domain.guest_errors import Place
from projectnil.sandbox.wasm_format import PAGE_BYTES, SectionId, section, unsigned_leb
from projectnil.sandbox.wasm_lines import UserFrame, user_frames
from projectnil.sandbox.wasm_snapshot import after_start
from tests.sandbox.guests import wat

NAME = b"projectnil.lines"
MODULE = wat("(module (func nop nop nop) (func nop nop nop nop))")
CODE_AT = section(MODULE, SectionId.CODE).at  # type: ignore[union-attr]

# A file with functions a and b; a owns the first body, and part of the second is from b, inlined.
TABLE = (
    b"\x01" + b"\x04a.ts" + b"\x02\x01a\x01b"
    + b"\x02" + b"\x02\x01" + b"\x05\x01"
    + b"\x03" + b"\x02\x01\x06\x02" + b"\x06\x02\x08\x04" + b"\x01\x00\x0d\x05"
)  # fmt: skip


def with_table(table: bytes, name: bytes = NAME) -> bytes:
    content = unsigned_leb(len(name)) + name + table
    return MODULE + bytes([SectionId.CUSTOM]) + unsigned_leb(len(content)) + content


def frames(table: bytes, *offsets: int) -> list[UserFrame]:
    return user_frames(with_table(table), [CODE_AT + offset for offset in offsets])


def test_offsets_become_lines_and_functions() -> None:
    inlined = UserFrame("b", Place("a.ts", 7, 3), "a")
    assert frames(TABLE, 3) == [UserFrame("a", Place("a.ts", 3, 1), None)]
    assert frames(TABLE, 8, 2) == [inlined, UserFrame("a", Place("a.ts", 3, 1), None)]


def test_code_of_a_library_and_what_is_before_the_first_function_is_left_out() -> None:
    assert frames(TABLE, 9, 8, 0, 7) == frames(TABLE, 8)


def test_a_module_without_the_section_has_no_frames() -> None:
    assert user_frames(MODULE, [CODE_AT + 3]) == []
    assert user_frames(with_table(TABLE, b"something.else"), [CODE_AT + 3]) == []


def test_a_snapshot_keeps_the_lines() -> None:
    functions = "(func nop nop nop) (func nop nop nop nop)"
    begins_with_start = wat(f"(module (memory 1) {functions} (start 0))") + with_table(TABLE)[len(MODULE) :]
    snapshot = after_start(begins_with_start, b"\x01" * 3 * PAGE_BYTES, {})
    code = section(snapshot, SectionId.CODE)
    assert code is not None
    assert user_frames(snapshot, [code.at + 8]) == frames(TABLE, 8)


def test_another_version_says_nothing() -> None:
    assert frames(b"\x02" + TABLE[1:], 3) == []


@given(st.binary(max_size=60))
def test_any_bytes_at_all_do_no_harm(table: bytes) -> None:
    frames(table, 0, 3, 8)
    frames(b"\x01\x04a.ts" + table, 0, 3, 8)


@given(st.integers(0, len(TABLE) - 1), st.integers(0, 255))
def test_a_damaged_table_does_no_harm(at: int, byte: int) -> None:
    frames(TABLE[:at] + bytes([byte]) + TABLE[at + 1 :], 0, 3, 8)
    frames(TABLE[:at], 0, 3, 8)


def test_an_integer_without_end_is_damage() -> None:
    began = time.monotonic()
    assert frames(b"\x80" * 900_000, 3) == []
    assert frames(TABLE[:-1] + b"\x80" * 900_000 + b"\x01", 3) == []
    assert time.monotonic() - began < 5


def test_names_are_text_that_the_database_can_hold() -> None:
    [frame] = frames(TABLE.replace(b"\x01a\x01b", b"\x01\0\x01b"), 3)
    assert frame.function == "\N{REPLACEMENT CHARACTER}"
    assert frames(TABLE.replace(b"\x01a\x01b", b"\x01\xff\x01b"), 3) == []


def test_a_huge_section_is_not_read() -> None:
    assert frames(TABLE + bytes(2 * 1024 * 1024), 3) == []
