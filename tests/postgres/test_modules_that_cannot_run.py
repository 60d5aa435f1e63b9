"""A module that can never run here fails its function when the result is applied, whichever compiler it came from."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from projectnil.compiler.toolchain import Onlooker, let_go_on
from projectnil.domain.compilation import Compiled
from projectnil.domain.functions import Function, FunctionStatus, NewFunction
from projectnil.domain.ids import new_node_id
from projectnil.domain.languages import Language
from projectnil.domain.limits import MIB, Limits
from projectnil.flows import catalog, compilation, registration, results
from projectnil.flows.execution import Executor
from projectnil.flows.ledger import Ledger
from projectnil.postgres.connections import Pool
from projectnil.sandbox.pool import SandboxPool
from projectnil.sandbox.wasm_format import SectionId, unsigned_leb
from tests.sandbox.guests import case_module
from tests.support.fakes import FakeToolchain

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Foreign(FakeToolchain):
    """A compiler that answers every job with the same module."""

    def __init__(self, wasm: bytes) -> None:
        super().__init__()
        self._wasm = wasm

    async def compile(self, source: str, onlooker: Onlooker = let_go_on) -> Compiled:
        del source, onlooker
        return Compiled(self._wasm)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxPool]:
    limits = Limits(memory_bytes=2 * MIB)
    pool = SandboxPool(limits, tmp_path_factory.mktemp("cache"), processes=1, max_processes=1, idle_s=60.0)
    await pool.start()
    yield pool
    await pool.stop(0)


@pytest.fixture
def executor(pool: Pool, sandbox: SandboxPool) -> Executor:
    return Executor(pool, sandbox, Ledger(pool, pool, new_node_id(), lease_s=60))


async def compiled_by(pool: Pool, executor: Executor, wasm: bytes) -> Function:
    """The function after a foreign compiler's answer was applied."""
    new = NewFunction(name="f", description=None, language=Language.ASSEMBLYSCRIPT, source="any")
    function = await registration.register(pool, new)
    assert await compilation.compile_next(pool, Foreign(wasm), visibility_s=30, max_reads=3)
    message = await results.take_next(pool, visibility_s=30)
    assert message is not None
    await results.apply(pool, message, executor.why_it_cannot_run)
    return await catalog.get_function(pool, function.id)


def with_data_segments(count: int) -> bytes:
    """A module that runs, but for its number of data segments."""
    content = unsigned_leb(count) + b"\0\x41\0\x0b\x01x" * count
    return case_module("echo") + bytes([SectionId.DATA]) + unsigned_leb(len(content)) + content


CANNOT_RUN = {
    "unknown_import": (
        case_module("unknown_import"),
        "it imports wasi_snapshot_preview1.path_open, which the platform does not offer",
    ),
    "import_with_wrong_signature": (case_module("import_with_wrong_signature"), "it imports env.abort as (i64)"),
    "imported_memory": (case_module("imported_memory"), "it imports env.memory, which the platform does not offer"),
    "handle_missing": (case_module("handle_missing"), "it does not export the function `handle`, as (i32) -> i32"),
    "wrong_signature": (case_module("wrong_signature"), "its export `handle` is () -> i64"),
    "memory_missing": (case_module("memory_missing"), "it does not export its memory"),
    "too_much_memory": (
        case_module("initial_memory_over_the_limit"),
        "its memory begins with 62.5 MiB, and the limit is 2 MiB",
    ),
    "large_table": (case_module("large_table"), "a table of it has 10,000,000 elements, and the limit is 100,000"),
    "too_many_data_segments": (with_data_segments(100_001), "data segments count exceeds limit of 100000"),
    "data_outside_memory": (case_module("data_outside_memory"), "its data segment 0 ends at byte 65,543"),
    "element_outside_table": (case_module("element_outside_table"), "its element segment 0 ends at element 2"),
    "truncated": (case_module("truncated_module"), "it is not a valid WebAssembly module"),
    "empty": (b"\0asm\1\0\0\0", "it does not export its memory"),
}


@pytest.mark.parametrize("kind", CANNOT_RUN)
async def test_a_module_that_can_never_run_fails_its_function_and_says_why(
    pool: Pool, executor: Executor, kind: str
) -> None:
    wasm, problem = CANNOT_RUN[kind]
    function = await compiled_by(pool, executor, wasm)
    assert function.status is FunctionStatus.FAILED
    assert function.compile_error is not None
    assert function.compile_error.startswith("it compiled, but the module cannot run here: ")
    assert problem in function.compile_error


async def test_a_module_with_as_many_data_segments_as_the_engine_takes_is_ready(pool: Pool, executor: Executor) -> None:
    assert (await compiled_by(pool, executor, with_data_segments(100_000))).status is FunctionStatus.READY


async def test_a_module_that_could_not_be_looked_at_is_ready_all_the_same(pool: Pool, tmp_path: Path) -> None:
    stopped = SandboxPool(Limits(), tmp_path, processes=1, max_processes=1, idle_s=60.0)
    await stopped.start()
    await stopped.stop(0)
    executor = Executor(pool, stopped, Ledger(pool, pool, new_node_id(), lease_s=60))
    assert (await compiled_by(pool, executor, case_module("echo"))).status is FunctionStatus.READY
