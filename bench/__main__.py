"""`python -m bench [SECTION ...]`: measure, print, and write to bench/results/. `make bench` runs every section."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench import cold, compiling, durable, fairness, growth, machine, report, sandbox
from bench.measurement import Section
from bench.scale import FULL, SMOKE, Scale

SECTIONS: dict[str, Callable[[Scale, Path], Section]] = {
    "durable": durable.measure,
    "sandbox": sandbox.measure,
    "compile": compiling.measure,
    "cold": cold.measure,
    "growth": growth.measure,
    "fairness": fairness.measure,
}
_RESULTS = Path(__file__).parent / "results"


def main(
    sections: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(SECTIONS)}; all when none.")] = None,
    smoke: Annotated[bool, typer.Option(help="Only see that everything works; the figures mean nothing.")] = False,
    results: Annotated[Path, typer.Option(help="The folder for the results.")] = _RESULTS,
) -> None:
    """Measure, print, and write the results."""
    unknown = sorted(set(sections or ()) - set(SECTIONS))
    if unknown:
        raise typer.BadParameter(f"no such section: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    scale = SMOKE if smoke else FULL
    written = report.Report(results, machine.describe(), scale)
    with tempfile.TemporaryDirectory(prefix="projectnil-bench-") as folder:
        # The embedded server runs as a user of its own when we are root, and must reach its cluster.
        Path(folder).chmod(0o711)
        for name in sections or SECTIONS:
            written.add(SECTIONS[name](scale, Path(folder)))
    print(f"written to {written.markdown}")


if __name__ == "__main__":
    typer.run(main)
