"""What the client commands have in common."""

import os
from typing import Annotated

import typer

from projectnil.cli.client import Client
from projectnil.config import read_settings

Url = Annotated[
    str | None,
    typer.Option("--url", help=r"where projectnil is; or PROJECTNIL_URL  \[default: http://127.0.0.1:8080]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts")]


def client_of(url: str | None) -> Client:
    """To the platform at this URL, or the one the environment names."""
    return Client(read_settings(os.environ, url=url).url)
