"""AssemblyScript's calling convention for `handle(input: string): string`.

Source of the formats: AssemblyScript 0.28, std/assembly/rt (object header) and "Runtime" in its manual. A string is
a pointer to UTF-16LE; its length in bytes is the u32 at ptr-4; its class id is the u32 at ptr-8, and is 2.
"""

import codecs
import ctypes

from projectnil.domain.guest_errors import GuestOutputInvalid, GuestOutputTooLarge
from projectnil.domain.json_text import UnstorableJson, compact_json
from projectnil.sandbox.capi import Address, Guest
from projectnil.sandbox.engine import LoadedModule
from projectnil.sandbox.failure import BrokenModule, GuestFailure

_STRING_CLASS = 2
_SIZE_BYTES = 4
_CLASS_AND_SIZE_BYTES = 8
_UNIT_BYTES = 2
_ESCAPE_BYTES = 6 * _UNIT_BYTES  # of \\uXXXX
# How far to look for what is wrong with an output, at a microsecond each.
_MOST_TOKENS = 200_000
_ESCAPE_START = "\\u".encode("utf-16-le")


def pass_input(guest: Guest, module: LoadedModule, json: bytes) -> int:
    """Put JSON text (UTF-8) into the guest as a string it will not collect. Returns the string's pointer."""
    text = json.decode().encode("utf-16-le")
    pointer = guest.call(module.new_nth, len(text), _STRING_CLASS)
    guest.call(module.pin_nth, pointer)
    start, memory_bytes = guest.memory()
    if pointer == 0 or pointer + len(text) > memory_bytes:
        raise BrokenModule(f"__new returned the pointer {pointer} for {len(text):,} bytes, outside its memory")
    ctypes.memmove(start + pointer, text, len(text))
    return pointer


def take_output(guest: Guest, pointer: int, limit_bytes: int) -> bytes:
    """The string `handle` returned, as JSON text in UTF-8 that Postgres can hold. limit_bytes: of UTF-8."""
    start, memory_bytes = guest.memory()
    text = _read_text(start, memory_bytes, pointer, limit_bytes)
    if len(text) > limit_bytes:
        raise GuestFailure(GuestOutputTooLarge(len(text), limit_bytes))
    try:
        return compact_json(text, _MOST_TOKENS)
    except UnstorableJson as error:
        problem = error.describe("output" if error.path else "it")
        hint = "" if text.startswith((b"{", b"[", b'"')) else "; return the text of JSON.stringify"
        raise GuestFailure(GuestOutputInvalid(problem + hint + _class_hint(start, pointer))) from None


def _read_text(start: Address, memory_bytes: int, pointer: int, limit_bytes: int) -> bytes:
    if pointer == 0:
        raise BrokenModule("handle returned null instead of a string")
    if pointer < _CLASS_AND_SIZE_BYTES or pointer > memory_bytes:
        raise BrokenModule(f"handle returned the pointer {pointer}, outside its memory of {memory_bytes:,} bytes")
    size = ctypes.c_uint32.from_address(start + pointer - _SIZE_BYTES).value
    if size > memory_bytes - pointer:
        raise BrokenModule(f"handle returned a string of {size:,} bytes that ends outside its memory")
    if size % 2:
        raise BrokenModule(f"handle returned a string of {size:,} bytes; UTF-16 needs an even number")
    if size // 2 > limit_bytes:  # a unit of UTF-16 becomes at least a byte of UTF-8
        raise GuestFailure(GuestOutputTooLarge(size // 2, limit_bytes))
    units = ctypes.string_at(start + pointer, size)
    try:
        return units.decode("utf-16-le").encode()
    except UnicodeDecodeError:
        return units.decode("utf-16-le", _ESCAPING).encode()


def _escape_surrogate(error: UnicodeError) -> tuple[str, int]:
    """For the decoder: writes a surrogate without its partner as an escape, and ends the text there when it is lone.

    json-as 1.6.0 writes one half of a pair as an escape when the pair lies across two of the blocks it works in. To a
    reader of UTF-16, such as JavaScript's JSON.parse, that is the same string.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    units, at = error.object, error.start
    after = at + _UNIT_BYTES
    before = max(at - _ESCAPE_BYTES, 0)
    is_half = units.startswith(_ESCAPE_START, after) or units.startswith(_ESCAPE_START, before)
    escape = f"\\u{int.from_bytes(units[at:after], 'little'):04x}"
    # A text that goes on is read once more; the rest of one that is refused for this escape is not needed.
    return escape, after if is_half else len(units)


_ESCAPING = "projectnil.escape_surrogate"
codecs.register_error(_ESCAPING, _escape_surrogate)


def _class_hint(start: Address, pointer: int) -> str:
    # Only a hint: another compiler's module may leave the class id out.
    class_id = ctypes.c_uint32.from_address(start + pointer - _CLASS_AND_SIZE_BYTES).value
    if class_id in (0, _STRING_CLASS):
        return ""
    return f" (handle must return a string; this is an object of class {class_id})"
