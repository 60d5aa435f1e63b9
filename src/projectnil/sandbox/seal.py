"""Tells whether a file of machine code is whole, and the one that was stored under its name.

A damaged one would run, and fail as if the function had failed, or as another function. The file is the code with the
SHA-256 of its name and itself at its end, which Wasmtime, reading an ELF file, takes no notice of.
"""

from hashlib import sha256
from pathlib import Path

_SEAL_BYTES = 32


def sealed(path: str, code: bytes) -> bytes:
    """What to store under this path."""
    return code + _seal(path, code)


def is_intact(path: str) -> bool:
    """Raises OSError."""
    content = memoryview(Path(path).read_bytes())
    return bytes(content[-_SEAL_BYTES:]) == _seal(path, content[:-_SEAL_BYTES])


def _seal(path: str, code: bytes | memoryview) -> bytes:
    digest = sha256(Path(path).name.encode())
    digest.update(code)
    return digest.digest()
