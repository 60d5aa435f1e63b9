"""JSON whose numbers stay as they came."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectnil.cli import exact_json

NUMBERS = ["1.10", "1e300", "-0", "0.123456789012345678901234567890", "123456789012345678901234567890", "1.0E+2"]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_keeps_its_spelling(number: str) -> None:
    assert exact_json.write(exact_json.parse(f'{{"a": [{number}]}}')) == f'{{"a": [{number}]}}'


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.sampled_from([None, 2]))
def test_it_writes_what_the_standard_library_would(value: object, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=False)
    expected = json.dumps(value, ensure_ascii=False, indent=indent)
    assert exact_json.write(exact_json.parse(text), indent=indent) == expected


@given(VALUES)
def test_for_a_terminal_the_value_is_the_same_and_no_control_character_is_left(value: object) -> None:
    shown = exact_json.write(exact_json.parse(json.dumps(value)), indent=2, for_terminal=True)
    assert json.loads(shown) == value
    assert not any(character < " " or "\x7f" <= character < "\xa0" for character in shown.replace("\n", ""))


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", '{"a": 1}, "b": 2', "[" * 200_000, "\udcff"])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        exact_json.parse(text)
