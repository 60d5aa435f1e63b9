"""What is wrong with a JSON text, and at which path: looked for only once it is known that something is.

Source of the grammar: RFC 8259.
"""

import re
from typing import NamedTuple, NoReturn

from projectnil.domain.json_numbers import UnstorableNumber, check_number

DEPTH = 256

_SPACE = rb"[ \t\n\r]*+"
_STRING = rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![0-9A-Za-z_.+-])"
_TOKEN = re.compile(
    _SPACE + rb"(?:(?P<string>" + _STRING + rb")|(?P<number>" + _NUMBER + rb")"
    rb"|(?P<word>(?:true|false|null)(?![0-9A-Za-z_]))|(?P<sign>[\[\]{}:,])|(?P<end>\Z))"
)
_AFTER_SPACE = re.compile(_SPACE)
# All up to the first escape that is U+0000, or a surrogate without its partner.
_UNTIL_BAD_ESCAPE = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4}"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+",
    re.DOTALL,
)
_STRING_START = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_WORD = re.compile(rb"[^\s,:\[\]{}\"]{1,41}")
_NOT_A_NUMBER = (b"NaN", b"nan", b"-NaN", b"Infinity", b"-Infinity", b"inf", b"-inf")
_NAME = re.compile(r"[A-Za-z_$][\w$-]*")
_MOST_SHOWN = 40
_MOST_STEPS = 12
_SHOWN_STEPS = 6


class Problem(NamedTuple):
    """path: such as `.items[3].name`; empty for the whole. words: what is wrong, to go on from the path."""

    path: str
    words: str


class _Found(Exception):
    def __init__(self, words: str) -> None:
        self.words = words


class _TooLong(Exception):
    pass


def find_problem(text: bytes, most_tokens: int | None = None) -> Problem | None:
    """The first thing that keeps `text` from being one JSON value that can be stored, or None.

    most_tokens: how much to look at before giving up, at about a microsecond each; None for all.
    """
    walk = _Walk(text, most_tokens)
    try:
        walk.whole()
    except _Found as found:
        return Problem(walk.path(), found.words)
    except _TooLong:
        pass
    return None


class _Walk:
    """Goes through the tokens. steps: the index or the key of each container that is open; None before a first key."""

    def __init__(self, text: bytes, most_tokens: int | None) -> None:
        self._text = text
        self._at = 0
        self._start = 0  # of the token looked at last
        self._left = most_tokens
        self._steps: list[int | bytes | None] = []

    def path(self) -> str:
        steps = [_step(step) for step in self._steps]
        if len(steps) > _MOST_STEPS:
            steps[_SHOWN_STEPS:-_SHOWN_STEPS] = ["…"]
        return "".join(steps)

    def whole(self) -> None:
        if self._text.startswith(b"\xef\xbb\xbf"):
            raise _Found("begins with a byte order mark (U+FEFF), which JSON does not have")
        begins = self._begin_value()
        while begins or self._steps:
            begins = self._begin_value() if begins else self._go_on()
        if self._next()[0] != "end":
            raise _Found(f"is followed by more text: {self._shown()}")

    def _begin_value(self) -> bool:
        """Reads the start of a value. Does another one begin next?"""
        kind, token = self._next()
        match kind, token:
            case "sign", b"[":
                self._open(0)
                return not self._closes(b"]")
            case "sign", b"{":
                self._open(None)
                if not self._closes(b"}"):
                    self._key()
                    return True
            case "number", _:
                _check_number(token)
            case "string", _:
                _check_string(token)
            case "word", _:
                pass
            case _:
                self._refuse_value(kind)
        return False

    def _go_on(self) -> bool:
        """Reads what follows a value in a list or an object. Does another one begin next?"""
        kind, token = self._next()
        is_list = isinstance(self._steps[-1], int)
        if (kind, token) == ("sign", b"]" if is_list else b"}"):
            self._steps.pop()
            return False
        if (kind, token) != ("sign", b","):
            self._refuse_missing_comma("]" if is_list else "}", kind)
        step = self._steps[-1]
        self._steps[-1] = step + 1 if isinstance(step, int) else None
        if self._peek() == (b"]" if is_list else b"}"):
            self._steps.pop()
            raise _Found(f"has a comma after its last {'element' if is_list else 'member'}")
        if not is_list:
            self._key()
        return True

    def _key(self) -> None:
        kind, token = self._next()
        if kind != "string":
            self._refuse_key(kind)
        self._steps[-1] = token[1:-1]
        _check_string(token)
        kind, token = self._next()
        if token != b":":
            if kind == "end":
                self._steps.pop()
                raise _Found("ends too early: the text stops before the closing }")
            raise _Found(f"has no colon after its key, but {self._shown()}")

    def _refuse_key(self, kind: str) -> NoReturn:
        self._steps.pop()
        if kind == "end":
            raise _Found("ends too early: the text stops before the closing }")
        if self._text.startswith(b'"', self._start):
            self._refuse_string()
        raise _Found(f"has a key that is not text in double quotes: {self._shown()}")

    def _open(self, step: int | None) -> None:
        if len(self._steps) == DEPTH:
            raise _Found(f"is nested deeper than {DEPTH} levels")
        self._steps.append(step)

    def _closes(self, sign: bytes) -> bool:
        if self._peek() != sign:
            return False
        self._next()
        self._steps.pop()
        return True

    def _peek(self) -> bytes:
        at = self._after_space()
        return self._text[at : at + 1]

    def _after_space(self) -> int:
        return _AFTER_SPACE.match(self._text, self._at).end()  # type: ignore[union-attr] # it matches nothing, too

    def _next(self) -> tuple[str, bytes]:
        """The next token and its kind; an empty kind for what is none. `_at` stays before that."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise _TooLong
        token = _TOKEN.match(self._text, self._at)
        if token is None:
            self._start = self._after_space()
            return "", b""
        kind = str(token.lastgroup)
        self._start, self._at = token.start(kind), token.end()
        return kind, token[kind]

    def _refuse_missing_comma(self, closing: str, kind: str) -> NoReturn:
        if kind == "end":
            self._steps.pop()
            raise _Found(f"ends too early: the text stops before the closing {closing}")
        raise _Found(f"is not followed by a comma or {closing}, but by {self._shown()}")

    def _refuse_value(self, kind: str) -> NoReturn:
        if kind == "end":
            self._refuse_end()
        if self._text.startswith(b'"', self._start):
            self._refuse_string()
        word = _WORD.match(self._text, self._start)
        raise _Found(_why_not_a_value(word[0] if word else b"", self._shown()))

    def _refuse_end(self) -> NoReturn:
        if not self._steps:
            raise _Found("is empty")
        if self._steps[-1] == 0:
            self._steps.pop()
            raise _Found("ends too early: the text stops before the closing ]")
        raise _Found("ends too early: the text stops before the value")

    def _refuse_string(self) -> NoReturn:
        start = self._start
        at = _STRING_START.match(self._text, start).end()  # type: ignore[union-attr] # it starts with a quote
        bad = self._text[at : at + 1]
        _check_string(self._text[start:at])
        if not bad:
            raise _Found("ends too early: the text stops before the closing quote")
        if bad == b"\\":
            raise _Found(f"holds the escape {_shown(self._text[at : at + 2])}, which JSON does not have")
        raise _Found(f"holds the control character U+{bad[0]:04X} unescaped; JSON.stringify escapes it")

    def _shown(self) -> str:
        return _shown(self._text[self._start : self._start + _MOST_SHOWN + 1])


def _why_not_a_value(word: bytes, shown: str) -> str:
    if word in _NOT_A_NUMBER:
        return f"is {word.decode()}, which JSON does not have; write null, or another number"
    if word == b"undefined":
        return "is undefined, which JSON does not have; write null, or leave it out"
    if word[:1].isdigit() or word[:1] in (b"-", b"+", b"."):
        return f"is {_shown(word)}, which is not a number in JSON"
    if word.startswith((b"//", b"/*")):
        return "has a comment, which JSON does not have"
    return f"is {shown}, which is not JSON: text stands in double quotes"


def _check_number(number: bytes) -> None:
    try:
        check_number(number.decode())
    except UnstorableNumber as error:
        raise _Found(str(error)) from None


def _check_string(string: bytes) -> None:
    if not string.isascii():
        try:
            string.decode()
        except UnicodeDecodeError as error:
            raise _Found(f"is not UTF-8: {error.reason}") from None
    if b"\\u" not in string:
        return
    at = _UNTIL_BAD_ESCAPE.match(string).end()  # type: ignore[union-attr] # it matches nothing, too
    if string.startswith(b"\\u0000", at):
        raise _Found("holds the NUL character (\\u0000), which Postgres JSONB cannot hold")
    if string.startswith(b"\\u", at):
        escape = string[at : at + 6].decode(errors="replace")
        raise _Found(f"holds half of a surrogate pair ({escape}), which is not Unicode text")


def _shown(text: bytes) -> str:
    """The beginning of a text, for a message."""
    shown = text[:_MOST_SHOWN].decode(errors="replace")
    shown = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in shown)
    return f"`{shown}{'…' if len(text) > _MOST_SHOWN else ''}`"


def _step(step: int | bytes | None) -> str:
    if step is None:
        return ""
    if isinstance(step, int):
        return f"[{step}]"
    name = step[:_MOST_SHOWN].decode(errors="replace") + ("…" if len(step) > _MOST_SHOWN else "")
    return f".{name}" if _NAME.fullmatch(name.removesuffix("…")) else f'["{name}"]'
