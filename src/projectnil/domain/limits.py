"""The limits every function lives under."""

import msgspec

KIB = 1024
MIB = 1024 * KIB

# Of a compiled module. As base64 in a queue's message, jsonb could hold some 190 MiB; a source of 1 MiB makes far less.
MODULE_BYTES = 32 * MIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults are SPEC's. A breach names the limit and its value.

    execution_timeout_s: wall time of one execution, instantiation included.
    memory_bytes: linear memory a guest may hold.
    input_bytes, output_bytes: JSON text in UTF-8.
    source_bytes: source text in UTF-8.
    compile_timeout_s: wall time of one compilation.
    log_bytes: what one execution may log, in UTF-8; the rest is cut off.
    """

    execution_timeout_s: float = 10.0
    memory_bytes: int = 64 * MIB
    input_bytes: int = 1 * MIB
    output_bytes: int = 6 * MIB
    source_bytes: int = 1 * MIB
    compile_timeout_s: float = 30.0
    log_bytes: int = 64 * KIB


def in_units(size_bytes: int) -> str:
    """A size for people: `64 MiB`, `1.5 KiB`, `12 bytes`."""
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.4g} {name}"
    return f"{size_bytes} bytes"
