"""What every folder of tests can ask for."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from projectnil.postgres.connections import Pool, opened_pool
from tests.support.folders import parent_of_data
from tests.support.platform import Platform, running_platform
from tests.support.postgres import Cluster, running_cluster
from tests.support.stock import Stocked, stock

HTTP_MEMORY_BYTES = 32 * 1024 * 1024
ALLOWED_ORIGIN = "https://app.example"

# A machine that is busy must not fail a test.
settings.register_profile("at any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("at any speed")


# The folder that all processes of a test run share; the first of them makes and removes it.
_SHARED = "TESTS_SHARED_FOLDER"


def pytest_configure(config: pytest.Config) -> None:
    """Makes the shared folder."""
    if not hasattr(config, "workerinput"):
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="projectnil-tests-", dir=parent_of_data())
        Path(os.environ[_SHARED]).chmod(0o711)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the shared folder."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ[_SHARED], ignore_errors=True)


@pytest.fixture(scope="session")
def data_root() -> Iterator[Path]:
    """A folder for data folders. Not pytest's own, which another run of pytest closes to the server's user."""
    with tempfile.TemporaryDirectory(prefix="projectnil-tests-", dir=parent_of_data()) as root:
        Path(root).chmod(0o711)
        yield Path(root)


@pytest.fixture
def data_dir(data_root: Path) -> Iterator[Path]:
    """A data folder of the test's own; not there yet."""
    with tempfile.TemporaryDirectory(dir=data_root, ignore_cleanup_errors=True) as parent:
        yield Path(parent) / "data"


@pytest.fixture
def stocked(data_dir: Path) -> Stocked:
    """A data folder of the test's own, of a platform that was stopped, with an echo and a function that spins."""
    return stock(Path(os.environ[_SHARED])).copy(to=data_dir)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(data_root: Path) -> AsyncIterator[Cluster]:
    """A Postgres server with a migrated template database."""
    async with running_cluster(data_root / "cluster") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def database_url(cluster: Cluster) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    async with cluster.database() as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to the test's own database."""
    async with opened_pool(database_url, 8) as opened:
        yield opened


@pytest.fixture(scope="session")
def platform(data_root: Path) -> Iterator[Platform]:
    """The whole platform, shared by the tests that leave it as they found it."""
    with running_platform(
        data_root / "platform",
        compile_timeout_s="120",  # the machine may be busy
        http_memory_bytes=str(HTTP_MEMORY_BYTES),
        allowed_hosts="known.example, other.example",
        allowed_origins=f"{ALLOWED_ORIGIN}, http://app.example",
    ) as running:
        yield running


@pytest.fixture
def http(platform: Platform) -> Iterator[httpx.Client]:
    """A client of the shared platform."""
    with platform.client() as client:
        yield client
