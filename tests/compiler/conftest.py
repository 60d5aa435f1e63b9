"""One toolchain for the whole folder: starting one takes longer than most of the tests."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from projectnil.compiler.assemblyscript.toolchain import AssemblyScript
from projectnil.config import Settings
from projectnil.domain.compilation import Compiled
from tests.support.asc import compile_fresh
from tests.support.guest import Guest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

FreshCompiler = Callable[[str], bytes]
Run = Callable[[str, object], Awaitable[object]]


@pytest.fixture
def tmp_path(data_root: Path) -> Path:
    """Not below pytest's own folder, which another run of pytest closes to the compilers' user."""
    return Path(tempfile.mkdtemp(dir=data_root))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def toolchain(data_root: Path) -> AsyncIterator[AssemblyScript]:
    warm = AssemblyScript(Settings(data_dir=Path(tempfile.mkdtemp(dir=data_root)), compiler_warm_ups=0))
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


@pytest.fixture(scope="session")
def run(toolchain: AssemblyScript) -> Run:
    """Runs a source, which is compiled once: see Guest.run."""
    guests: dict[str, Guest] = {}

    async def run_source(source: str, given: object) -> object:
        if source not in guests:
            compiled = await toolchain.compile(source)
            assert isinstance(compiled, Compiled), compiled
            guests[source] = Guest(compiled.wasm)
        return guests[source].run(given)

    return run_source
