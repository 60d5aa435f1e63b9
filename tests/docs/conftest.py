"""The platform that the documents' commands talk to, and the folder they are typed in."""

import asyncio
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from projectnil.postgres.connections import connect
from projectnil.postgres.embedded import DATABASE, EmbeddedPostgres
from tests.docs.console import DATA_DIR, DATABASE_URL, Reader
from tests.docs.markdown import ROOT
from tests.support.platform import Platform, running_platform


@pytest.fixture(scope="session")
def checkout(data_root: Path) -> Path:
    """A folder that looks like a checkout after `make setup`. Not below pytest's own: see `data_root`."""
    folder = Path(tempfile.mkdtemp(prefix="checkout-", dir=data_root))
    folder.chmod(0o711)
    for name in (".venv", "examples", "bench", "tests", "src", "toolchains"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="session")
def platform(checkout: Path) -> Iterator[Platform]:
    """`pnil serve` in the checkout, with its log in serve.log."""
    # A busy machine may take longer than the platform usually lets it.
    with running_platform(checkout / ".projectnil", compile_timeout_s="120") as running:
        (checkout / "serve.log").symlink_to(running.log)
        yield running


@pytest.fixture
def reader(request: pytest.FixtureRequest, checkout: Path, platform: Platform) -> Iterator[Reader]:
    """Somebody who starts with an empty platform, and with a database of their own to run the parts on."""
    with platform.client() as http:
        for function in http.get("/functions", params={"limit": 500}).json():
            http.delete(f"/functions/{function['id']}").raise_for_status()
    embedded = EmbeddedPostgres(platform.data_dir).url
    name = f"docs_{uuid4().hex}"
    asyncio.run(_create_database(embedded, name))
    addresses = {
        DATABASE_URL: shlex.quote(embedded.replace(f"/{DATABASE}?", f"/{name}?")),
        DATA_DIR: str(checkout / "var"),
    }
    following = Reader(checkout, platform.url.rpartition(":")[2], addresses)
    yield following
    following.close()


async def _create_database(url: str, name: str) -> None:
    conn = await connect(url)
    try:
        await conn.execute(f"CREATE DATABASE {name}")
    finally:
        await conn.close()
