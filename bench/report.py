"""The results as a table on the terminal, and as files: Markdown for people, JSON for programs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table

from bench.measurement import Row, Section, number, with_spread
from bench.scale import Scale

_WIDTH = 150
_HEADINGS = ("what", "unit", "projectnil", "baseline", "its figure", "ratio", "goal")


class Report:
    """A run, printed and written section by section: what is measured is not lost when a later section fails."""

    def __init__(self, folder: Path, machine: Mapping[str, str], scale: Scale) -> None:
        """folder: for both files, which are named by this moment."""
        folder.mkdir(parents=True, exist_ok=True)
        self.markdown = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.md"
        self._machine = machine
        self._is_smoke = scale.is_smoke
        self._sections: list[Section] = []

    def add(self, section: Section) -> None:
        """Print one more section, and write all there are."""
        self._sections.append(section)
        self._show(section)
        results = {"isSmoke": self._is_smoke, "machine": self._machine, "sections": self._sections}
        as_json = msgspec.json.format(msgspec.json.encode(results), indent=1)
        self.markdown.with_suffix(".json").write_bytes(as_json)
        self.markdown.write_text("\n".join(self._lines()))

    def _show(self, section: Section) -> None:
        table = Table(
            *_HEADINGS, title=section.title, caption=section.note, title_justify="left", caption_justify="left"
        )
        for row in section.rows:
            table.add_row(*self._cells(row))
        console = Console()
        console.width = max(console.width, _WIDTH)
        console.print(table)

    def _lines(self) -> list[str]:
        lines = ["# Benchmark results", "", "Medians of the runs, in brackets the smallest and the largest.", ""]
        if self._is_smoke:
            lines += ["**A smoke run: it shows that everything works, and its figures mean nothing.**", ""]
        lines += [f"- {name}: {value}" for name, value in self._machine.items()]
        for section in self._sections:
            lines += [
                "",
                f"## {section.title}",
                "",
                section.note,
                "",
                _line(_HEADINGS),
                _line(["---"] * len(_HEADINGS)),
            ]
            lines += [_line(self._cells(row)) for row in section.rows]
        return [*lines, ""]

    def _cells(self, row: Row) -> list[str]:
        ratios = row.ratios
        goal = "" if row.goal is None else str(row.goal)
        if row.goal is not None and ratios and not self._is_smoke:
            goal += f": {'met' if row.goal.is_met(median(ratios)) else 'missed'}"
        theirs = number(median(row.theirs)) if row.theirs else ""
        return [row.what, row.unit, with_spread(row.ours), row.baseline or "", theirs, with_spread(ratios), goal]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
