"""Output for people on a terminal, and as JSON for scripts."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.text import Text

__all__ = ["escape"]  # markup must not be read out of what users wrote

Json = dict[str, Any]

out = Console(highlight=False, soft_wrap=True)
if not out.is_terminal:
    # A line of a table stays one line, whatever reads it.
    out.width = 10_000
err = Console(stderr=True, highlight=False, soft_wrap=True)

_COLOURS = {"READY": "green", "COMPLETED": "green", "FAILED": "red", "RUNNING": "yellow"}


def print_json(value: Any) -> None:
    """For scripts: one JSON document on standard output."""
    print_text(json.dumps(value, indent=2, ensure_ascii=False))


def print_text(text: str) -> None:
    """Text that is not to be coloured, wrapped or read as markup."""
    sys.stdout.write(text + "\n")


def status_text(status: str) -> str:
    return f"[{_COLOURS.get(status, 'yellow')}]{status}[/]"


def when(timestamp: str | None) -> str:
    """A timestamp of the API in the reader's own time zone."""
    if timestamp is None:
        return "-"
    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(execution: Json) -> str:
    """How long an execution took, in milliseconds."""
    begin, end = execution["startedAt"] or execution["createdAt"], execution["completedAt"]
    if end is None:
        return "-"
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
    return f"{seconds * 1000:.1f} ms"


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def path_segment(text: str) -> str:
    return quote(text, safe="")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns that line up, one line a row; a narrow terminal cuts the line at its end, where the last column is."""
    table = [[Text(column, style="bold") for column in columns]]
    table += [[Text.from_markup(cell) for cell in row] for row in rows]
    widths = [max(row[number].cell_len for row in table) for number in range(len(columns) - 1)]
    for row in table:
        line = Text()
        for cell, width in zip(row, [*widths, 0], strict=True):
            cell.pad_right(max(width - cell.cell_len, 0) + 2 if width else 0)
            line.append_text(cell)
        line.rstrip()
        out.print(line, no_wrap=True, overflow="ellipsis", crop=True, soft_wrap=False)


def print_fields(fields: Json) -> None:
    width = max(map(len, fields)) + 2
    for name, value in fields.items():
        out.print(f"[bold]{name:<{width}}[/]{value}")


def print_source(source: str) -> None:
    out.print()
    out.print(Syntax(source, "typescript", background_color="default") if out.is_terminal else escape(source))


def print_failure(message: str) -> None:
    """Something the function or the compiler said, or a problem; never read as markup."""
    err.print(f"[red]{escape(message)}[/]")


def print_logs(logs: str | None) -> None:
    if logs:
        err.print(escape(logs.rstrip("\n")), style="dim")


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Turns while the block runs, on a terminal; silent elsewhere."""
    with err.status(text) if err.is_terminal else _nothing():
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield
