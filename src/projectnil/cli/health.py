"""`pnil health`: does each part of a platform do its work?"""

from argparse import ArgumentParser, Namespace
from typing import Any

from projectnil.cli import output
from projectnil.cli.options import add_common, client_of
from projectnil.domain.text import visible_line

Json = dict[str, Any]


def health_arguments(parser: ArgumentParser) -> None:
    add_common(parser)


def health(options: Namespace) -> int:
    """Exits with 1 when the platform is DOWN: functions cannot be run."""
    with client_of(options) as client:
        found = client.health()
    if options.as_json:
        output.print_json(found)
    else:
        parts = {name: _part(part) for name, part in found.items() if name != "status"}
        output.print_fields({"platform": output.status_text(found["status"]), **parts})
    return 1 if found["status"] == "DOWN" else 0


def _part(part: Json) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in part.get("counts", {}).items())
    about = "; ".join(text for text in (part.get("detail", ""), counts) if text)
    return f"{output.status_text(part['status'])}  {visible_line(about)}".rstrip()
