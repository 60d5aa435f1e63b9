"""What the benchmarks say: figures of ours beside a baseline's of the same run, and what the goal is."""

from collections.abc import Sequence
from statistics import median

import msgspec


class Goal(msgspec.Struct, frozen=True):
    """What the median of the ratios should be: at least, or at most."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"

    def is_met(self, ratio: float) -> bool:
        if self.at_least is not None:
            return ratio >= self.at_least
        return self.at_most is None or ratio <= self.at_most


class Row(msgspec.Struct, kw_only=True):
    """One thing that is measured once in every run. ours, theirs: one figure for each run, in `unit`."""

    what: str
    unit: str
    baseline: str | None = None
    goal: Goal | None = None
    ours: list[float] = []
    theirs: list[float] = []

    def add(self, ours: float, theirs: float | None = None) -> None:
        """The figures of one run; theirs where there is a baseline."""
        self.ours.append(ours)
        if theirs is not None:
            self.theirs.append(theirs)

    @property
    def ratios(self) -> list[float]:
        """Ours over the baseline's, run by run."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)] if self.theirs else []


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one benchmark. note: how they were measured, in a sentence or two."""

    name: str
    title: str
    note: str
    rows: list[Row]


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which `part` of them lie, by the nearest rank. At least one value."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def number(value: float) -> str:
    """Three significant digits, without exponents."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def with_spread(values: Sequence[float]) -> str:
    """The median, and in brackets the smallest and the largest: `12.1 (11.9-13.0)`."""
    if not values:
        return ""
    if len(values) == 1:
        return number(values[0])
    return f"{number(median(values))} ({number(min(values))}-{number(max(values))})"
