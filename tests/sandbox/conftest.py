from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from projectnil.domain.limits import Limits
from projectnil.sandbox.forking import ForkServer
from projectnil.sandbox.pool import SandboxPool
from tests.sandbox.guests import LIMITS, MakePool


@pytest.fixture
async def make_pool(tmp_path: Path) -> AsyncIterator[MakePool]:
    """Starts pools whose settings differ from the defaults below, and stops them."""
    pools: list[SandboxPool] = []

    async def make(
        limits: Limits = LIMITS, *, processes: int = 1, max_processes: int = 4, idle_s: float = 60.0
    ) -> SandboxPool:
        pool = SandboxPool(
            limits, tmp_path / "modules", processes=processes, max_processes=max_processes, idle_s=idle_s
        )
        pools.append(pool)
        await pool.start()
        return pool

    yield make
    for pool in pools:
        await pool.stop(0)


@pytest.fixture
async def fork_server() -> AsyncIterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
async def shared_pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxPool]:
    """For tests that need nothing but a pool."""
    pool = SandboxPool(LIMITS, tmp_path_factory.mktemp("cache"), processes=1, max_processes=2, idle_s=60.0)
    await pool.start()
    yield pool
    await pool.stop(0)
