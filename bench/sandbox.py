"""(b) One execution in a fresh instance, as a sandbox process runs it, against wasmtime-py used as documented."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from wasmtime import Config, Engine, Linker, Module, Store

from bench import sources
from bench.measurement import Goal, Row, Section
from bench.scale import Scale
from projectnil.domain.executions import Completed, Failed
from projectnil.domain.limits import Limits
from projectnil.sandbox.engine import create_engine, translate
from projectnil.sandbox.execution import Executor
from projectnil.sandbox.fingerprint import ENGINE_SETTINGS
from projectnil.sandbox.imports import HOST_FUNCTIONS, function_type
from projectnil.sandbox.protocol import Starved
from projectnil.sandbox.seal import sealed
from projectnil.sandbox.snapshotter import take_snapshot
from projectnil.sandbox.wasm_snapshot import has_start_section
from tests.support.asc import compile_fresh
from tests.support.functions import ECHO

_NOTE = (
    "One thread, no socket. Ours: a new store and instance, limits, the clock, input and output checked as JSON; the "
    "json-as module begins after its start section, as a module in use does. "
    "wasmtime-py: a new Store, linker.instantiate, exports by name, Func calls, Memory.write and read, as its "
    "documentation shows; no limits, no clock, nothing checked. The long-lived instance: default engine, instantiated "
    "once, its functions looked up once."
)
Run = Callable[[bytes], bytes]


def measure(scale: Scale, folder: Path) -> Section:
    """Each function in turn, ours and theirs alternating."""
    rows = [
        _fresh_row("echo", ECHO, b'{"hello":"world"}', scale, folder),
        _fresh_row("json-as (examples/hello)", sources.JSON_AS, b'{"name":"Ada"}', scale, folder),
        _cpu_row(scale, folder),
    ]
    return Section(name="sandbox", title="(b) Sandbox", note=_NOTE, rows=rows)


def _fresh_row(what: str, source: str, given: bytes, scale: Scale, folder: Path) -> Row:
    wasm, path = _module(source, folder / what.partition(" ")[0])
    ours, theirs = _ours(wasm, path), _documented_path(wasm)
    if ours(given) != theirs(given):
        raise RuntimeError(f"{what}: {ours(given)!r} is not {theirs(given)!r}")
    goal = Goal(at_most=0.25)
    row = Row(what=f"{what}, fresh instance", unit="us", baseline="wasmtime-py's documented path", goal=goal)
    for times_us in _alternate(ours, theirs, given, scale.runs, scale.calls):
        row.add(*times_us)
    return row


def _cpu_row(scale: Scale, folder: Path) -> Row:
    wasm, path = _module(sources.CPU_BOUND, folder / "cpu")
    calls = max(1, scale.calls // 300)
    goal = Goal(at_least=0.97)
    row = Row(what="CPU-bound, fresh instance", unit="calls/s", baseline="one long-lived instance", goal=goal)
    for ours_us, theirs_us in _alternate(_ours(wasm, path), _long_lived(wasm), b"{}", scale.runs, calls):
        row.add(1e6 / ours_us, 1e6 / theirs_us)
    return row


def _module(source: str, folder: Path) -> tuple[bytes, Path]:
    folder.mkdir()
    return compile_fresh(source, folder), folder / "module"


def _alternate(ours: Run, theirs: Run, given: bytes, runs: int, calls: int) -> Iterator[tuple[float, float]]:
    """Microseconds a call, of both, for each run."""
    for warm_up in (ours, theirs):
        _call_us(warm_up, given, calls)
    for _ in range(runs):
        yield _call_us(ours, given, calls), _call_us(theirs, given, calls)


def _call_us(run: Run, given: bytes, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        run(given)
    return (time.perf_counter() - began) / calls * 1e6


def _ours(wasm: bytes, path: Path) -> Run:
    code_path, wasm_path = _machine_code(wasm, path)
    executor = Executor(create_engine(), Limits(), lambda _: None, _too_long)

    def run(given: bytes) -> bytes:
        outcome = executor.run(code_path, wasm_path, given)
        match outcome:
            case Completed(output):
                return output
            case Failed(error):
                raise RuntimeError(error.describe())

    return run


def _machine_code(wasm: bytes, path: Path) -> tuple[str, str]:
    """Files of a module as the platform runs it: begun after its start section, if it has one."""
    engine = create_engine()
    code_path, wasm_path = path.with_suffix(".code"), path.with_suffix(".wasm")
    wasm_path.write_bytes(wasm)
    if has_start_section(wasm):
        wasm = take_snapshot(engine, Limits(), str(wasm_path))
        wasm_path.write_bytes(wasm)
    code_path.write_bytes(sealed(str(code_path), translate(engine, wasm, Limits().memory_bytes)))
    return str(code_path), str(wasm_path)


def _too_long(_outcome: Failed | Starved) -> NoReturn:
    raise SystemExit("a measured function ran into its time limit")


def _documented_path(wasm: bytes) -> Run:
    config = Config()
    for name, value in ENGINE_SETTINGS.items():
        setattr(config, name, value)
    engine = Engine(config)
    module, linker = Module(engine, wasm), _linker(engine)

    def run(given: bytes) -> bytes:
        store = Store(engine)
        return _call(store, linker.instantiate(store, module).exports(store), given)

    return run


def _long_lived(wasm: bytes) -> Run:
    engine = Engine()
    store = Store(engine)
    exports = _linker(engine).instantiate(store, Module(engine, wasm)).exports(store)
    return lambda given: _call(store, exports, given)


def _linker(engine: Engine) -> Linker:
    linker = Linker(engine)
    for name, (signature, _) in HOST_FUNCTIONS.items():
        returns_a_number = signature.endswith(":f")
        body = (lambda *_: 0.0) if returns_a_number else (lambda *_: None)
        linker.define_func("env", name, function_type(signature), body)
    return linker


def _call(store: Store, exports: object, given: bytes) -> bytes:
    functions: dict[str, object] = exports  # type: ignore[assignment] # InstanceExports: names to what they are
    memory, new, pin, handle = (functions[name] for name in ("memory", "__new", "__pin", "handle"))
    text = given.decode().encode("utf-16-le")
    pointer = new(store, len(text), 2)  # type: ignore[operator]
    pin(store, pointer)  # type: ignore[operator]
    memory.write(store, text, pointer)  # type: ignore[attr-defined]
    result = handle(store, pointer)  # type: ignore[operator]
    size = int.from_bytes(memory.read(store, result - 4, result), "little")  # type: ignore[attr-defined]
    return bytes(memory.read(store, result, result + size)).decode("utf-16-le").encode()  # type: ignore[attr-defined]
