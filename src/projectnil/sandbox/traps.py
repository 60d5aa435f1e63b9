"""From a trap's code to the guest's error. Never by a message's text: those change between versions."""

from pathlib import Path

from wasmtime import TrapCode

from projectnil.domain.guest_errors import GuestError, GuestOutOfMemory, GuestTrapped
from projectnil.domain.limits import Limits, in_units
from projectnil.sandbox.capi import TrapReport
from projectnil.sandbox.fingerprint import ENGINE_SETTINGS
from projectnil.sandbox.wasm_format import Reader, bodies, skip_immediates

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


def explain_trap(report: TrapReport, wasm_path: str, limits: Limits) -> GuestError:
    """The error of a trap that the host did not ask for. wasm_path: the module, read only to tell what gave up.

    Raises OSError when it is not there.
    """
    if report.code is None:
        return GuestTrapped("UNKNOWN", "it stopped for a reason the engine does not name")
    code = TrapCode(report.code)
    if code is TrapCode.UNREACHABLE and _ran_out_of_memory(report, wasm_path):
        return GuestOutOfMemory(limits.memory_bytes)
    return GuestTrapped(code.name, _EXPLANATIONS.get(code, "it broke a rule of WebAssembly"))


def _ran_out_of_memory(report: TrapReport, wasm_path: str) -> bool:
    if report.module_offset is None:
        return False
    try:
        return gave_up_after_memory_grow(Path(wasm_path).read_bytes(), report.module_offset)
    except IndexError:
        return False


def gave_up_after_memory_grow(wasm: bytes, trap_offset: int) -> bool:
    """Did the trap at `trap_offset` come from an `unreachable` that only the result of a memory.grow leads to?

    AssemblyScript's allocator ends a failed growth so (`memory.grow; i32.const 0; i32.lt_s; if; unreachable`).
    The function is decoded from its start, so that a constant that looks like code cannot mislead.
    """
    around = next((body for body, end in bodies(wasm) if trap_offset < end), None)
    if around is None:
        return False
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
