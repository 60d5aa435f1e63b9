"""Wasmtime as this platform uses it: from a module's bytes to machine code, and from there to something runnable."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec
from wasmtime import (
    Config,
    Engine,
    ExportType,
    FuncType,
    ImportType,
    InstancePre,
    Linker,
    MemoryType,
    Module,
    WasmtimeError,
)

from projectnil.domain.limits import in_units
from projectnil.sandbox.capi import Address, engine_address, prepared_address, use_instance_pool
from projectnil.sandbox.failure import BrokenModule
from projectnil.sandbox.fingerprint import ENGINE_SETTINGS, INSTANCE_POOL, TABLE_ELEMENTS, TABLES
from projectnil.sandbox.imports import HOST_FUNCTIONS, MODULE, function_type, link_host_functions
from projectnil.sandbox.journal import Journal
from projectnil.sandbox.seal import is_intact
from projectnil.sandbox.wasm_format import PAGE_BYTES, table_sizes
from projectnil.sandbox.wasm_segments import segment_problem

LOADED_MODULES = 128

_MAGIC = b"\0asm"
_EXPORTED_FUNCTIONS = {"__new": "ii:i", "__pin": "i:i", "handle": "i:i"}


class CannotLoad(Exception):
    """A file of machine code is missing, damaged, or made by another engine."""


class LoadedModule(msgspec.Struct, frozen=True):
    """Machine code, linked and ready to instantiate. The *_nth are places among the module's exports.

    memory_bytes: the memory it starts with. owner: keeps `prepared` alive.
    """

    prepared: Address
    owner: InstancePre
    wasm_path: str
    memory_bytes: int
    memory_nth: int
    new_nth: int
    pin_nth: int
    handle_nth: int


def create_engine(**others: bool) -> Engine:
    """others: attributes of wasmtime.Config besides ENGINE_SETTINGS, for an engine whose code is not kept."""
    config = Config()
    for name, value in {**ENGINE_SETTINGS, **others}.items():
        setattr(config, name, value)
    use_instance_pool(config, INSTANCE_POOL)
    return Engine(config)


def translate(engine: Engine, wasm: bytes, memory_bytes: int) -> bytes:
    """From a .wasm file's bytes to machine code. memory_bytes: the most linear memory a guest may hold.

    Raises BrokenModule when it is not one we can run: whatever keeps every instance of it from starting is found here.
    """
    if not wasm.startswith(_MAGIC):
        raise BrokenModule("it is not a WebAssembly module: its first four bytes are not 00 61 73 6d")
    try:
        module = Module(engine, wasm)
    except WasmtimeError as error:
        raise BrokenModule(_why_refused(engine, wasm, error)) from None
    problem = _problem_of(module, memory_bytes) or segment_problem(wasm)
    if problem is not None:
        raise BrokenModule(problem)
    return bytes(module.serialize())


class ModuleShelf:
    """The modules this process has loaded; the least recently used one makes room for a new one."""

    def __init__(self, engine: Engine, current: Callable[[], Journal]) -> None:
        """current: the journal of the execution that calls a host function."""
        self.engine = engine
        self.address = engine_address(engine)
        self._linker = Linker(engine)
        self._kept_alive = link_host_functions(self._linker, current)
        self._loaded: OrderedDict[str, LoadedModule] = OrderedDict()

    def get(self, code_path: str, wasm_path: str) -> LoadedModule:
        """Raises CannotLoad. The file is trusted as native code: only the platform may be able to write it."""
        loaded = self._loaded.get(code_path)
        if loaded is None:
            loaded = self._loaded[code_path] = self._load(code_path, wasm_path)
            if len(self._loaded) > LOADED_MODULES:
                self._loaded.popitem(last=False)
        else:
            self._loaded.move_to_end(code_path)
        return loaded

    def _load(self, code_path: str, wasm_path: str) -> LoadedModule:
        name = Path(code_path).name
        try:
            if not is_intact(code_path):
                raise CannotLoad(f"{name} is damaged")
            module = Module.deserialize_file(self.engine, code_path)
            prepared = self._linker.instantiate_pre(module)
        except OSError as error:
            raise CannotLoad(f"{name}: {error.strerror}") from None
        except WasmtimeError as error:
            raise CannotLoad(f"{name}: {_one_line(error)}") from None
        exports = module.exports
        place = {export.name: nth for nth, export in enumerate(exports)}
        return LoadedModule(
            prepared=prepared_address(prepared),
            owner=prepared,
            wasm_path=wasm_path,
            memory_bytes=_initial_memory_bytes(exports),
            memory_nth=place["memory"],
            new_nth=place["__new"],
            pin_nth=place["__pin"],
            handle_nth=place["handle"],
        )


def _initial_memory_bytes(exports: list[ExportType]) -> int:
    memories = [export.type for export in exports if isinstance(export.type, MemoryType)]
    return max(memory.limits.min for memory in memories) * PAGE_BYTES


def _why_refused(engine: Engine, wasm: bytes, error: WasmtimeError) -> str:
    try:
        Module.validate(engine, wasm)
    except WasmtimeError as invalid:
        return f"it is not a valid WebAssembly module: {_one_line(invalid)}"
    # Valid, but more than a place in the instance pool can hold.
    return _table_problem(wasm) or f"it is too large to run here: {_one_line(error)}"


def _problem_of(module: Module, memory_bytes: int) -> str | None:
    """What keeps a valid module from running here, in words; None when nothing does."""
    problems = [_import_problem(wanted) for wanted in module.imports]
    exports = {export.name: export for export in module.exports}
    problems.append(_memory_problem(exports, memory_bytes))
    problems += [_export_problem(exports, name, signature) for name, signature in _EXPORTED_FUNCTIONS.items()]
    return next((problem for problem in problems if problem is not None), None)


def _import_problem(wanted: ImportType) -> str | None:
    name = f"{wanted.module}.{wanted.name}"
    known = HOST_FUNCTIONS.get(wanted.name or "") if wanted.module == MODULE else None
    if known is None:
        return f"it imports {name}, which the platform does not offer: remove what declares and calls it"
    if _signature(wanted.type) != _signature(function_type(known[0])):
        return f"it imports {name} as {_signature(wanted.type)}, but it is {_signature(function_type(known[0]))}"
    return None


def _memory_problem(exports: dict[str, ExportType], memory_bytes: int) -> str | None:
    memory = exports.get("memory")
    if memory is None or not isinstance(memory.type, MemoryType):
        return "it does not export its memory as `memory`"
    begins_with = memory.type.limits.min * PAGE_BYTES
    if begins_with > memory_bytes:
        return f"its memory begins with {in_units(begins_with)}, and the limit is {in_units(memory_bytes)}"
    return None


def _export_problem(exports: dict[str, ExportType], name: str, signature: str) -> str | None:
    expected = _signature(function_type(signature))
    export = exports.get(name)
    if export is None or not isinstance(export.type, FuncType):
        return f"it does not export the function `{name}`, as {expected}"
    if _signature(export.type) != expected:
        return f"its export `{name}` is {_signature(export.type)}, but it must be {expected}"
    return None


def _table_problem(wasm: bytes) -> str | None:
    sizes = table_sizes(wasm)
    if len(sizes) > TABLES:
        return f"it has {len(sizes)} tables, and the limit is {TABLES}"
    if max(sizes, default=0) > TABLE_ELEMENTS:
        return f"a table of it has {max(sizes):,} elements, and the limit is {TABLE_ELEMENTS:,}"
    return None


def _signature(kind: object) -> str:
    """`(i32, i32) -> i32`, or what it is instead of a function."""
    if not isinstance(kind, FuncType):
        return f"a {type(kind).__name__.removesuffix('Type').lower()}"
    results = ", ".join(map(str, kind.results)) or "nothing"
    return f"({', '.join(map(str, kind.params))}) -> {results}"


def _one_line(error: WasmtimeError) -> str:
    """Wasmtime's message and its causes (`Caused by:`, one per line) as one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    return ": ".join(line for line in lines if line and line != "Caused by:")
