"""From a trap to the guest's error, and to the lines that led to it.

By the trap's code, never by a message's text: those change between versions.
"""

from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby

from msgspec.structs import replace
from wasmtime import TrapCode

from projectnil.domain.guest_errors import GuestAborted, GuestError, GuestOutOfMemory, GuestTrapped, Place
from projectnil.domain.limits import Limits, in_units
from projectnil.sandbox.capi import TrapReport
from projectnil.sandbox.fingerprint import ENGINE_SETTINGS
from projectnil.sandbox.wasm_format import Reader, instructions, skip_immediates
from projectnil.sandbox.wasm_lines import UserFrame

_STACK = in_units(int(ENGINE_SETTINGS["max_wasm_stack"]))

_EXPLANATIONS = {
    TrapCode.STACK_OVERFLOW: f"the call stack grew over its limit of {_STACK}; look for a recursion without end",
    TrapCode.MEMORY_OUT_OF_BOUNDS: "it read or wrote outside its memory",
    TrapCode.TABLE_OUT_OF_BOUNDS: "it called through a function table outside its bounds",
    TrapCode.INDIRECT_CALL_TO_NULL: "it called a function reference that is null",
    TrapCode.BAD_SIGNATURE: "it called a function reference of another type",
    TrapCode.INTEGER_OVERFLOW: "the result of an integer division does not fit its type",
    TrapCode.INTEGER_DIVISION_BY_ZERO: "an integer was divided by zero",
    TrapCode.BAD_CONVERSION_TO_INTEGER: "a float that is not a number, or is out of range, was converted to an integer",
    TrapCode.UNREACHABLE: "it reached code that says it cannot be reached",
}

_MEMORY_GROW = 0x40
_UNREACHABLE = 0x00
_IF = 0x04
# What compilers put between a memory.grow and the `unreachable` of its failure: constants, locals, comparisons,
# and structured branches.
_TESTS_OF_A_RESULT = frozenset((0x02, 0x04, 0x05, 0x0B, 0x0D, 0x20, 0x21, 0x22, 0x41, *range(0x45, 0x50)))
_MOST_TEST_BYTES = 64


def explain_trap(report: TrapReport, wasm: bytes, limits: Limits) -> GuestError:
    """The error of a trap that the host did not ask for."""
    if report.code is None:
        return GuestTrapped("UNKNOWN", "it stopped for a reason the engine does not name")
    code = TrapCode(report.code)
    if code is TrapCode.UNREACHABLE and _ran_out_of_memory(report, wasm):
        return GuestOutOfMemory(limits.memory_bytes)
    return GuestTrapped(code.name, _EXPLANATIONS.get(code, "it broke a rule of WebAssembly"))


def located(error: GuestError, frames: Sequence[UserFrame]) -> GuestError:
    """The same error with the user's innermost line in it, where it has room for one."""
    if not frames or not isinstance(error, GuestAborted | GuestTrapped | GuestOutOfMemory):
        return error
    return replace(error, place=frames[0].place)


def offsets_of(report: TrapReport, wasm: bytes) -> list[int]:
    """The report's, but with the `unreachable` itself where Cranelift placed the trap at an `if` before it."""
    if not report.offsets or report.code != TrapCode.UNREACHABLE.value:
        return report.offsets
    return [_past_the_if(wasm, report.offsets[0]), *report.offsets[1:]]


def _past_the_if(wasm: bytes, offset: int) -> int:
    reader = Reader(wasm, offset)
    with suppress(IndexError):
        if reader.byte() == _IF:
            reader.leb()
            return reader.at if wasm[reader.at] == _UNREACHABLE else offset
    return offset


def with_place_of(error: GuestError, frames: list[UserFrame]) -> list[UserFrame]:
    """The frames, the innermost at the place that an abort in the user's own file names: the exact one."""
    if not frames or not isinstance(error, GuestAborted) or error.file != frames[0].place.file:
        return frames
    return [replace(frames[0], place=Place(error.file, error.line, error.column)), *frames[1:]]


def stack_text(frames: Sequence[UserFrame], is_cut: bool) -> str:
    """The frames for people, innermost first, a line each; repeated ones are counted. is_cut: there may be more."""
    if not frames:
        return ""
    lines = []
    for frame, same in groupby(frames):
        times = sum(1 for _ in same)
        lines.append(f"    at {_frame_text(frame)}" + (f", {times} times" if times > 1 else ""))
    if is_cut:
        lines.append("    ...")
    return "\n".join(["stack of the failure:", *lines, ""])


def _frame_text(frame: UserFrame) -> str:
    into = f", inlined into {frame.inlined_into}" if frame.inlined_into else ""
    place = frame.place
    return f"{frame.function or 'top level'} ({place.file}:{place.line}:{place.column}){into}"


def _ran_out_of_memory(report: TrapReport, wasm: bytes) -> bool:
    if report.body_at is None:
        return False
    try:
        return gave_up_after_memory_grow(wasm, report.body_at, report.offsets[0])
    except IndexError:
        return False


def gave_up_after_memory_grow(wasm: bytes, body_at: int, trap_offset: int) -> bool:
    """Did the trap at `trap_offset` come from an `unreachable` that only the result of a memory.grow leads to?

    AssemblyScript's allocator ends a failed growth so (`memory.grow; i32.const 0; i32.lt_s; if; unreachable`).
    The function, whose body starts at body_at, is decoded from there, so that a constant that looks like code cannot
    mislead; but only where there may be a growth at all, since it can be long.
    """
    if _MEMORY_GROW not in wasm[max(trap_offset - _MOST_TEST_BYTES, body_at) : trap_offset]:
        return False
    around = instructions(wasm, body_at)
    follows_growth = False
    while around.at < trap_offset:
        opcode = around.byte()
        follows_growth = opcode == _MEMORY_GROW or (follows_growth and opcode in _TESTS_OF_A_RESULT)
        skip_immediates(around, opcode)
    return follows_growth and around.at == trap_offset and _is_unreachable(around)


def _is_unreachable(reader: Reader) -> bool:
    opcode = reader.byte()
    if opcode == _IF:  # Cranelift folds `if unreachable` into one conditional trap, and places it at the `if`
        reader.leb()
        opcode = reader.byte()
    return opcode == _UNREACHABLE
