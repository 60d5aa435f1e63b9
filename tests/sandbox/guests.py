"""What the sandbox tests share: the guests of cases/, small limits, and a run from bytes to outcome."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from wasmtime import wat2wasm

from projectnil.domain.executions import Completed, Failed
from projectnil.domain.functions import module_sha256
from projectnil.domain.guest_errors import GuestBrokeAbi
from projectnil.domain.limits import KIB, MIB, Limits
from projectnil.sandbox.code_cache import CodeCache, ModuleFile
from projectnil.sandbox.forking import ForkServer
from projectnil.sandbox.pool import SandboxPool
from projectnil.sandbox.protocol import Invalid
from projectnil.sandbox.translator import Translator

CASES = Path(__file__).parent / "cases"

MakePool = Callable[..., Awaitable[SandboxPool]]

# Small, so that a case that breaks a limit does it fast.
LIMITS = Limits(execution_timeout_s=0.3, memory_bytes=2 * MIB, output_bytes=1 * KIB, log_bytes=1 * KIB)


def case_module(name: str) -> bytes:
    """The module of a folder in cases/: module.wasm, or module.wat as a .wasm file's bytes."""
    folder = CASES / name
    compiled = folder / "module.wasm"
    return compiled.read_bytes() if compiled.exists() else wat(folder.joinpath("module.wat").read_text())


def wat(text: str) -> bytes:
    return bytes(wat2wasm(text))


async def prepare(pool: SandboxPool, wasm: bytes) -> ModuleFile | GuestBrokeAbi:
    async def load() -> bytes:
        return wasm

    return await pool.ensure_module(module_sha256(wasm), load)


async def execute(pool: SandboxPool, wasm: bytes, input_json: bytes = b"{}") -> Completed | Failed:
    """All of what a flow does with a module: prepare it, be admitted, run it."""
    module = await prepare(pool, wasm)
    if isinstance(module, GuestBrokeAbi):
        return Failed(module, logs="")
    ticket = await pool.admit(module.sha256)
    return await pool.run(module, input_json, module.sha256, ticket)


async def translated(directory: Path, fork_server: ForkServer, wasm: bytes, limits: Limits = LIMITS) -> ModuleFile:
    """The module as it is before any snapshot, without a pool. directory: of machine code."""
    cache, translator = CodeCache(directory, limits.memory_bytes), Translator(fork_server, limits)
    cache.open()
    try:
        reply = await translator.translate(wasm)
    finally:
        await translator.close()
    assert not isinstance(reply, Invalid), reply.problem
    return cache.store(module_sha256(wasm), wasm, reply.code)
