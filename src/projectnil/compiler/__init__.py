"""From source to WebAssembly: one toolchain per language, each in processes of its own."""

from projectnil.compiler.registry import toolchains
from projectnil.compiler.toolchain import Toolchain

__all__ = ["Toolchain", "toolchains"]
