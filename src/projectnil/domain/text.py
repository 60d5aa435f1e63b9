"""Text that Postgres can hold, text that a terminal can show, and plain words."""

import re

# msgspec's words for kinds of values, in those of JSON.
_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
}
_WRONG_KIND = re.compile(r"Expected `(?P<wanted>[a-z |]+)`, got `(?P<given>[a-z]+)`$")

# What a terminal obeys instead of showing it, and what it shows as nothing: C0 and C1 controls (ECMA-48), the controls
# of bidirectional text (Unicode Standard Annex #9), separators, characters of no width; and halves of characters.
# Not those that join emoji and letters (U+200C, U+200D).
_UNSEEN = "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
_unseen = re.compile(f"[{_UNSEEN}]").sub
_unseen_in_a_line = re.compile(f"[\t\n{_UNSEEN}]").sub
_SHORT_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def wrong_kind(message: str) -> tuple[str, str] | None:
    """What msgspec wanted, and what it was given, in plain words; None for any other message.

    Of "Expected `str | null`, got `int`" it is "text or null" and "a whole number".
    """
    found = _WRONG_KIND.match(message)
    if found is None:
        return None
    wanted = " or ".join(_KINDS.get(kind, kind) for kind in found["wanted"].split(" | "))
    return wanted, _KINDS.get(found["given"], found["given"])


def storable(text: str) -> str:
    """Text with U+0000, which Postgres text cannot hold, shown as a replacement character."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text


def visible(text: str) -> str:
    """Text of any number of lines that can do nothing to a terminal: control characters are shown as JSON escapes."""
    return _unseen(_escape, text.replace("\r\n", "\n"))


def visible_line(text: str) -> str:
    """As `visible`, and line breaks and tabs are shown as escapes too."""
    return _unseen_in_a_line(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return _SHORT_ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}"
