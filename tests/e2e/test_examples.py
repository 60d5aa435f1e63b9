"""Every example is deployed, run, and does what it says."""

import json
from pathlib import Path

import httpx
import pytest

from tests.support.functions import execute, ready

EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[2] / "examples").glob("*/function.ts"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_turns_its_input_into_its_output(http: httpx.Client, example: Path) -> None:
    function_id = ready(http, (example / "function.ts").read_text(), example.name)
    result = execute(http, function_id, json.loads((example / "input.json").read_text()))
    assert (result["status"], result["errorMessage"]) == ("COMPLETED", None)
    assert result["output"] == json.loads((example / "output.json").read_text())
    bad_input = example / "bad-input.json"
    if bad_input.exists():
        result = execute(http, function_id, json.loads(bad_input.read_text()))
        assert result["status"] == "FAILED"
        assert (example / "error.txt").read_text().strip() in result["errorMessage"]
