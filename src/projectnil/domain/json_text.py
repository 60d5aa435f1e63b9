"""JSON text that Postgres can hold.

JSONB is stricter than JSON (PostgreSQL manual, "JSON Types"): it cannot hold U+0000 nor a surrogate without its
partner, it stores numbers as `numeric`, and it parses by recursion. What it cannot hold is refused here, before
anything is written, with a message that says where. The same rules hold for a function's input and its output.
"""

import re
from itertools import accumulate

import msgspec

DEPTH = 256
NUMBER_DIGITS = 1_000
# A short number with a large exponent is stored in few bytes and read back as that many digits.
NUMBER_EXPONENT = 400

# Numbers are read back written out; this many digits they may have in all, and so many more for each byte of text.
EXPANDED_DIGITS = 100_000
EXPANDED_DIGITS_PER_BYTE = 8

# All up to the first escape that is U+0000, or a surrogate without its partner, or malformed.
_UNTIL_BAD_ESCAPE = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4}"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+",
    re.DOTALL,
)
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
# For valid JSON only, where every string ends. Possessive, so that nothing is remembered to go back to.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
# A run of digits is looked at from its first one only: whoever can make one digit less than too many can repeat it.
_SUSPECT_NUMBER = re.compile(rb"[eE][+-]?[0-9]{2}|(?<![0-9.])[0-9.]{%d}" % NUMBER_DIGITS)
_EXPONENT = re.compile(rb"[eE][+-]?0*([0-9]{2,})")
_LONG_NUMBER = re.compile(rb"(?<![0-9.])[0-9.]{%d}" % (NUMBER_DIGITS + 1))
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}

_decode_one_value = msgspec.json.Decoder(msgspec.Raw).decode


class UnstorableJson(ValueError):
    """str() says what is wrong with the text, in the words of a person's error message."""


def check_json_text(text: bytes) -> None:
    """Accept exactly one JSON value in UTF-8 that JSONB can hold. Raises UnstorableJson."""
    try:
        if not text.isascii():
            text.decode()
    except UnicodeDecodeError as error:
        raise UnstorableJson(f"not UTF-8: {error.reason} at byte {error.start}") from None
    if b"\\u" in text:
        _check_escapes(text)
    try:
        _decode_one_value(text)
    except RecursionError:
        raise UnstorableJson(f"nested deeper than {DEPTH} levels") from None
    except msgspec.DecodeError as error:
        raise UnstorableJson(_in_plain_words(error)) from None
    if text.count(b"[") + text.count(b"{") > DEPTH:
        _check_depth(text)
    if _SUSPECT_NUMBER.search(text):
        _check_numbers(text)


def _in_plain_words(error: msgspec.DecodeError) -> str:
    return str(error).removeprefix("JSON is malformed: ")


def _check_escapes(text: bytes) -> None:
    """Malformed ones are the decoder's to tell."""
    at = _UNTIL_BAD_ESCAPE.match(text).end()  # type: ignore[union-attr] # it matches the empty text, too
    if text.startswith(b"\\u0000", at):
        raise UnstorableJson(f"the NUL character \\u0000 at byte {at}: Postgres JSONB cannot hold it")
    if _SURROGATE_ESCAPE.match(text, at):
        raise UnstorableJson(f"a lone surrogate escape at byte {at}: it is not Unicode text")


def _check_depth(text: bytes) -> None:
    brackets = _STRING.sub(b"", text).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEPTH:
        raise UnstorableJson(f"nested deeper than {DEPTH} levels")


def _check_numbers(text: bytes) -> None:
    bare = _STRING.sub(b'""', text)
    expanded = 0
    for exponent in _EXPONENT.findall(bare):
        if len(exponent) > 4 or int(exponent) > NUMBER_EXPONENT:
            raise UnstorableJson(f"a number's exponent is beyond {NUMBER_EXPONENT}")
        expanded += int(exponent)
    if expanded > EXPANDED_DIGITS + EXPANDED_DIGITS_PER_BYTE * len(text):
        raise UnstorableJson(f"its numbers with exponents would be {expanded:,} digits long when written out")
    if _LONG_NUMBER.search(bare):
        raise UnstorableJson(f"a number has more than {NUMBER_DIGITS} digits")
