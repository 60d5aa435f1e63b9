"""JSON whose numbers stay as they came: `1.10` stays `1.10`, and 30 digits stay 30."""

import json
from typing import Any

from projectnil.domain.text import visible_line

_quote = json.JSONEncoder(ensure_ascii=False).encode


class Number(str):
    """A JSON number, spelled as it came."""

    __slots__ = ()


def parse(text: bytes | str) -> Any:
    """A JSON value in dicts, lists and strings; its numbers are `Number`. Raises ValueError, which says why."""
    try:
        return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def write(value: Any, *, indent: int | None = None, for_terminal: bool = False) -> str:
    """The JSON text of what `parse` returned.

    indent: spaces for each level; None for a single line. for_terminal: control characters are escaped, which JSON does
    not ask for in all cases and which changes no value.
    """
    pieces: list[str] = []
    line_break = "\n" if indent is not None else ""
    _write(value, pieces.append, line_break, " " * (indent or 0), "," + (line_break or " "))
    text = "".join(pieces)
    # Outside strings there are none but the line breaks of ours.
    return "\n".join(map(visible_line, text.split("\n"))) if for_terminal else text


def kind(value: Any) -> str:
    """What a value that `parse` returned is, in words."""
    if value is None or isinstance(value, bool):
        return _quote(value)
    if isinstance(value, Number):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def _write(value: Any, add: Any, line_break: str, step: str, comma: str) -> None:
    if isinstance(value, Number):
        add(value)
    elif isinstance(value, dict | list) and value:
        inner_break, inner_comma = (line_break + step, comma + step) if line_break else ("", comma)
        is_object = isinstance(value, dict)
        add("{" if is_object else "[")
        lead = inner_break
        for item in value:
            add(lead)
            if is_object:
                add(_quote(item) + ": ")
            _write(value[item] if is_object else item, add, inner_break, step, inner_comma)
            lead = inner_comma
        add(line_break + ("}" if is_object else "]"))
    else:
        add(_quote(value))


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
