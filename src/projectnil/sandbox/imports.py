"""Everything a guest may import. Nothing here reaches the network, the disk, the environment, or another guest.

The names and signatures are those AssemblyScript 0.28 emits: std/assembly/builtins.ts (abort, trace, seed) and
std/assembly/bindings/{dom,node}.ts (the rest; `crypto.getRandomValues` imports `crypto.getRandomValuesN`).
`process.argv` is declared there too, but asc cannot compile its use.
"""

import ctypes
import os
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from wasmtime import FuncType, Linker, ValType

from projectnil.domain.guest_errors import GuestAborted, GuestBrokeAbi, GuestExited
from projectnil.domain.text import storable
from projectnil.sandbox.capi import Caller, define_function
from projectnil.sandbox.journal import Journal

MODULE = "env"
_MOST_MESSAGE_CHARACTERS = 8_192
_MOST_LABEL_CHARACTERS = 256
_UTF16_UNIT_BYTES = 2
_MOST_RANDOM_BYTES = 65_536  # as browsers have it (Web Cryptography API, getRandomValues)
# A Uint8Array is three u32: its buffer, where its data starts, their length in bytes (std/assembly/arraybuffer.ts). The
# class id of Uint8Array is another in each module, so the view and its data are one object of class ArrayBuffer, in
# which the collector looks for nothing.
_VIEW_BYTES = 12
_BUFFER_CLASS = 1

GoesOn: TypeAlias = bool
HostFunction: TypeAlias = Callable[[Journal, Caller], GoesOn]

_TYPES = {"i": ValType.i32, "f": ValType.f64}


def link_host_functions(linker: Linker, current: Callable[[], Journal]) -> list[object]:
    """Define every importable function. current: the journal of the execution that calls.

    Returns what must live as long as the linker's instances.
    """
    return [
        _link(linker, name, signature, lambda call, body=body: body(current(), call))  # type: ignore[misc]
        for name, (signature, body) in HOST_FUNCTIONS.items()
    ]


def link_refusals(linker: Linker, called: list[str]) -> list[object]:
    """Define them so that a call of any ends the guest, and adds the function's name to `called`.

    Returns what must live as long as a guest can call.
    """

    def refuse(name: str, _call: Caller) -> GoesOn:
        called.append(name)
        return False

    return [_link(linker, name, signature, partial(refuse, name)) for name, (signature, _) in HOST_FUNCTIONS.items()]


def function_type(signature: str) -> FuncType:
    """From `iiff:f` (i32 and f64; parameters, a colon, results) to Wasmtime's type."""
    parameters, _, results = signature.partition(":")
    return FuncType([_TYPES[letter]() for letter in parameters], [_TYPES[letter]() for letter in results])


def _link(linker: Linker, name: str, signature: str, body: Callable[[Caller], GoesOn]) -> object:
    return define_function(linker, MODULE, name, function_type(signature), body)


def _abort(journal: Journal, call: Caller) -> GoesOn:
    # abort(message: string | null, fileName: string | null, lineNumber: u32, columnNumber: u32)
    message, file = _text(call, call.u32(0)), _text(call, call.u32(1))
    journal.stopped_by = GuestAborted(message, file, call.u32(2), call.u32(3))
    return False


def _exit(journal: Journal, call: Caller) -> GoesOn:
    journal.stopped_by = GuestExited(ctypes.c_int32(call.u32(0)).value)
    return False


def _trace(journal: Journal, call: Caller) -> GoesOn:
    # trace(message: string, n: i32, a0..a4: f64)
    if journal.is_full:
        return True
    count = min(max(ctypes.c_int32(call.u32(1)).value, 0), 5)
    numbers = ", ".join(_number(call.f64(2 + nth)) for nth in range(count))
    journal.write(f"trace: {_text(call, call.u32(0))}{' ' if numbers else ''}{numbers}")
    return True


def _seed(_journal: Journal, call: Caller) -> GoesOn:
    # 53 random bits, as many as a double holds
    call.return_f64(float(int.from_bytes(os.urandom(7), "little") >> 3))
    return True


def _random_values(journal: Journal, call: Caller) -> GoesOn:
    # crypto.getRandomValuesN(n: u32): Uint8Array
    count = call.u32(0)
    if count > _MOST_RANDOM_BYTES:
        problem = f"crypto.getRandomValues fills at most {_MOST_RANDOM_BYTES:,} bytes a call, not {count:,}"
        journal.stopped_by = GuestAborted(problem, "", 0, 0)
        return False
    pointer = call.call("__new", _VIEW_BYTES + count, _BUFFER_CLASS)
    start, memory_bytes = call.memory()
    data = pointer + _VIEW_BYTES
    if pointer == 0 or data + count > memory_bytes:
        journal.stopped_by = GuestBrokeAbi(f"__new returned the pointer {pointer}, outside its memory")
        return False
    ctypes.memmove(start + pointer, struct.pack("<III", pointer, data, count) + os.urandom(count), _VIEW_BYTES + count)
    call.return_u32(pointer)
    return True


def _date_now(_journal: Journal, call: Caller) -> GoesOn:
    call.return_f64(float(time.time_ns() // 1_000_000))
    return True


def _performance_now(journal: Journal, call: Caller) -> GoesOn:
    call.return_f64(journal.elapsed_ms())
    return True


def _log_with(prefix: str) -> HostFunction:
    def log(journal: Journal, call: Caller) -> GoesOn:
        if not journal.is_full:
            # A unit of UTF-16 is at least a byte of UTF-8: one more than there is room for is cut already.
            journal.write(prefix + _text(call, call.u32(0), journal.room_bytes + 1, mark=""))
        return True

    return log


def _assert(journal: Journal, call: Caller) -> GoesOn:
    if not call.u32(0) and not journal.is_full:
        journal.write(f"assertion failed: {_text(call, call.u32(1))}")
    return True


def _time(journal: Journal, call: Caller) -> GoesOn:
    journal.start_timer(_label(call))
    return True


def _time_log(journal: Journal, call: Caller) -> GoesOn:
    label = _label(call)
    elapsed_ms = journal.timer_ms(label)
    journal.write(f"{label}: no such timer" if elapsed_ms is None else f"{label}: {elapsed_ms:.3f} ms")
    return True


def _time_end(journal: Journal, call: Caller) -> GoesOn:
    _time_log(journal, call)
    journal.stop_timer(_label(call))
    return True


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _label(call: Caller) -> str:
    return _text(call, call.u32(0), _MOST_LABEL_CHARACTERS)


def _text(call: Caller, pointer: int, most_units: int = _MOST_MESSAGE_CHARACTERS, *, mark: str = "…") -> str:
    """A string of the guest's, for people: whatever is broken in it shows as U+FFFD, and null is empty.

    most_units: of UTF-16; nothing beyond them is looked at. mark: what then stands at the end.
    """
    if pointer == 0:
        return ""
    start, memory_bytes = call.memory()
    # rtSize: u32 at ptr-4, in bytes, not UTF-16 units (AssemblyScript runtime, object header)
    if pointer < 4 or pointer > memory_bytes:
        return f"[a string outside the memory, at {pointer}]"
    size = ctypes.c_uint32.from_address(start + pointer - 4).value
    if size > memory_bytes - pointer:
        return f"[a string outside the memory, at {pointer}]"
    most_bytes = most_units * _UTF16_UNIT_BYTES
    text = storable(ctypes.string_at(start + pointer, min(size, most_bytes)).decode("utf-16-le", "replace"))
    return text + mark if size > most_bytes else text


HOST_FUNCTIONS: dict[str, tuple[str, HostFunction]] = {
    "abort": ("iiii:", _abort),
    "trace": ("iifffff:", _trace),
    "seed": (":f", _seed),
    "console.assert": ("ii:", _assert),
    "console.log": ("i:", _log_with("")),
    "console.debug": ("i:", _log_with("debug: ")),
    "console.info": ("i:", _log_with("info: ")),
    "console.warn": ("i:", _log_with("warn: ")),
    "console.error": ("i:", _log_with("error: ")),
    "console.time": ("i:", _time),
    "console.timeLog": ("i:", _time_log),
    "console.timeEnd": ("i:", _time_end),
    "crypto.getRandomValuesN": ("i:i", _random_values),
    "Date.now": (":f", _date_now),
    "performance.now": (":f", _performance_now),
    "process.exit": ("i:", _exit),
}
