"""AssemblyScript's calling convention for `handle(input: string): string`.

Source of the formats: AssemblyScript 0.28, std/assembly/rt (object header) and "Runtime" in its manual. A string is
a pointer to UTF-16LE; its length in bytes is the u32 at ptr-4; its class id is the u32 at ptr-8, and is 2.
"""

import ctypes
import re

from projectnil.domain.guest_errors import GuestOutputInvalid, GuestOutputTooLarge
from projectnil.domain.json_text import UnstorableJson, check_json_text
from projectnil.sandbox.capi import Address, Guest
from projectnil.sandbox.engine import LoadedModule
from projectnil.sandbox.failure import BrokenModule, GuestFailure

# A backslash that is itself escaped begins no escape.
_HALF_ESCAPED_PAIR = re.compile(
    r"([\ud800-\udbff])\\u([dD][c-fC-F][0-9a-fA-F]{2})|(?<!\\)\\u([dD][89abAB][0-9a-fA-F]{2})([\udc00-\udfff])"
)
# All up to the first surrogate that is half of no such pair.
_UNTIL_LONE = re.compile(
    r"(?:[^\ud800-\udfff]++|[\ud800-\udbff]\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?<=\\u[dD][89abAB][0-9a-fA-F]{2})[\udc00-\udfff])*+"
)
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING_CLASS = 2
_SIZE_BYTES = 4
_CLASS_AND_SIZE_BYTES = 8


def pass_input(guest: Guest, module: LoadedModule, json: bytes) -> int:
    """Put JSON text (UTF-8) into the guest as a string it will not collect. Returns the string's pointer."""
    text = _plain_slashes(json).decode().encode("utf-16-le")
    pointer = guest.call(module.new_nth, len(text), _STRING_CLASS)
    guest.call(module.pin_nth, pointer)
    start, memory_bytes = guest.memory()
    if pointer == 0 or pointer + len(text) > memory_bytes:
        raise BrokenModule(f"__new returned the pointer {pointer} for {len(text):,} bytes, outside its memory")
    ctypes.memmove(start + pointer, text, len(text))
    return pointer


def _plain_slashes(json: bytes) -> bytes:
    """The same JSON with `\\/` written `/`: json-as 1.6.0 reads the escaped one, which JSON allows, as U+0000."""
    if b"\\/" not in json:
        return json
    return _ESCAPE.sub(lambda escape: b"/" if escape[0] == b"\\/" else escape[0], json)


def take_output(guest: Guest, pointer: int, limit_bytes: int) -> bytes:
    """The string `handle` returned, as JSON text in UTF-8 that Postgres can hold. limit_bytes: of UTF-8."""
    start, memory_bytes = guest.memory()
    text = _read_text(start, memory_bytes, pointer, limit_bytes)
    if not text:
        raise GuestFailure(GuestOutputInvalid("it is the empty string"))
    if len(text) > limit_bytes:
        raise GuestFailure(GuestOutputTooLarge(len(text), limit_bytes))
    try:
        check_json_text(text)
    except UnstorableJson as error:
        problem = f"{error}{_class_hint(start, pointer)}"
        raise GuestFailure(GuestOutputInvalid(problem)) from None
    return text


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
    if size // 2 > limit_bytes:  # a unit of UTF-16 becomes a byte of UTF-8 at the least
        raise GuestFailure(GuestOutputTooLarge(size // 2, limit_bytes))
    units = ctypes.string_at(start + pointer, size)
    try:
        return units.decode("utf-16-le").encode()
    except UnicodeDecodeError:
        pass
    try:
        return _join_half_escaped_pairs(units).encode()
    except UnicodeEncodeError as error:
        problem = f"a lone surrogate at UTF-16 unit {error.start}: it is not Unicode text"
        raise GuestFailure(GuestOutputInvalid(problem + _class_hint(start, pointer))) from None


def _join_half_escaped_pairs(units: bytes) -> str:
    """Text in which a surrogate pair with one half escaped stands as the character it means.

    json-as 1.6.0 writes the second half as an escape when a pair lies across two of the blocks it works in. To a
    reader of UTF-16, such as JavaScript's JSON.parse, that is the same string. Lone surrogates stay as they are.
    """
    text = units.decode("utf-16-le", "surrogatepass")
    end = _UNTIL_LONE.match(text).end()  # type: ignore[union-attr] # it matches the empty text, too
    return _HALF_ESCAPED_PAIR.sub(_join, text) if end == len(text) else text


def _join(match: re.Match[str]) -> str:
    high, low_escaped, high_escaped, low = match.groups()
    high_unit = ord(high) if high else int(high_escaped, 16)
    low_unit = ord(low) if low else int(low_escaped, 16)
    return chr(0x10000 + (high_unit - 0xD800) * 0x400 + low_unit - 0xDC00)


def _class_hint(start: Address, pointer: int) -> str:
    # Only a hint: another compiler's module may leave the class id out.
    class_id = ctypes.c_uint32.from_address(start + pointer - _CLASS_AND_SIZE_BYTES).value
    if class_id in (0, _STRING_CLASS):
        return ""
    return f" (handle must return a string; this is an object of class {class_id})"
