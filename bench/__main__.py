"""`python -m bench [SECTION ...]`: measure, print, and write to bench/results/. `make bench` runs every section."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import cold, command_line, compiling, durable, fairness, growth, machine, report, sandbox
from bench.measurement import Section
from bench.scale import FULL, SMOKE, Scale

SECTIONS: dict[str, Callable[[Scale, Path], Section]] = {
    "durable": durable.measure,
    "sandbox": sandbox.measure,
    "compile": compiling.measure,
    "cold": cold.measure,
    "growth": growth.measure,
    "fairness": fairness.measure,
    "command-line": command_line.measure,
}
_RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all when none")
    parser.add_argument("--smoke", action="store_true", help="only see that everything works; the figures mean nothing")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="the folder for the results")
    options = parser.parse_args()
    unknown = sorted(set(options.sections) - set(SECTIONS))
    if unknown:
        parser.error(f"no such section: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    scale = SMOKE if options.smoke else FULL
    written = report.Report(options.results, machine.describe(), scale)
    with tempfile.TemporaryDirectory(prefix="projectnil-bench-") as folder:
        # The embedded server runs as a user of its own when we are root, and must reach its cluster.
        Path(folder).chmod(0o711)
        for name in options.sections or SECTIONS:
            written.add(SECTIONS[name](scale, Path(folder)))
    print(f"written to {written.markdown}")


if __name__ == "__main__":
    main()
