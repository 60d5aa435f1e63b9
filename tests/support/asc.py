"""The AssemblyScript compiler as its command line runs it: what the platform's own is compared with."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from projectnil.compiler.assemblyscript.toolchain import NODE
from projectnil.sandbox.wasm_format import HEADER_BYTES, Reader, sections

LIBRARIES = Path(__file__).parents[2] / "toolchains" / "assemblyscript" / "node_modules"
FLAGS = ("--exportRuntime", "--runtime", "incremental", "--optimize")
TRANSFORM = ("--transform", "json-as")  # brings the corrections of asc's library too

LINES = b"projectnil.lines"


def without_lines(wasm: bytes) -> bytes:
    """The platform's module as asc made it: without the section that the platform adds at the end."""
    added = [(start, reader) for start, (section_id, reader, _) in _with_starts(wasm) if section_id == 0]
    assert [wasm[reader.at + 1 : reader.at + 1 + len(LINES)] for _, reader in added] == [LINES]
    return wasm[: added[0][0]]


def _with_starts(wasm: bytes) -> Iterator[tuple[int, tuple[int, Reader, int]]]:
    start = HEADER_BYTES
    for found in sections(wasm):
        yield start, found
        start = found[2]


# The same module in half of the CPU time: V8 optimizes nothing of Binaryen, which a single source does not pay back.
QUICKLY = ("--liftoff-only",)


def compile_fresh(
    source: str, folder: Path, transform: tuple[str, ...] = TRANSFORM, node_options: tuple[str, ...] = QUICKLY
) -> bytes:
    """The module that a new process makes of a source. folder: an empty one, for nothing else."""
    (folder / "function.ts").write_text(source)
    (folder / "node_modules").symlink_to(LIBRARIES)
    asc = folder / "node_modules" / "assemblyscript" / "bin" / "asc.js"
    command = [str(NODE), *node_options, str(asc), "function.ts", "-o", "function.wasm", *FLAGS, *transform]
    subprocess.run(command, cwd=folder, env={}, check=True, capture_output=True)
    return (folder / "function.wasm").read_bytes()
