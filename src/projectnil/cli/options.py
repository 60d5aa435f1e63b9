"""What the client commands have in common."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from typing import Any

from projectnil.cli.client import Client
from projectnil.cli.completers import function_names, offer, statuses
from projectnil.domain.addresses import DEFAULT_URL, URL_VARIABLE, url_of_environment


def add_common(parser: ArgumentParser) -> None:
    """`--url` and `--json`"""
    parser.add_argument("--url", help=f"where projectnil is; or {URL_VARIABLE} (default: {DEFAULT_URL})")
    parser.add_argument("--json", action="store_true", dest="as_json", help="JSON on standard output, for scripts")


def add_function(parser: ArgumentParser, **more: Any) -> None:
    """The function that a command is about."""
    about = "a function's name, its id, or the id's last 8 digits"
    offer(parser.add_argument("function", metavar="NAME|ID", type=filled, help=about, **more), function_names)


def add_list_options(parser: ArgumentParser, choices: Sequence[str], limit: int) -> None:
    """`--status`, one of `choices`, `--limit` and `--wide`"""

    def status_of(text: str) -> str:
        if text.upper() not in choices:
            raise ArgumentTypeError(f"must be one of {', '.join(choices)}; it is {text[:100]!r}")
        return text.upper()

    about = f"only these: {', '.join(choices)}"
    status = parser.add_argument("--status", type=status_of, choices=choices, metavar="STATUS", help=about)
    offer(status, statuses)
    parser.add_argument(
        "--limit", type=_at_least_one, default=limit, help="maximum number of items (default: %(default)s)"
    )
    parser.add_argument("--wide", action="store_true", help="whole ids, and nothing cut to the terminal's width")


def client_of(options: Namespace) -> Client:
    """To the platform at `--url`, or the one the environment names."""
    url: str | None = options.url
    return Client(url if url is not None else url_of_environment(os.environ))


def filled(text: str) -> str:
    """An argument that must not be empty, which most often is a shell variable that is not set."""
    if not text.strip():
        raise ArgumentTypeError("must not be empty")
    return text


def _at_least_one(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"must be a whole number of at least 1; it is {text[:100]!r}")
    return number
