"""From a trap's code to the guest's error. Never by a message's text: those change between versions."""

from pathlib import Path

from wasmtime import TrapCode

from projectnil.domain.guest_errors import GuestError, GuestOutOfMemory, GuestTrapped
from projectnil.domain.limits import Limits, in_units
from projectnil.sandbox.capi import TrapReport
from projectnil.sandbox.fingerprint import ENGINE_SETTINGS
from projectnil.sandbox.wasm_format import gave_up_after_memory_grow

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


def explain_trap(report: TrapReport, wasm_path: str, limits: Limits) -> GuestError:
    """The error of a trap that the host did not ask for. wasm_path: the module, read only to tell what gave up."""
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
    except (OSError, IndexError):
        return False
