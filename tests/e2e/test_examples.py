"""Every example is deployed, run, and does what it says."""

import json
from pathlib import Path

import httpx
import pytest

from tests.support.functions import Json, execute, ready


def order(cents: int = 250, quantity: int = 1) -> Json:
    return {"customer": {"name": "Ada"}, "items": [{"sku": "pen", "quantity": quantity, "cents": cents}]}


EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[2] / "examples").glob("*/function.ts"))

# Legal inputs that are not what somebody who copies an example would try first: what comes of them, or the error.
Hostile = tuple[Json, Json | str]
HOSTILE: dict[str, list[Hostile]] = {
    "add": [
        ({}, {"count": 0, "sum": 0}),
        ({"numbers": [1e300, -1e300, 0.5]}, {"count": 3, "sum": 0.5}),
    ],
    "hello": [
        ({"name": "\"\\\u0001\U0001f98a</"}, {"greeting": "Hello, \"\\\u0001\U0001f98a</!"}),
        ({"name": ""}, {"greeting": "Hello, !"}),
    ],
    "csv-to-json": [
        ({"csv": ""}, {"rows": []}),
        ({"csv": "a,b\r\n1,\"x\r\ny\"\r\n"}, {"rows": [{"a": "1", "b": "x\r\ny"}]}),
        ({"csv": "a\n1", "separator": ""}, "separator must be one character"),
        ({"csv": "a\n1", "separator": "::"}, "separator must be one character"),
        ({"csv": 'a\n"1"2'}, "text after a quoted field, at character 6"),
        ({"csv": "a,a\n1,2"}, 'the header has two fields of the name "a"'),
    ],
    "days-between": [
        ({"from": "2023-02-29", "to": "2023-03-01"}, 'from: "2023-02-29" is not a date such as'),
        ({"from": "garbage-xx", "to": "2023-03-01"}, 'from: "garbage-xx" is not a date'),
        (
            {"from": "2024-02-28", "to": "2024-02-28"},
            {"days": 0, "workingDays": 0, "startsOn": "Wednesday", "lastDay": ""},
        ),
    ],
    "flatten": [
        ({}, {}),
        ({"a": {"b": {}, "c": [], "d": None}}, {"a.b": {}, "a.c": [], "a.d": None}),
        ({"a": {"b": 1}, "a.b": 2}, 'two values have the key "a.b"'),
        ({"": {"": 1}}, {"": 1}),
    ],
    "luhn": [
        ({"numbers": ["", "4539 1488 0343 6467"]}, {"verdicts": [
            {"number": "", "valid": False, "reason": "too short"}, {"number": "4539 1488 0343 6467", "valid": True},
        ]}),
    ],
    "markdown": [
        ({"markdown": "# a\r\n\r\n- b\r\n- c"}, {"html": "<h1>a</h1>\n<ul><li>b</li><li>c</li></ul>"}),
        ({"markdown": "`a**b` **c `d` e** 2 ** 3"}, {
            "html": "<p><code>a&#42;&#42;b</code> <strong>c <code>d</code> e</strong> 2 ** 3</p>"
        }),
        ({"markdown": "<b> & `"}, {"html": "<p>&lt;b&gt; &amp; `</p>"}),
    ],
    "order-total": [
        (order(cents=10_000_001), "items[0].cents must be at most 10000000"),
        (order(quantity=100_001), "items[0].quantity must be at most 100000"),
        (order(cents=10_000_000, quantity=100_000), {
            "customer": "Ada", "lines": [{"sku": "pen", "cents": 10**12}], "discountCents": 0,
            "taxCents": 19 * 10**10, "totalCents": 119 * 10**10,
        }),
    ],
    "slugify": [
        ({"title": "Cafe\u0301s \U0001f98a & Bars"}, {"slug": "cafes-bars"}),
        ({"title": "a b c", "maxLength": 2}, {"slug": "a"}),
        ({"title": "a b c", "maxLength": -1}, "maxLength must be at least 1"),
    ],
    "statistics": [
        ({"values": []}, {
            "count": 0, "missing": 0, "mean": None, "median": None, "deviation": None, "movingAverage": [],
        }),
        ({"values": [1], "window": 0}, "window must be at least 1"),
    ],
    "word-count": [
        ({"text": "one\r\ntwo\tone", "top": 1}, {
            "characters": 12, "words": 3, "top": [{"word": "one", "count": 2}],
        }),
        ({"text": "a", "top": -1}, "top must not be negative"),
    ],
}  # fmt: skip


def check_hostile(http: httpx.Client, function_id: str, example: str) -> None:
    for given, wanted in HOSTILE[example]:
        result = execute(http, function_id, given)
        if isinstance(wanted, str):
            assert result["status"] == "FAILED", given
            assert wanted in result["errorMessage"]
        else:
            assert (result["output"], result["errorMessage"]) == (wanted, None), given


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_turns_its_input_into_its_output(http: httpx.Client, example: Path) -> None:
    function_id = ready(http, (example / "function.ts").read_text(), example.name)
    result = execute(http, function_id, json.loads((example / "input.json").read_text()))
    assert (result["status"], result["errorMessage"]) == ("COMPLETED", None)
    assert result["output"] == json.loads((example / "output.json").read_text())
    check_hostile(http, function_id, example.name)
    bad_input = example / "bad-input.json"
    if bad_input.exists():
        result = execute(http, function_id, json.loads(bad_input.read_text()))
        assert result["status"] == "FAILED"
        assert (example / "error.txt").read_text().strip() in result["errorMessage"]
