"""The benchmarks work. What they find is no matter of tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import SECTIONS

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("section", SECTIONS)
def test_a_benchmark_runs_and_writes_what_it_found(section: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", section, "--smoke", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (as_json,) = tmp_path.glob("*.json")
    results = json.loads(as_json.read_text())
    assert [section["name"] for section in results["sections"]] == [section]
    rows = [row for section in results["sections"] for row in section["rows"]]
    for row in rows:
        least = (
            0 if row["what"].startswith("CPU of") else 1e-9
        )  # CPU time is told in steps of 10 ms, and this run is short
        assert all(figure >= least for figure in [*row["ours"], *row["theirs"]]), row
    assert all(len(row["theirs"]) in (0, len(row["ours"])) for row in rows)
    assert as_json.with_suffix(".md").read_text().count("\n## ") == 1


def test_a_section_that_does_not_exist_is_named_with_those_that_do() -> None:
    command = [sys.executable, "-m", "bench", "sandboxes"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no such section: sandboxes" in done.stderr
    assert "fairness" in done.stderr
