"""The AssemblyScript compiler as its command line runs it: what the platform's own is compared with."""

import subprocess
from pathlib import Path

from projectnil.compiler.assemblyscript.toolchain import NODE

LIBRARIES = Path(__file__).parents[2] / "toolchains" / "assemblyscript" / "node_modules"
FLAGS = ("--exportRuntime", "--runtime", "incremental", "--optimize", "--transform", "json-as")


def compile_fresh(source: str, folder: Path) -> bytes:
    """The module that a new process makes of a source. folder: an empty one, for nothing else."""
    (folder / "function.ts").write_text(source)
    (folder / "node_modules").symlink_to(LIBRARIES)
    asc = folder / "node_modules" / "assemblyscript" / "bin" / "asc.js"
    command = [str(NODE), str(asc), "function.ts", "-o", "function.wasm", *FLAGS]
    subprocess.run(command, cwd=folder, env={}, check=True, capture_output=True)
    return (folder / "function.wasm").read_bytes()
