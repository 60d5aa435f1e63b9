"""Any JSON object through an echo function comes back equal, in the answer and in the record."""

import json
from decimal import Decimal
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.functions import ECHO, ready
from tests.support.platform import Platform

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
