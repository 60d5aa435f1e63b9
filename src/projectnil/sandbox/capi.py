"""The part of Wasmtime's C API that an execution needs, called with as little Python in between as possible.

wasmtime-py spends about four fifths of a short execution converting values and checking types. Here the structures
are made once per process, and functions take plain addresses. That is safe under two rules, which this module's
callers keep: one guest at a time per process, and `Guest.close` before the next `Guest`.

Formats: the headers wasmtime/{store,instance,func,memory,trap,error}.h of Wasmtime's C API; structure layouts come
from `wasmtime._bindings`, which is generated from those headers.
"""

import ctypes
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec
from wasmtime import Config, Engine, FuncType, InstancePre, Linker, TrapCode
from wasmtime import _bindings as c
from wasmtime._ffi import dll

Address: TypeAlias = int

_VALUE_BYTES = ctypes.sizeof(c.wasmtime_val_raw_t)
_MOST_VALUES = 8
_UNLIMITED = -1

_pointer, _size, _bool = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_bool
_i64 = ctypes.c_int64


def _declare(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A C function that runs without the interpreter lock, so that the clock's thread can run meanwhile."""
    return ctypes.CFUNCTYPE(result, *arguments)((name, dll))


def _declare_quick(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A C function that returns at once and never runs guest code: it keeps the interpreter lock."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, dll))


_store_new = _declare_quick("wasmtime_store_new", _pointer, _pointer, _pointer, _pointer)
_store_context = _declare_quick("wasmtime_store_context", _pointer, _pointer)
_store_limiter = _declare_quick("wasmtime_store_limiter", None, _pointer, _i64, _i64, _i64, _i64, _i64)
_store_delete = _declare("wasmtime_store_delete", None, _pointer)
_instantiate = _declare("wasmtime_instance_pre_instantiate", _pointer, _pointer, _pointer, _pointer, _pointer)
_export_nth = _declare_quick(
    "wasmtime_instance_export_nth", _bool, _pointer, _pointer, _size, _pointer, _pointer, _pointer
)
_func_call = _declare("wasmtime_func_call_unchecked", _pointer, _pointer, _pointer, _pointer, _size, _pointer)
_memory_data = _declare_quick("wasmtime_memory_data", _pointer, _pointer, _pointer)
_memory_data_size = _declare_quick("wasmtime_memory_data_size", _size, _pointer, _pointer)
_caller_context = _declare_quick("wasmtime_caller_context", _pointer, _pointer)
_caller_export_get = _declare_quick("wasmtime_caller_export_get", _bool, _pointer, ctypes.c_char_p, _size, _pointer)
_trap_new_code = _declare_quick("wasmtime_trap_new_code", _pointer, ctypes.c_uint8)
_trap_code = _declare_quick("wasmtime_trap_code", _bool, _pointer, _pointer)
_trap_trace = _declare_quick("wasm_trap_trace", None, _pointer, _pointer)
_trap_delete = _declare_quick("wasm_trap_delete", None, _pointer)
_frame_module_offset = _declare_quick("wasm_frame_module_offset", _size, _pointer)
_frame_func_offset = _declare_quick("wasm_frame_func_offset", _size, _pointer)
_frame_vec_delete = _declare_quick("wasm_frame_vec_delete", None, _pointer)
_error_message = _declare_quick("wasmtime_error_message", None, _pointer, _pointer)
_error_delete = _declare_quick("wasmtime_error_delete", None, _pointer)
_byte_vec_delete = _declare_quick("wasm_byte_vec_delete", None, _pointer)
_pool_new = _declare_quick("wasmtime_pooling_allocation_config_new", _pointer)
_pool_delete = _declare_quick("wasmtime_pooling_allocation_config_delete", None, _pointer)
_pool_use = _declare_quick("wasmtime_pooling_allocation_strategy_set", None, _pointer, _pointer)
_define_func = _declare_quick(
    "wasmtime_linker_define_func_unchecked",
    _pointer, _pointer, ctypes.c_char_p, _size, ctypes.c_char_p, _size, _pointer, _pointer, _pointer, _pointer,
)  # fmt: skip

# wasmtime_func_unchecked_callback_t: (env, caller, args_and_results, their number) -> trap, or null
_Callback = ctypes.CFUNCTYPE(_size, _pointer, _pointer, _pointer, _size)

# The structures every execution of this process writes into.
_instance = c.wasmtime_instance_t()
_function_slot = c.wasmtime_extern_t()
_memory_slot = c.wasmtime_extern_t()
_caller_slot = c.wasmtime_extern_t()
_name = ctypes.c_void_p()
_name_size = ctypes.c_size_t()
_trap = ctypes.c_void_p()
_values = (c.wasmtime_val_raw_t * _MOST_VALUES)()

# What a host function raised, until the trap it caused has come back through the guest.
_host_faults: list[Exception] = []

_INSTANCE = ctypes.addressof(_instance)
_FUNCTION_SLOT = ctypes.addressof(_function_slot)
_FUNCTION = _FUNCTION_SLOT + c.wasmtime_extern.of.offset
_MEMORY_SLOT = ctypes.addressof(_memory_slot)
_MEMORY = _MEMORY_SLOT + c.wasmtime_extern.of.offset
_CALLER_SLOT = ctypes.addressof(_caller_slot)
_CALLER_FUNCTION = _CALLER_MEMORY = _CALLER_SLOT + c.wasmtime_extern.of.offset
_NAME, _NAME_SIZE = ctypes.addressof(_name), ctypes.addressof(_name_size)
_TRAP = ctypes.addressof(_trap)
_VALUES = ctypes.addressof(_values)
# wasmtime_val_raw_t is a union at the start of each slot; the guest's ABI has 32-bit integers only.
_argument_0 = ctypes.c_uint32.from_address(_VALUES)
_argument_1 = ctypes.c_uint32.from_address(_VALUES + _VALUE_BYTES)

_WASMTIME_EXTERN_MEMORY = 3
_UNREACHABLE = TrapCode.UNREACHABLE.value
_UNKNOWN_OFFSET = 2**32 - 1
_MOST_FRAMES = 20  # wasmtime::Config::wasm_backtrace_max_frames, which the C API does not set


class TrapReport(msgspec.Struct, frozen=True):
    """code: wasmtime_trap_code_t, None for a trap without one.

    offsets: where each function on the stack was, innermost first, as bytes in the .wasm file that the machine code was
    made from. is_cut: the stack may have had more than these, which are the most that Wasmtime keeps. body_at: where
    the body of the innermost function starts in that file, its locals first.
    """

    code: int | None
    offsets: list[int]
    is_cut: bool
    body_at: int | None


class Trapped(Exception):
    """The guest trapped. The C object is gone already."""

    def __init__(self, report: TrapReport) -> None:
        self.report = report
        super().__init__(f"trap {report.code}")


class _TrappedInside(Exception):
    """The guest trapped while a host function called it. trap: goes back to the engine, which owns it from then on."""

    def __init__(self, trap: Address) -> None:
        self.trap = trap
        super().__init__()


class EngineFault(Exception):
    """Wasmtime could not do what it was asked, and not because of a trap."""


class Guest:
    """A fresh store with, after `instantiate`, one instance in it. Nothing of it survives `close`."""

    __slots__ = ("_memory_nth", "_store", "context")

    def __init__(self, engine: Address, memory_bytes: int, table_elements: int, tables: int) -> None:
        """The limits hold from the first instruction. memory_bytes: linear memory; table_elements: of each table."""
        self._store: Address | None = _store_new(engine, None, None)
        self.context: Address = _store_context(self._store)
        _store_limiter(self._store, memory_bytes, table_elements, 1, tables, 1)

    def instantiate(self, prepared: Address, memory_nth: int) -> None:
        """Runs the module's start section. memory_nth: which export is its memory. Raises Trapped, EngineFault."""
        self._memory_nth = memory_nth
        error = _instantiate(prepared, self.context, _INSTANCE, _TRAP)
        if error or _trap.value:
            _raise(error)

    def call(self, export_nth: int, argument_0: int, argument_1: int = 0) -> int:
        """Call a function of one or two i32 whose result is an i32; all read as unsigned. Raises Trapped."""
        _export_nth(self.context, _INSTANCE, export_nth, _NAME, _NAME_SIZE, _FUNCTION_SLOT)
        _argument_0.value = argument_0
        _argument_1.value = argument_1
        error = _func_call(self.context, _FUNCTION, _VALUES, 2, _TRAP)
        if error or _trap.value:
            _raise(error)
        return _argument_0.value

    def memory(self) -> tuple[Address, int]:
        """Where the memory starts and its size in bytes. Holds until the guest runs again."""
        _export_nth(self.context, _INSTANCE, self._memory_nth, _NAME, _NAME_SIZE, _MEMORY_SLOT)
        return _memory_data(self.context, _MEMORY), _memory_data_size(self.context, _MEMORY)

    def close(self) -> None:
        """Give everything back. Safe to repeat."""
        store, self._store = self._store, None
        if store is not None:
            _store_delete(store)


class Caller:
    """What a host function sees: its arguments, the place of its result, and the memory of the guest."""

    __slots__ = ("_caller", "_values")

    def __init__(self, caller: Address, values: Address) -> None:
        self._caller = caller
        self._values = values

    def u32(self, nth: int) -> int:
        return ctypes.c_uint32.from_address(self._values + nth * _VALUE_BYTES).value

    def f64(self, nth: int) -> float:
        return ctypes.c_double.from_address(self._values + nth * _VALUE_BYTES).value

    def return_f64(self, result: float) -> None:
        ctypes.c_double.from_address(self._values).value = result

    def return_u32(self, result: int) -> None:
        ctypes.c_uint32.from_address(self._values).value = result

    def call(self, export: str, argument_0: int, argument_1: int) -> int:
        """As Guest.call, of an export that the module is known to have. A trap in it ends the guest as any other."""
        name, trap = export.encode(), ctypes.c_void_p()
        _caller_export_get(self._caller, name, len(name), _CALLER_SLOT)
        values = (c.wasmtime_val_raw_t * _MOST_VALUES)()
        result = ctypes.c_uint32.from_address(ctypes.addressof(values))
        result.value = argument_0
        ctypes.c_uint32.from_address(ctypes.addressof(values) + _VALUE_BYTES).value = argument_1
        context, trap_at = _caller_context(self._caller), ctypes.addressof(trap)
        error = _func_call(context, _CALLER_FUNCTION, ctypes.addressof(values), 2, trap_at)
        if error:
            raise EngineFault(_take_error(error))
        if trap.value:
            raise _TrappedInside(trap.value)
        return result.value

    def memory(self) -> tuple[Address, int]:
        """As Guest.memory; works in a start section too. Empty when the module exports no memory."""
        found = _caller_export_get(self._caller, b"memory", 6, _CALLER_SLOT)
        if not found or int(_caller_slot.kind) != _WASMTIME_EXTERN_MEMORY:
            return 0, 0
        context = _caller_context(self._caller)
        return _memory_data(context, _CALLER_MEMORY) or 0, _memory_data_size(context, _CALLER_MEMORY)


def define_function(linker: Linker, module: str, name: str, kind: FuncType, body: Callable[[Caller], bool]) -> object:
    """Let guests import `module.name`. body says whether the guest may go on; False ends it with a trap.

    What body raises ends the guest as an EngineFault. Returns what must be kept alive as long as a guest can call.
    """

    def enter(_env: int, caller: Address, values: Address, _count: int) -> int:
        try:
            if body(Caller(caller, values)):
                return 0
        except _TrappedInside as inner:
            return inner.trap
        except Exception as error:  # an exception cannot cross C: it waits for the trap it causes
            _host_faults.append(error)
        # With a code it comes back as a trap; one that has only a message would come back as an error.
        trap: Address = _trap_new_code(_UNREACHABLE)
        return trap

    callback = _Callback(enter)
    module_name, field = module.encode(), name.encode()
    error = _define_func(
        _address_of(linker.ptr()), module_name, len(module_name), field, len(field), _address_of(kind.ptr()),
        callback, None, None,
    )  # fmt: skip
    if error:
        raise EngineFault(_take_error(error))
    return callback


def use_instance_pool(config: Config, settings: Mapping[str, int]) -> None:
    """Let instances take their memory from a pool made beforehand, instead of mapping it for each.

    settings: by the names of `wasmtime_pooling_allocation_config_*_set` in wasmtime/config.h.
    """
    pool = _pool_new()
    for name, value in settings.items():
        # Each setter takes a u32 or a size_t: on the platforms Wasmtime compiles for, both travel in one register.
        _declare_quick(f"wasmtime_pooling_allocation_config_{name}_set", None, _pointer, _size)(pool, value)
    _pool_use(_address_of(config.ptr()), pool)
    _pool_delete(pool)


def prepared_address(prepared: InstancePre) -> Address:
    """Valid while `prepared` lives."""
    return _address_of(prepared.ptr())


def engine_address(engine: Engine) -> Address:
    """Valid while `engine` lives."""
    return _address_of(engine.ptr())


def _address_of(pointer: Any) -> Address:
    address = ctypes.cast(pointer, ctypes.c_void_p).value
    if address is None:
        raise EngineFault("a null pointer where an object was expected")
    return address


def _raise(error: Address | None) -> None:
    if error:
        raise EngineFault(_take_error(error))
    trap, _trap.value = _trap.value, None
    try:
        report = _read_trap(trap)
    finally:
        _trap_delete(trap)
    if _host_faults:
        raise EngineFault("a host function failed") from _host_faults.pop()
    raise Trapped(report)


def _read_trap(trap: Address | None) -> TrapReport:
    code = ctypes.c_uint8()
    known = _trap_code(trap, ctypes.addressof(code))
    frames = c.wasm_frame_vec_t()
    _trap_trace(trap, ctypes.addressof(frames))
    places = [_place(ctypes.cast(frames.data[nth], ctypes.c_void_p)) for nth in range(frames.size)]
    _frame_vec_delete(ctypes.addressof(frames))
    known_places = [place for place in places if place[1] < _UNKNOWN_OFFSET]
    offsets = [offset for _, offset in known_places]
    body_at = known_places[0][0] if known_places else None
    return TrapReport(code.value if known else None, offsets, len(places) >= _MOST_FRAMES, body_at)


def _place(frame: ctypes.c_void_p) -> tuple[int, int]:
    """Where the function's body starts in the module, and where in the module it was."""
    offset = _frame_module_offset(frame)
    return offset - _frame_func_offset(frame), offset


def _take_error(error: Address) -> str:
    message = c.wasm_byte_vec_t()
    _error_message(error, ctypes.addressof(message))
    text = ctypes.string_at(message.data, message.size).decode(errors="replace")
    _byte_vec_delete(ctypes.addressof(message))
    _error_delete(error)
    return text
