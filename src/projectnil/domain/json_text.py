"""JSON text that Postgres can hold, in one spelling.

JSONB is stricter than JSON (PostgreSQL manual, "JSON Types"): it cannot hold U+0000 nor a surrogate without its
partner, it stores numbers as `numeric`, it keeps the last of several members with one key, and it parses by recursion.
What it cannot hold is refused here, before anything is written, with a message that says where. The same rules hold for
a function's input and its output.
"""

import re
import threading
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any, TypeAlias

import msgspec

from projectnil.domain.json_numbers import UnstorableNumber, check_number, is_shortest, shortest, unsigned_zero
from projectnil.domain.json_problems import DEPTH, find_problem

# Numbers are read back written out; this many digits they may have in all, and so many more for each byte of text.
EXPANDED_DIGITS = 100_000
EXPANDED_DIGITS_PER_BYTE = 8
# More lists and objects than this are taken one token at a time, since each costs up to 200 bytes of memory.
MOST_CONTAINERS_AT_ONCE = 400_000

# For valid JSON only, where every string ends. Possessive, so that nothing is remembered to go back to.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_TOKEN = re.compile(_STRING.pattern + rb'|[\[\]{}:,]|[^\s\[\]{}:,"]++', re.DOTALL)
# Whole numbers of up to 21 digits have one spelling.
_LONG_WHOLE = re.compile(rb"[0-9]{22}")
_STRING_OR_LONG_WHOLE = re.compile(_STRING.pattern + rb"|(?<![0-9.eE+-])-?[0-9]{22,}+(?![.eE])", re.DOTALL)
_STRING_OR_EXPONENT = re.compile(_STRING.pattern + rb"|[eE][+-]?+0*+([0-9]++)", re.DOTALL)
# A backslash that is itself escaped begins no escape.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
# So many different numbers are remembered while a text is under way.
_MOST_SPELLINGS = 10_000
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}

_encode = msgspec.json.Encoder().encode
_check_syntax = msgspec.json.Decoder(msgspec.Raw).decode

Spelling: TypeAlias = Callable[[str], str]


class UnstorableJson(ValueError):
    """path and problem: as in json_problems.Problem."""

    def __init__(self, problem: str, path: str = "") -> None:
        self.problem = problem
        self.path = path
        super().__init__(self.describe("it"))

    def describe(self, root: str) -> str:
        """In words. root: what the text is called, such as `output`."""
        return f"{root}{self.path} {self.problem}"


def canonical_json(text: bytes, most_tokens: int | None = None) -> bytes:
    """The one compact text of a JSON value, however it is spelled: exactly one value in UTF-8 that JSONB can hold.

    Keys keep their order; of several members with one key, the last value stands at the place of the first. Numbers
    have their shortest exact spelling (see json_numbers.shortest), and only what must be escaped is. Raises
    UnstorableJson; most_tokens: as in find_problem, for its message.
    """
    return _rewrite(text, shortest, most_tokens)


def compact_json(text: bytes, most_tokens: int | None = None) -> bytes:
    """As canonical_json, but numbers keep their spelling, except for the sign of a zero. Raises UnstorableJson."""
    return _rewrite(text, unsigned_zero, most_tokens)


def check_json_text(text: bytes) -> None:
    """Accept exactly one JSON value in UTF-8 that JSONB can hold. Raises UnstorableJson."""
    compact_json(text)


class _Refused(Exception):
    """str() is what find_problem would say of it."""


class _Spellings(dict[str, msgspec.Raw]):
    """Of each number with a fraction or an exponent, as it is written: found out once in a text.

    zeros: the most digits that the exponent of one adds when written out.
    """

    def __init__(self) -> None:
        self.zeros = 0
        self._spell: Spelling = shortest

    def begin(self, spell: Spelling) -> None:
        self.clear()
        self.zeros = 0
        self._spell = spell

    def __missing__(self, number: str) -> msgspec.Raw:
        if is_shortest(number):
            spelled = msgspec.Raw(number)
        else:
            self.zeros = max(self.zeros, check_number(number))
            spelled = msgspec.Raw(self._spell(number))
        if len(self) < _MOST_SPELLINGS:
            self[number] = spelled
        return spelled


class _Numbers(threading.local):
    """Decodes in one thread."""

    def __init__(self) -> None:
        self.spellings = _Spellings()
        self.decode = msgspec.json.Decoder(float_hook=self.spellings.__getitem__).decode


_numbers = _Numbers()


def _rewrite(text: bytes, spell: Spelling, most_tokens: int | None) -> bytes:
    numbers = _numbers
    numbers.spellings.begin(spell)
    try:
        rewritten = _respell(text, spell, numbers.decode)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, UnstorableNumber, _Refused) as error:
        raise _explain(text, error, most_tokens) from None
    if numbers.spellings.zeros:
        _check_zeros(text, numbers.spellings.zeros)
    return rewritten


def _check_zeros(text: bytes, most_of_one: int) -> None:
    """For valid JSON only. most_of_one: the most that the exponent of one number adds."""
    allowed = EXPANDED_DIGITS + EXPANDED_DIGITS_PER_BYTE * len(text)
    if (text.count(b"e") + text.count(b"E")) * most_of_one <= allowed:
        return
    zeros = sum(int(found[1]) for found in _STRING_OR_EXPONENT.finditer(text) if found[1])  # up to three digits
    if zeros > allowed:
        raise UnstorableJson(f"has numbers that would be {zeros:,} digits long when written out")


def _respell(text: bytes, spell: Spelling, decode: Callable[[bytes], Any]) -> bytes:
    containers = text.count(b"[") + text.count(b"{")
    if containers > MOST_CONTAINERS_AT_ONCE:
        _check_syntax(text)
        _check_depth(text)
        rewritten = _respell_by_token(text, decode)
    else:
        rewritten = _encode(decode(text))
        if containers > DEPTH:
            _check_depth(rewritten)
    if b"\\u0000" in rewritten and _NUL.search(rewritten):
        raise _Refused("holds the NUL character (\\u0000)")
    if _LONG_WHOLE.search(rewritten):
        return _STRING_OR_LONG_WHOLE.sub(partial(_respell_long_whole, spell), rewritten)
    return rewritten


def _respell_long_whole(spell: Spelling, found: re.Match[bytes]) -> bytes:
    token = found[0]
    if token.startswith(b'"'):
        return token
    number = token.decode()
    check_number(number)
    return spell(number).encode()


def _respell_by_token(text: bytes, decode: Callable[[bytes], Any]) -> bytes:
    """As decoding and encoding the text at once, in memory of a few times its size. For valid JSON only."""
    builder = _Builder()
    for token in _TOKEN.finditer(text):
        match token[0]:
            case b"[" | b"{":
                builder.open(token[0])
            case b"]" | b"}":
                builder.close()
            case b",":
                builder.go_on()
            case b":":
                pass
            case scalar:
                builder.add(_encode(decode(scalar)))
    return bytes(builder.text)


class _Builder:
    """Puts a text together. members: of the object under way; None in a list. key: of the member under way."""

    def __init__(self) -> None:
        self.text = bytearray()
        self._members: dict[bytes, bytes] | None = None
        self._key: bytes | None = None
        self._around: list[tuple[bytearray, dict[bytes, bytes] | None, bytes | None]] = []

    def open(self, sign: bytes) -> None:
        self._around.append((self.text, self._members, self._key))
        self.text = bytearray(sign)
        self._members = {} if sign == b"{" else None
        self._key = None

    def close(self) -> None:
        if self._members is None:
            self.text += b"]"
        else:
            self.text += b",".join(key + b":" + value for key, value in self._members.items()) + b"}"
        whole = self.text
        self.text, self._members, self._key = self._around.pop()
        self.add(whole)

    def add(self, value: bytes | bytearray) -> None:
        if self._members is None:
            self.text += value
        elif self._key is None:
            self._key = bytes(value)
        else:
            self._members[self._key] = bytes(value)

    def go_on(self) -> None:
        if self._members is None:
            self.text += b","
        self._key = None


def _check_depth(text: bytes) -> None:
    brackets = _STRING.sub(b"", text).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEPTH:
        raise _Refused(f"is nested deeper than {DEPTH} levels")


def _explain(text: bytes, error: Exception, most_tokens: int | None) -> UnstorableJson:
    found = find_problem(text, most_tokens)
    if found is not None:
        return UnstorableJson(found.words, found.path)
    match error:
        case UnstorableNumber():
            return UnstorableJson(f"has a number that {error}")
        case _Refused():
            return UnstorableJson(str(error))
        case RecursionError():
            return UnstorableJson(f"is nested deeper than {DEPTH} levels")
    return UnstorableJson(f"is malformed: {str(error).removeprefix('JSON is malformed: ')}")
