"""A module run in this process: for tests of what is compiled, with thousands of runs, and not of the sandbox."""

import json
import struct

from wasmtime import Engine, Func, FuncType, Instance, Memory, Module, Store, ValType

STRING_CLASS = 2


class Aborted(Exception):
    """With the message the guest aborted with."""


class Guest:
    """One engine and module; each run has an instance of its own."""

    def __init__(self, wasm: bytes) -> None:
        self._engine = Engine()
        self._module = Module(self._engine, wasm)

    def run(self, given: object) -> object:
        """given: a text as it is, or a value as JSON. Returns the output, or the message the guest aborted with."""
        try:
            return _Run(self._engine, self._module).handle(given if isinstance(given, str) else json.dumps(given))
        except Aborted as aborted:
            return str(aborted)


class _Run:
    def __init__(self, engine: Engine, module: Module) -> None:
        self._store = Store(engine)
        abort = Func(self._store, FuncType([ValType.i32()] * 4, []), self._abort)
        imports = [abort for each in module.imports if each.name == "abort"]  # the only one that these guests have
        self._exports = Instance(self._store, module, imports).exports(self._store)
        memory = self._exports["memory"]
        assert isinstance(memory, Memory)
        self._memory = memory

    def handle(self, given: str) -> object:
        units = given.encode("utf-16-le", "surrogatepass")
        pointer = self._call("__pin", self._call("__new", len(units), STRING_CLASS))
        self._memory.write(self._store, units, pointer)
        return json.loads(self._text(self._call("handle", pointer)))

    def _call(self, name: str, *arguments: int) -> int:
        function = self._exports[name]
        assert isinstance(function, Func)
        return int(function(self._store, *arguments))

    def _abort(self, message: int, *_where: int) -> None:
        raise Aborted(self._text(message))

    def _text(self, pointer: int) -> str:
        (size,) = struct.unpack("<I", self._memory.read(self._store, pointer - 4, pointer))
        return bytes(self._memory.read(self._store, pointer, pointer + size)).decode("utf-16-le", "surrogatepass")
