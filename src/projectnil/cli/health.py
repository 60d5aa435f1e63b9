"""`pnil health`: does each part of a platform do its work?"""

from typing import Any

import typer

from projectnil.cli import output
from projectnil.cli.options import AsJson, Url, client_of

Json = dict[str, Any]


def health(url: Url = None, as_json: AsJson = False) -> None:
    """Tell how each part is; exit with 1 when the platform is DOWN: functions cannot be run."""
    with client_of(url) as client:
        found = client.health()
    if as_json:
        output.print_json(found)
    else:
        parts = {name: _part(part) for name, part in found.items() if name != "status"}
        output.print_fields({"platform": output.status_text(found["status"]), **parts})
    if found["status"] == "DOWN":
        raise typer.Exit(1)


def _part(part: Json) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in part.get("counts", {}).items())
    about = "; ".join(text for text in (output.escape(part.get("detail", "")), counts) if text)
    return f"{output.status_text(part['status'])}  {about}".rstrip()
