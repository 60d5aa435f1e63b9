"""What the client commands have in common."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from projectnil.cli.client import Client
from projectnil.cli.failures import CommandFailed
from projectnil.domain.addresses import DEFAULT_URL, URL_VARIABLE


def add_common(parser: ArgumentParser) -> None:
    """`--url` and `--json`"""
    parser.add_argument("--url", help=f"where projectnil is; or {URL_VARIABLE} (default: {DEFAULT_URL})")
    parser.add_argument("--json", action="store_true", dest="as_json", help="JSON on standard output, for scripts")


def add_function(parser: ArgumentParser, **more: Any) -> None:
    """The function that a command is about."""
    about = "a function's name, its id, or the id's last 8 digits"
    argument = parser.add_argument("function", metavar="NAME|ID", type=filled, help=about, **more)
    argument.completer = function_names  # type: ignore[attr-defined] # argcomplete looks for it there


def add_list_options(parser: ArgumentParser, statuses: Sequence[str], limit: int) -> None:
    """`--status`, `--limit` and `--wide`"""
    parser.add_argument("--status", type=str.upper, choices=statuses, metavar="STATUS", help=_one_of(statuses))
    parser.add_argument(
        "--limit", type=_at_least_one, default=limit, help="maximum number of items (default: %(default)s)"
    )
    parser.add_argument("--wide", action="store_true", help="whole ids, and nothing cut to the terminal's width")


def client_of(options: Namespace) -> Client:
    """To the platform at `--url`, or the one the environment names."""
    url: str | None = options.url
    return Client(url if url is not None else _url_of_environment())


def filled(text: str) -> str:
    """An argument that must not be empty, which most often is a shell variable that is not set."""
    if not text.strip():
        raise ArgumentTypeError("must not be empty")
    return text


def function_names(parsed_args: Namespace, **_: object) -> list[str]:
    """The names to choose from when a line is completed; none when the platform does not answer at once."""
    with suppress(CommandFailed), Client(getattr(parsed_args, "url", None) or _url_of_environment(), 1.0) as client:
        return [str(function["name"]) for function in client.get("/functions", limit=500)]
    return []


def _url_of_environment() -> str:
    return os.environ.get(URL_VARIABLE) or DEFAULT_URL


def _at_least_one(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"must be a whole number of at least 1; it is {text[:100]!r}")
    return number


def _one_of(statuses: Sequence[str]) -> str:
    return f"only these: {', '.join(statuses)}"
