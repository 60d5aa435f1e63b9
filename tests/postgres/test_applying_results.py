"""Results are applied one beside the other, whatever some modules take to be made ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from projectnil.domain.functions import FunctionStatus, NewFunction
from projectnil.domain.ids import FunctionId, new_node_id
from projectnil.domain.languages import Language
from projectnil.flows import catalog, compilation, registration
from projectnil.flows.execution import Executor
from projectnil.flows.ledger import Ledger
from projectnil.postgres.connections import Pool
from projectnil.sandbox.pool import SandboxPool
from projectnil.workers.results import apply_results
from tests.sandbox.guests import LIMITS
from tests.support.fakes import FakeToolchain
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

_FUNCTIONS = 40


class SlowToPrepare(Executor):
    """No module gets ready for its first execution before the test says so."""

    released: asyncio.Event
    prepared: set[FunctionId]

    async def why_it_cannot_run(self, _wasm: bytes) -> None:
        return None

    async def prepare(self, function_id: FunctionId) -> None:
        await self.released.wait()
        self.prepared.add(function_id)


class Broken(Executor):
    """It raises what no code of the platform expects."""

    async def why_it_cannot_run(self, _wasm: bytes) -> str | None:
        raise RuntimeError("no such thing")


@pytest_asyncio.fixture(loop_scope="session")
async def executor(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SlowToPrepare]:
    executor = SlowToPrepare(*parts(pool, tmp_path_factory.mktemp("cache")))
    executor.released, executor.prepared = asyncio.Event(), set()
    yield executor
    executor.released.set()


def parts(pool: Pool, cache: Path) -> tuple[Pool, SandboxPool, Ledger]:
    sandbox = SandboxPool(LIMITS, cache, processes=1, max_processes=1, idle_s=60.0)
    return pool, sandbox, Ledger(pool, pool, new_node_id(), lease_s=60)


async def compiled(pool: Pool, source: str = "any") -> FunctionId:
    """A function whose result waits to be applied."""
    new = NewFunction(name="f", description=None, language=Language.ASSEMBLYSCRIPT, source=source)
    function = await registration.register(pool, new)
    assert await compilation.compile_next(pool, FakeToolchain(), visibility_s=30, max_reads=3)
    return function.id


@asynccontextmanager
async def applying(pool: Pool, database_url: str, executor: Executor) -> AsyncIterator[None]:
    """While the block runs, for a minute at most, results are applied."""
    worker = asyncio.create_task(apply_results(pool, database_url, executor, visibility_s=30))
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def until_status(pool: Pool, function_id: FunctionId, status: FunctionStatus) -> None:
    while (await catalog.get_function(pool, function_id)).status is not status:  # noqa: ASYNC110 # nothing tells us
        await asyncio.sleep(0.02)


async def test_modules_that_take_long_to_get_ready_keep_no_result_waiting(
    pool: Pool, database_url: str, executor: SlowToPrepare
) -> None:
    ids = [await compiled(pool) for _ in range(_FUNCTIONS)]
    async with applying(pool, database_url, executor):
        for function_id in ids:
            await until_status(pool, function_id, FunctionStatus.READY)
        assert not executor.prepared
        executor.released.set()
        await until("one is prepared", lambda: bool(executor.prepared))


class SlowToCheck(Executor):
    """What is wrong with a module that takes long is not known before the test says so."""

    released: asyncio.Event

    async def why_it_cannot_run(self, wasm: bytes) -> str | None:
        if b"takes long" in wasm:
            await self.released.wait()
        return None

    async def prepare(self, _function_id: FunctionId) -> None: ...


async def test_modules_that_take_long_to_be_checked_keep_no_other_result_waiting(
    pool: Pool, database_url: str, tmp_path: Path
) -> None:
    ids = [await compiled(pool, source) for source in [*("takes long" for _ in range(_FUNCTIONS)), "quick"]]
    executor = SlowToCheck(*parts(pool, tmp_path))
    executor.released = asyncio.Event()
    async with applying(pool, database_url, executor):
        await until_status(pool, ids[-1], FunctionStatus.READY)
        assert (await catalog.get_function(pool, ids[0])).status is FunctionStatus.COMPILING
    executor.released.set()


class Counting(Executor):
    """How many modules are looked at beside each other."""

    now = most = 0

    async def why_it_cannot_run(self, _wasm: bytes) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.02)
        self.now -= 1

    async def prepare(self, _function_id: FunctionId) -> None: ...


async def test_large_results_are_applied_one_after_the_other(
    pool: Pool, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectnil.workers.results._MOST_BYTES", 1)
    ids = [await compiled(pool) for _ in range(8)]
    executor = Counting(*parts(pool, tmp_path))
    async with applying(pool, database_url, executor):
        for function_id in ids:
            await until_status(pool, function_id, FunctionStatus.READY)
    assert executor.most == 1


async def test_a_result_that_cannot_be_applied_is_tried_again_but_not_for_ever(
    pool: Pool, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = []
    for reads in (4, 0):
        ids.append(await compiled(pool))
        await pool.execute("UPDATE pgmq.q_compilation_results SET read_ct = $1 WHERE read_ct = 0", reads)
    broken = Broken(*parts(pool, tmp_path))
    logged = ""
    async with applying(pool, database_url, broken):
        await until_status(pool, ids[0], FunctionStatus.FAILED)
        while logged.count("RuntimeError: no such thing") < 2:
            await asyncio.sleep(0.02)
            logged += capsys.readouterr().out
    failed, retried = [await catalog.get_function(pool, function_id) for function_id in ids]
    assert failed.compile_error == "the result could not be applied: RuntimeError: no such thing"
    assert retried.status is FunctionStatus.COMPILING
    assert await pool.fetchval("SELECT count(*) FROM pgmq.q_compilation_results") == 1
    assert await pool.fetchval("SELECT count(*) FROM pgmq.a_compilation_results") == 1
