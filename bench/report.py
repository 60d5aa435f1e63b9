"""The results as a table on the terminal, and as files: Markdown for people, JSON for programs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table

from bench.measurement import Row, Section, number, with_spread

_WIDTH = 150
_HEADINGS = ("what", "unit", "projectnil", "baseline", "its figure", "ratio", "goal")


def show(section: Section) -> None:
    """Print one section."""
    table = Table(*_HEADINGS, title=section.title, caption=section.note, title_justify="left", caption_justify="left")
    for row in section.rows:
        table.add_row(*_cells(row))
    console = Console()
    console.width = max(console.width, _WIDTH)
    console.print(table)


def write(folder: Path, machine: Mapping[str, str], sections: Sequence[Section]) -> Path:
    """Write both files, named by the moment; returns the Markdown's path."""
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    results = {"machine": machine, "sections": sections}
    name.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    markdown = name.with_suffix(".md")
    markdown.write_text("\n".join(_markdown(machine, sections)))
    return markdown


def _markdown(machine: Mapping[str, str], sections: Sequence[Section]) -> list[str]:
    lines = ["# Benchmark results", "", "Medians of the runs, in brackets the smallest and the largest.", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    for section in sections:
        lines += ["", f"## {section.title}", "", section.note, "", _line(_HEADINGS), _line(["---"] * len(_HEADINGS))]
        lines += [_line(_cells(row)) for row in section.rows]
    return [*lines, ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row) -> list[str]:
    ratios = row.ratios
    goal = ""
    if row.goal is not None and ratios:
        goal = f"{row.goal}: {'met' if row.goal.is_met(median(ratios)) else 'missed'}"
    theirs = number(median(row.theirs)) if row.theirs else ""
    return [row.what, row.unit, with_spread(row.ours), row.baseline or "", theirs, with_spread(ratios), goal]
