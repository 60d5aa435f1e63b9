"""Any JSON object through an echo function comes back equal, in the answer and in the record."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.functions import ECHO, ready
from tests.support.platform import Platform

SEEN = """
import { JSON } from "json-as";

export function handle(input: string): string {
  return JSON.stringify<string>(input);
}
"""
OUTPUT = """
export function handle(input: string): string {
  const big = "123456789012345678901234567890.123456789012345678901234567890";
  return '{"price":1.10, "big":' + big + ',"last":1,"l\\\\u0061st":2,"zero":-0}';
}
"""

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
OBJECTS = st.dictionaries(
    TEXT,
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=15),
)


def test_any_object_comes_back_equal(platform: Platform) -> None:
    with platform.client() as http:
        function_id = ready(http, ECHO, "echo")

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(OBJECTS)
        def comes_back(value: dict[str, Any]) -> None:
            _check(http, function_id, value)

        comes_back()


@pytest.mark.parametrize(
    ("given", "canonical", "recorded"),
    [
        (b'{ "name" : "Alice" }', '{"name":"Alice"}', '{"name":"Alice"}'),
        (b'{"stra\\u00dfe":"1\\/2","\\u0061ge":7.0}', '{"straße":"1/2","age":7}', '{"age":7,"straße":"1/2"}'),
        (b'{"b":1.10,"a":2.5e2,"b":-0.0}', '{"b":0,"a":250}', '{"a":250,"b":0}'),
        (b'{"n":1234567890123456789012345678901.50}', '{"n":1234567890123456789012345678901.5}', None),
        (b'{"n":1e21}', '{"n":1e21}', '{"n":1000000000000000000000}'),
        (b'{"a":' + b'[{"x":1.0}, ' * 9_000 + b"1" + b"]" * 9_000 + b"}", None, None),
    ],
    ids=["spaces", "escapes", "duplicates", "digits", "exponent", "too deep"],
)
def test_a_guest_gets_the_one_text_of_a_value_and_the_record_holds_that_value(
    platform: Platform, http: httpx.Client, given: bytes, canonical: str | None, recorded: str | None
) -> None:
    function_id = ready(http, SEEN, "seen")
    response = http.post(f"/functions/{function_id}/execute", content=b'{"input":' + given + b"}")
    if canonical is None:
        assert response.status_code == 400
        return
    assert response.json()["output"] == canonical
    record = http.get(f"/executions/{response.json()['id']}").text
    assert f'"input":{recorded or canonical},' in record.replace(": ", ":").replace(", ", ",")


def test_an_output_is_the_same_value_in_the_answer_and_in_the_record(http: httpx.Client) -> None:
    function_id = ready(http, OUTPUT, "output")
    response = http.post(f"/functions/{function_id}/execute", content=b"{}")
    exact = '{"price":1.10,"big":123456789012345678901234567890.123456789012345678901234567890,"last":2,"zero":0}'
    assert f'"output":{exact},' in response.text
    recorded = http.get(f"/executions/{response.json()['id']}").text
    assert _exact(recorded)["output"] == _exact(exact)
    for number in ("1.10", "123456789012345678901234567890.123456789012345678901234567890"):
        assert number in recorded


def _check(http: httpx.Client, function_id: str, value: dict[str, Any]) -> None:
    sent = json.dumps({"input": value})
    response = http.post(f"/functions/{function_id}/execute", content=sent)
    assert response.status_code == 200, response.text
    result = _exact(response.text)
    assert (result["status"], result["errorMessage"]) == ("COMPLETED", None)
    assert result["output"] == _exact(sent)["input"]
    recorded = _exact(http.get(f"/executions/{result['id']}").text)
    assert recorded["input"] == recorded["output"] == _exact(sent)["input"]


def _exact(text: str) -> Any:
    """Numbers by value: JSONB writes 4.7e+16 as 47000000000000000, which Python would read as another type."""
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)
