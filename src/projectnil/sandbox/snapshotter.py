"""What a process does that runs nothing but a module's start section, once, and tells how the module looks after it.

A start section may call nothing of the platform: what it computes then is the same every time.
"""

from functools import partial
from pathlib import Path

from wasmtime import Engine, Global, Instance, Linker, Memory, Module, Store, Trap, WasmtimeError

from projectnil.domain.limits import MIB, Limits
from projectnil.sandbox.capi import Caller, define_function, global_bits
from projectnil.sandbox.fingerprint import TABLE_ELEMENTS, TABLES
from projectnil.sandbox.imports import HOST_FUNCTIONS, MODULE, function_type
from projectnil.sandbox.wasm_snapshot import NotSafe, after_start, check_snapshot_is_safe, variable_names

# Up to here Wasmtime maps what a memory begins with; what is larger it copies for each instance, zeros included.
_MOST_MEMORY_BYTES = 16 * MIB


def take_snapshot(engine: Engine, limits: Limits, code_path: str, wasm_path: str) -> bytes:
    """The module as a new one without a start section. Raises NotSafe. Does not limit the time.

    wasm_path: a module with a start section, prepared by `with_variables_exported`. code_path: its machine code.
    """
    wasm = Path(wasm_path).read_bytes()
    check_snapshot_is_safe(wasm)
    names = variable_names(wasm)
    store = Store(engine)
    store.set_limits(limits.memory_bytes, TABLE_ELEMENTS, 1, TABLES, 1)
    exports = _start(engine, store, _load(engine, code_path)).exports(store)
    memory, variables = exports["memory"], {name: exports[name] for name in names}
    if not isinstance(memory, Memory) or memory.data_len(store) > _MOST_MEMORY_BYTES:
        raise NotSafe(f"its start section leaves more than {_MOST_MEMORY_BYTES // MIB} MiB of memory")
    bits = {name: global_bits(store, each) for name, each in variables.items() if isinstance(each, Global)}
    return after_start(wasm, bytes(memory.read(store, 0, memory.data_len(store))), bits)


def _load(engine: Engine, code_path: str) -> Module:
    try:
        return Module.deserialize_file(engine, code_path)
    except WasmtimeError as error:
        raise NotSafe("its machine code cannot be loaded") from error


def _start(engine: Engine, store: Store, module: Module) -> Instance:
    called: list[str] = []
    linker = Linker(engine)
    # Kept until the start section has ended, since it may call them.
    refusals = [
        define_function(linker, MODULE, name, function_type(signature), partial(_refuse, called, name))
        for name, (signature, _) in HOST_FUNCTIONS.items()
    ]
    try:
        return linker.instantiate(store, module)
    except (Trap, WasmtimeError) as error:
        raise NotSafe(f"its start section calls {called[0]}" if called else "its start section fails") from error
    finally:
        del refusals


def _refuse(called: list[str], name: str, _call: Caller) -> bool:
    called.append(name)
    return False
