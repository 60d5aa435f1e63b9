"""AssemblyScript, with json-as: asc in Node processes kept warm."""

from projectnil.compiler.assemblyscript.toolchain import AssemblyScript

__all__ = ["AssemblyScript"]
