"""What a process does that runs nothing but a module's start section, once, and tells how the module looks after it.

A start section may call nothing of the platform: what it computes then is the same every time.
"""

import ctypes
from pathlib import Path

from wasmtime import Engine, Global, Instance, Linker, Memory, Module, Store, Trap, WasmtimeError
from wasmtime import _bindings as c

from projectnil.domain.limits import MIB, Limits
from projectnil.sandbox.fingerprint import TABLE_ELEMENTS, TABLES
from projectnil.sandbox.imports import link_refusals
from projectnil.sandbox.wasm_snapshot import NotSafe, after_start, check_snapshot_is_safe, with_globals_exported

# Up to here Wasmtime maps what a memory begins with; what is larger it copies for each instance, zeros included.
_MOST_MEMORY_BYTES = 16 * MIB
_FOUR_BYTE_KINDS = (0, 2)  # WASMTIME_I32, WASMTIME_F32 in wasmtime/val.h


def take_snapshot(engine: Engine, limits: Limits, wasm_path: str) -> bytes:
    """The module as a new one without a start section. Raises NotSafe. Does not limit the time.

    wasm_path: a module that was translated before, so it is known to run here.
    """
    try:
        wasm = Path(wasm_path).read_bytes()
    except OSError as error:
        raise NotSafe(f"its file cannot be read: {error}") from error
    check_snapshot_is_safe(wasm)
    readable, names = with_globals_exported(wasm)
    store = Store(engine)
    store.set_limits(limits.memory_bytes, TABLE_ELEMENTS, 1, TABLES, 1)
    # The machine code made here is for this process alone.
    exports = _start(engine, store, Module(engine, readable)).exports(store)
    memory = exports["memory"]
    if not isinstance(memory, Memory) or memory.data_len(store) > _MOST_MEMORY_BYTES:
        raise NotSafe(f"its start section leaves more than {_MOST_MEMORY_BYTES // MIB} MiB of memory")
    bits = {nth: _bits(store, exports[name]) for nth, name in names.items()}
    return after_start(wasm, bytes(memory.read(store, 0, memory.data_len(store))), bits)


def _start(engine: Engine, store: Store, module: Module) -> Instance:
    linker = Linker(engine)
    called: list[str] = []
    _kept_alive = link_refusals(linker, called)
    try:
        return linker.instantiate(store, module)
    except (Trap, WasmtimeError) as error:
        raise NotSafe(f"its start section calls {called[0]}" if called else "its start section fails") from error


def _bits(store: Store, exported: object) -> bytes:
    """Of a global that holds a number, little-endian, bit for bit: 4 bytes of an i32 or f32, else 8.

    wasmtime-py's own reading goes through Python's float, in which an f32's NaN may change.
    """
    if not isinstance(exported, Global):
        raise TypeError(f"a global was expected, not {type(exported).__name__}")
    value = c.wasmtime_val_t()
    c.wasmtime_global_get(store._context(), ctypes.byref(exported._global), ctypes.byref(value))
    return bytes(value.of)[: 4 if int(value.kind) in _FOUR_BYTE_KINDS else 8]
