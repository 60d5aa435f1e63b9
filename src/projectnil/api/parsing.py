"""From bytes to checked values. Everything here raises InvalidInput, naming the field, or TooLarge."""

import asyncio
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.requests import Request

from projectnil.domain.errors import InvalidInput, TooLarge
from projectnil.domain.ids import parse_id
from projectnil.domain.json_problems import find_problem
from projectnil.domain.json_text import UnstorableJson, canonical_json
from projectnil.domain.text import wrong_kind

Shape = TypeVar("Shape")
Choice = TypeVar("Choice", bound=StrEnum)

# msgspec's messages: "Expected `str`, got `int` - at `$.name`" and "Object missing required field `name`".
_AT_FIELD = re.compile(r"(?P<problem>.*) - at `\$\.?(?P<field>[^`]*)`$")
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<field>[^`]+)`$")
_SHORT_ID = re.compile(r"[0-9a-fA-F]{8}")
_NOTHING = msgspec.Raw()
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FIELDS_SHOWN = 5
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
# Reading more than this is done beside the event loop, which others wait for: it may take a microsecond a byte.
_LARGE_BYTES = 16 * 1024
# How far to look for what is wrong with a text, in tokens of a microsecond each.
_TOKENS_OF_SMALL, _TOKENS_OF_LARGE = 5_000, 100_000


def decode_body(body: bytes | bytearray, decoder: msgspec.json.Decoder[Shape]) -> Shape:
    """A JSON body in its shape; unknown fields are ignored."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid_field(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"the body is not valid JSON: {_why_malformed(body, error)}") from None


def refuse_body_without_input(body: bytes | bytearray, raw: msgspec.Raw) -> None:
    """A body that says something, and not in `input`: a misspelt name, or the input itself."""
    fields = [] if bytes(raw) else list(_fields.decode(body))
    if fields:
        shown = ", ".join(repr(name[:100]) for name in fields[:_FIELDS_SHOWN])
        more = f" and {len(fields) - _FIELDS_SHOWN} more" if len(fields) > _FIELDS_SHOWN else ""
        raise InvalidInput(f'is missing, and the body has {shown}{more}: send {{"input": {{...}}}}', "input")


async def input_object(raw: msgspec.Raw, most_bytes: int) -> bytes:
    """The `input` of an execution in canonical JSON: an object that can be stored; `{}` when absent or null."""
    text = bytes(raw).strip() if raw is not _NOTHING else b""
    if text in (b"", b"null"):
        return b"{}"
    if not text.startswith(b"{"):
        raise InvalidInput(f"must be a JSON object, and this is {_kind_of(text)}", "input")
    if len(text) > most_bytes:
        raise TooLarge("input", most_bytes, len(text))
    try:
        if len(text) > _LARGE_BYTES:
            return await asyncio.to_thread(canonical_json, text, _TOKENS_OF_LARGE)
        return canonical_json(text, _TOKENS_OF_SMALL)
    except UnstorableJson as error:
        raise InvalidInput(error.problem, f"input{error.path}") from None


def path_id(request: Request, what: str) -> str:
    """The `id` of the path."""
    text: str = request.path_params["id"]
    return _uuid(text, f"{what} id")


def path_name(request: Request) -> str:
    """The name in the path, as it was before it was URL-encoded."""
    try:
        name = unquote_to_bytes(request.path_params["name"]).decode()
    except UnicodeDecodeError:
        raise InvalidInput("must be UTF-8, URL-encoded", "name") from None
    if "\0" in name:
        raise InvalidInput("must not contain the NUL character (U+0000)", "name")
    return name


def query_id(request: Request, name: str) -> str | None:
    """A query parameter that must be an id."""
    text = request.query_params.get(name)
    return None if text is None else _uuid(text, name)


def query_time(request: Request, name: str) -> datetime | None:
    """A query parameter that must be a time of RFC 3339, with its offset; returned in UTC."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return msgspec.convert(text, _Time).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        wanted = "must be a time of RFC 3339, such as 2026-11-21T09:30:00Z (a + is written %2B)"
        raise InvalidInput(f"{wanted}; it is {text[:100]!r}", name) from None


def query_choice(request: Request, name: str, choices: type[Choice]) -> Choice | None:
    """A query parameter that must be one of an enum's values."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return choices(text)
    except ValueError:
        raise InvalidInput(f"must be one of {', '.join(choices)}; it is {text!r}", name) from None


def query_text(request: Request, name: str) -> str | None:
    """A query parameter that Postgres can compare text with."""
    text = request.query_params.get(name)
    if text is not None and "\0" in text:
        raise InvalidInput("must not contain the NUL character (U+0000)", name)
    return text


def query_short_id(request: Request) -> str | None:
    """`shortId`: the last 8 digits of an id."""
    text = request.query_params.get("shortId")
    if text is not None and not _SHORT_ID.fullmatch(text):
        raise InvalidInput(f"must be 8 hexadecimal digits, the last of an id; it is {text[:100]!r}", "shortId")
    return text.lower() if text is not None else None


def _uuid(text: str, field: str) -> str:
    identifier = parse_id(text)
    if identifier is None:
        raise InvalidInput(f"must be a UUID such as 0198c1a2-7d3e-7c55-9f0e-2b6f5a4c1d90; it is {text[:100]!r}", field)
    return identifier


def _invalid_field(message: str) -> InvalidInput:
    if missing := _MISSING_FIELD.match(message):
        return InvalidInput("is required", missing["field"])
    if located := _AT_FIELD.match(message):
        return InvalidInput(_in_plain_words(located["problem"]), located["field"] or None)
    prefix = "the body" if wrong_kind(message) else "the body is not what it must be:"
    return InvalidInput(f"{prefix} {_in_plain_words(message)}")


def _in_plain_words(message: str) -> str:
    kinds = wrong_kind(message)
    return f"must be {kinds[0]}, and this is {kinds[1]}" if kinds else message.replace("`", "")


def _why_malformed(body: bytes | bytearray, error: Exception) -> str:
    problem = find_problem(bytes(body), _TOKENS_OF_SMALL)
    if problem is None:
        return str(error).removeprefix("JSON is malformed: ")
    return f"{problem.path.removeprefix('.') or 'it'} {problem.words}"


def _kind_of(text: bytes) -> str:
    kinds = {b"[": "an array", b'"': "a string", b"t": "a boolean", b"f": "a boolean"}
    return kinds.get(text[:1], "a number")
