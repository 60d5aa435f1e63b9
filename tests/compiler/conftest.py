"""One warm toolchain for the whole folder: starting one takes longer than most of the tests."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from projectnil.compiler.assemblyscript.toolchain import AssemblyScript
from projectnil.config import Settings
from tests.support.asc import compile_fresh

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

FreshCompiler = Callable[[str], bytes]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def toolchain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AssemblyScript]:
    warm = AssemblyScript(Settings(data_dir=tmp_path_factory.mktemp("data")))
    await warm.start()
    yield warm
    await warm.stop()


@pytest.fixture(scope="session")
def fresh_asc(tmp_path_factory: pytest.TempPathFactory) -> FreshCompiler:
    """asc's own command line, a new process each time; what it made is remembered."""
    made: dict[str, bytes] = {}

    def compile_source(source: str) -> bytes:
        if source not in made:
            made[source] = compile_fresh(source, tmp_path_factory.mktemp("fresh"))
        return made[source]

    return compile_source
