"""One warm toolchain for the whole folder: starting one takes longer than most of the tests."""

import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from projectnil.compiler.assemblyscript.toolchain import NODE, AssemblyScript
from projectnil.config import Settings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LIBRARIES = ROOT / "toolchains" / "assemblyscript" / "node_modules"
FLAGS = ("--exportRuntime", "--runtime", "incremental", "--optimize", "--transform", "json-as")

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
            folder = tmp_path_factory.mktemp("fresh")
            (folder / "function.ts").write_text(source)
            (folder / "node_modules").symlink_to(LIBRARIES)
            asc = folder / "node_modules" / "assemblyscript" / "bin" / "asc.js"
            command = [str(NODE), str(asc), "function.ts", "-o", "function.wasm", *FLAGS]
            subprocess.run(command, cwd=folder, env={}, check=True, capture_output=True)
            made[source] = (folder / "function.wasm").read_bytes()
        return made[source]

    return compile_source
