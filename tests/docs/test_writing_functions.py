"""The guide to writing functions: each of its examples is deployed and run over HTTP.

Its convention: a ```ts block after `<!-- does not compile -->` must not compile. Any other is a whole function; the
blocks after it, up to the next ```ts, are runs of it: JSON after `<!-- input -->`, then JSON after `<!-- output -->` or
text after `<!-- error -->`, which the errorMessage must contain.
"""

import json

import msgspec
import pytest

from tests.docs.markdown import ROOT, Block, blocks
from tests.support.functions import execute, register, wait_compiled
from tests.support.platform import Platform

GUIDE = ROOT / "docs" / "writing-functions.md"
BROKEN = "does not compile"


class Example(msgspec.Struct, frozen=True):
    """A source, and pairs of input and outcome."""

    source: Block
    runs: list[tuple[Block, Block]]


def _examples() -> list[Example]:
    found: list[Example] = []
    given: Block | None = None
    for block in blocks(GUIDE):
        match block.language, block.marker:
            case "ts", _:
                found.append(Example(block, []))
            case "json", "input":
                given = block
            case _, "output" | "error":
                assert given is not None, f"{block.place}: an outcome without an input"
                found[-1].runs.append((given, block))
                given = None
            case _:
                raise AssertionError(f"{block.place}: no test knows what this block is")
    return found


EXAMPLES = _examples()


def _place(example: Example) -> str:
    return example.source.place


@pytest.mark.parametrize("example", [each for each in EXAMPLES if each.source.marker != BROKEN], ids=_place)
def test_an_example_answers_as_the_guide_shows(example: Example, platform: Platform) -> None:
    assert example.runs, "an example is shown with an input and what comes of it"
    with platform.client() as http:
        function_id = register(http, example.source.text, f"guide-{example.source.line}")
        details = wait_compiled(http, function_id)
        assert details["status"] == "READY", details["compileError"]
        for given, outcome in example.runs:
            result = execute(http, function_id, json.loads(given.text))
            if outcome.marker == "error":
                assert result["status"] == "FAILED"
                assert outcome.text in result["errorMessage"]
            else:
                assert result["errorMessage"] is None
                assert result["output"] == json.loads(outcome.text)


@pytest.mark.parametrize("example", [each for each in EXAMPLES if each.source.marker == BROKEN], ids=_place)
def test_what_the_guide_says_does_not_compile_does_not(example: Example, platform: Platform) -> None:
    assert not example.runs
    with platform.client() as http:
        details = wait_compiled(http, register(http, example.source.text, f"guide-{example.source.line}"))
        assert details["status"] == "FAILED"
        assert details["compileError"]


def test_the_guide_has_examples_of_both_kinds() -> None:
    kinds = {example.source.marker for example in EXAMPLES}
    assert BROKEN in kinds
    assert len(kinds) > 1
