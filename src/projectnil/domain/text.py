"""Text that Postgres can hold, and text that people can read."""

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
