"""Output for people on a terminal, and as JSON for scripts.

Whatever people see has its control characters made visible: names, logs and messages are other people's text.
"""

import os
import shutil
import sys
import unicodedata
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, TextIO

from projectnil.cli import exact_json
from projectnil.domain.text import visible, visible_line

Json = dict[str, Any]

# Select Graphic Rendition (ECMA-48, 8.3.117).
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_STATUS_STYLES = {"READY": "green", "COMPLETED": "green", "UP": "green", "FAILED": "red", "DOWN": "red"}
_ELLIPSIS = "…"
_GAP = "  "


class Column(NamedTuple):
    """worth: a narrow terminal goes without the columns of least worth. Those below ESSENTIAL go before others are cut.

    fair: the width it is not cut below for their sake, in cells. least: nor ever; None: it is not cut at all.
    """

    title: str
    worth: int
    fair: int | None = None
    least: int | None = None


ESSENTIAL = 6  # of worth


def print_json(value: Any) -> None:
    """For scripts: one JSON document on standard output, its numbers as they came."""
    sys.stdout.write(exact_json.write(value, indent=2, for_terminal=sys.stdout.isatty()) + "\n")


def print_line(text: str) -> None:
    """A line on standard output, which may be styled."""
    sys.stdout.write(text + "\n")


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """Text of one line in a colour, or bold or dim, where `stream` (by default standard output) shows that."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if _shows_colours(stream or sys.stdout) else text


def status_text(status: str) -> str:
    return styled(visible_line(status), _STATUS_STYLES.get(status, "yellow"))


def when(timestamp: str | None) -> str:
    """A timestamp of the API in the reader's own time zone."""
    if timestamp is None:
        return "-"
    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(execution: Json) -> str:
    """How long an execution took."""
    if execution["durationMs"] is None:
        return "-"
    return milliseconds(execution["durationMs"])


def milliseconds(time_ms: Any) -> str:
    """A time as people read it."""
    # 999.96 ms is not 1000.0 ms.
    return f"{float(time_ms):.1f} ms" if float(time_ms) < 999.95 else f"{float(time_ms) / 1000:.1f} s"


def compact(value: Any) -> str:
    """JSON on one line."""
    return visible_line(exact_json.write(value))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, wide: bool) -> None:
    """Rows that line up, one line each. On a terminal, unless it is to be wide, they are fitted to its width."""
    rows = [[visible_line(cell) for cell in row] for row in rows]
    widths = [max(cells(cell) for cell in column) for column in zip([c.title for c in columns], *rows, strict=True)]
    if sys.stdout.isatty() and not wide:
        _fit(columns, widths, shutil.get_terminal_size().columns)
    for number, row in enumerate([[column.title for column in columns], *rows]):
        parts = [_padded(cell, width) for cell, width in zip(row, widths, strict=True) if width]
        line = _GAP.join(parts).rstrip()
        print_line(styled(line, "bold") if number == 0 else _coloured(line, row))


def print_items(
    items: Sequence[Json], columns: Sequence[Column], row: Callable[[Json, bool], list[str]], options: Namespace
) -> None:
    """A list of the API's, as a table or with `--json`. row: the cells of an item, in full where it is to be wide."""
    if options.as_json:
        print_json(items)
    else:
        print_table(columns, [row(item, options.wide) for item in items], wide=options.wide)


def _fit(columns: Sequence[Column], widths: list[int], available: int) -> None:
    """Make `widths` fit: columns of least worth get 0, the lesser ones first, and those that can be cut are cut."""
    for number, column in enumerate(columns):
        if column.least:
            widths[number] = min(widths[number], available)
    _leave_out(columns, widths, available)
    while _excess(widths, available) > 0:
        shrinkable = [at for at, column in enumerate(columns) if column.least and widths[at] > column.least]
        if not shrinkable:
            return
        widths[max(shrinkable, key=lambda at: widths[at] / (columns[at].fair or 1))] -= 1


def _leave_out(columns: Sequence[Column], widths: list[int], available: int) -> None:
    by_worth = sorted(range(len(columns)), key=lambda at: columns[at].worth)
    lesser = [at for at in by_worth if columns[at].worth < ESSENTIAL]
    fair = [column.fair for column in columns]
    least = [column.least for column in columns]
    for numbers, floors in ((lesser, fair), (by_worth, least)):
        for number in numbers:
            slack = sum(max(width - floor, 0) for floor, width in zip(floors, widths, strict=True) if floor)
            if _excess(widths, available) > slack:
                widths[number] = 0


def _excess(widths: Sequence[int], available: int) -> int:
    shown = [width for width in widths if width]
    return sum(shown) + len(_GAP) * (len(shown) - 1) - available


def _padded(cell: str, width: int) -> str:
    missing = width - cells(cell)
    if missing >= 0:
        return cell + " " * missing
    kept = cell
    while cells(kept) >= width:
        kept = kept[:-1]
    return kept + _ELLIPSIS + " " * (width - cells(kept) - 1)


def _coloured(line: str, row: Sequence[str]) -> str:
    status = next((cell for cell in row if cell in _STATUS_STYLES), None)
    return line.replace(f" {status}", f" {status_text(status)}", 1) if status else line


def cells(text: str) -> int:
    """How many cells of a terminal a text takes (Unicode Standard Annex #11)."""
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def print_fields(fields: Json) -> None:
    """Names and values, which must be of one line."""
    width = max(map(len, fields)) + 2
    for name, value in fields.items():
        print_line(styled(f"{name:<{width}}", "bold") + str(value))


def print_deleted(identifier: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": identifier})
    else:
        print_line(f"deleted {identifier}")


def print_text(text: str, style: str | None = None) -> None:
    """Text of any number of lines from someone else."""
    for line in visible(text).split("\n"):
        print_line(styled(line, style) if style and line else line)


def print_failure(message: str) -> None:
    """Something the function or the compiler said, or a problem."""
    _print_error(message, "red")


def print_note(message: str) -> None:
    _print_error(message, "yellow")


def print_logs(logs: str | None) -> None:
    if logs:
        _print_error(logs.rstrip("\n"), "dim")


def _print_error(message: str, style: str) -> None:
    lines = [styled(line, style, sys.stderr) if line else "" for line in visible(message).split("\n")]
    sys.stderr.write("\n".join(lines) + "\n")


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Says what is being waited for, on a terminal, while the block runs; silent elsewhere."""
    shown = _shows_colours(sys.stderr)
    if shown:
        sys.stderr.write(styled(f"{text} {_ELLIPSIS}", "dim", sys.stderr))
        sys.stderr.flush()
    try:
        yield
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")  # Erase in Line (ECMA-48, 8.3.41)
            sys.stderr.flush()


def confirmed(question: str) -> bool:
    """Ask on the terminal. The end of input is a no."""
    sys.stderr.write(visible(question) + " [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _shows_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
