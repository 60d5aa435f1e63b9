"""One JSON value has one text, whatever spelling, spacing or escapes a client used."""

import json
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectnil.domain import json_text
from projectnil.domain.json_text import canonical_json, compact_json
from tests.support.steps import steps_of

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(
    lambda number: abs(number.adjusted()) < 300
) | st.integers(-(10**60), 10**60).map(Decimal)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("1.0", "1"),
        ("1.10", "1.1"),
        ("2.5e2", "250"),
        ("250.0", "250"),
        ("-3.0", "-3"),
        ("1E3", "1000"),
        ("12e-1", "1.2"),
        ("0.1", "0.1"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0e7", "0"),
        ("-0e-7", "0"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e21"),
        ("1e+21", "1e21"),
        ("1000000000000000000000", "1e21"),
        ("-1000000000000000000000.0", "-1e21"),
        ("1234567890123456789012", "1234567890123456789012"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
        ("0.123456789012345678901234567890123", "0.123456789012345678901234567890123"),
        ("0.12345678901234567890123456789e30", "123456789012345678901234567890"),
        ("0.000001", "0.000001"),
        ("0.00000100", "0.000001"),
        ("0.0000001", "1e-7"),
        ("15E-8", "1.5e-7"),
        ("1e400", "1e400"),
        ("-1.50e-400", "-1.5e-400"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551616", "18446744073709551616"),
        ("0.30000000000000004", "0.30000000000000004"),
        pytest.param("1e" + 5_000 * "0" + "1", "10", id="an exponent of 5,001 digits"),
        pytest.param("12E-" + 5_000 * "0" + "1", "1.2", id="a negative one"),
    ],
)
def test_a_number_has_its_shortest_exact_spelling(given: str, canonical: str) -> None:
    assert canonical_json(given.encode()).decode() == canonical
    assert canonical_json(f' {{"a" : [ {given} ]}}\n'.encode()).decode() == f'{{"a":[{canonical}]}}'
    assert Decimal(canonical) == Decimal(given)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        (b'{ "name" : "Alice" }', '{"name":"Alice"}'),
        (b'{"stra\\u00dfe":"x","\\u0061ge":7}', '{"straße":"x","age":7}'),
        (b'{"a":"1\\/2","b":"\\\\\\/"}', '{"a":"1/2","b":"\\\\/"}'),
        (rb'"\u000a\u000A\u0009\u0008\u000c\u000d\u0022\u005c\u001F\u007f\u2028"',
         '"\\n\\n\\t\\b\\f\\r\\"\\\\\\u001f\x7f\u2028"'),
        (b'"\\ud83d\\ude00"', '"😀"'),
        (b'{"b":1,"a":2}', '{"b":1,"a":2}'),
        (b'{"a":1,"b":2,"a":3}', '{"a":3,"b":2}'),
        (b'{"a":1,"\\u0061":{"x":1,"x":2.0}}', '{"a":{"x":2}}'),
        (b'[{"a":"1.0"},"2.50e1","-0","1111111111111111111111111"]',
         '[{"a":"1.0"},"2.50e1","-0","1111111111111111111111111"]'),
        (b"[\t1 ,\r\n{ } ]", "[1,{}]"),
    ],
)  # fmt: skip
def test_a_value_has_one_spelling(given: bytes, canonical: str) -> None:
    assert canonical_json(given).decode() == canonical


@given(VALUES, st.randoms(use_true_random=False))
def test_every_spelling_of_a_value_becomes_the_same_text(value: Any, random: Any) -> None:
    canonical = canonical_json(_spell(value, random).encode())
    assert canonical == canonical_json(_spell(value, random).encode())
    assert canonical_json(canonical) == canonical
    assert _exact(canonical) == _exact(_spell(value, random).encode())
    assert list(_keys(_exact(canonical))) == list(_keys(value))


@given(VALUES, st.randoms(use_true_random=False))
def test_many_containers_are_written_as_few_are(value: Any, random: Any) -> None:
    # The token by token way, which only large texts take.
    spelled = _spell([value, {"a": 1, "b": [2.0], "a ": {}}], random).encode()
    expected = canonical_json(spelled), compact_json(spelled)
    before, json_text.MOST_CONTAINERS_AT_ONCE = json_text.MOST_CONTAINERS_AT_ONCE, 0
    try:
        assert (canonical_json(spelled), compact_json(spelled)) == expected
    finally:
        json_text.MOST_CONTAINERS_AT_ONCE = before


@given(VALUES, st.randoms(use_true_random=False))
def test_an_output_keeps_the_spelling_of_its_numbers(value: Any, random: Any) -> None:
    spelled = _spell(value, random)
    compact = compact_json(spelled.encode())
    assert _exact(compact) == _exact(spelled.encode())
    assert _numbers(compact.decode()) == [_unsigned(number) for number in _numbers(spelled)]


def test_an_output_loses_what_the_record_does_not_hold() -> None:
    assert compact_json(b'{"a":1.10,"b":-0,"c":-0.00,"d":-0.5,"a":2.50e1,"e":-0e3}') == (
        b'{"a":2.50e1,"b":0,"c":0.00,"d":-0.5,"e":0e3}'
    )


def _spell(value: Any, random: Any) -> str:
    """Some spelling of the value: spaces, escapes, forms of numbers, and members that a later one replaces."""
    match value:
        case dict():
            members = [(key, _spell(each, random)) for key, each in value.items()]
            if members and random.random() < 0.3:
                members.insert(0, (members[0][0], '"replaced"'))
            return "{{{}}}".format(",".join(f"{_space(random)}{_text(key, random)}:{each}" for key, each in members))
        case list():
            return "[{}]".format(",".join(_space(random) + _spell(each, random) + _space(random) for each in value))
        case str():
            return _text(value, random)
        case Decimal():
            return _space(random) + _number(value, random)
    return json.dumps(value)


def _space(random: Any) -> str:
    return random.choice(["", "", " ", "\n\t"])  # type: ignore[no-any-return]


def _text(text: str, random: Any) -> str:
    return '"{}"'.format("".join(_character(each, random) for each in text))


def _character(character: str, random: Any) -> str:
    match random.randint(0, 3):
        case 0:
            units = character.encode("utf-16-be")
            return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
        case 1 if character == "/":
            return "\\/"
    return json.dumps(character, ensure_ascii=False)[1:-1]


def _number(number: Decimal, random: Any) -> str:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    zeros = random.randint(0, 3)
    written = "".join(map(str, digits)).lstrip("0") or "0"
    spelled = "-" * sign + written
    match random.randint(0, 3):
        case 0:
            return f"{spelled}.{'0' * (zeros + 1)}e{exponent}"
        case 1 if written != "0":
            return f"{spelled}{'0' * zeros}E{exponent - zeros:+}"
        case 2:
            return f"{spelled}e{exponent}"
    return f"{number:f}"


def _exact(text: bytes) -> Any:
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


def _numbers(text: str) -> list[str]:
    """The numbers as they are spelled, without those that a later member replaces."""
    return list(_leaves(json.loads(text, parse_int=_Spelled, parse_float=_Spelled)))


class _Spelled(str):
    pass


def _leaves(value: Any) -> Any:
    match value:
        case dict():
            for each in value.values():
                yield from _leaves(each)
        case list():
            for each in value:
                yield from _leaves(each)
        case _Spelled():
            yield str(value)


def _keys(value: Any) -> Any:
    match value:
        case dict():
            for key, each in value.items():
                yield key
                yield from _keys(each)
        case list():
            for each in value:
                yield from _keys(each)


def _unsigned(number: str) -> str:
    return number.removeprefix("-") if Decimal(number) == 0 else number


def test_each_number_is_spelled_anew_once_however_often_it_comes() -> None:
    few, many = [partial(canonical_json, b"[" + count * b"1e1, " + b"1]") for count in (10, 10_000)]
    assert many() == b"[" + 10_000 * b"10," + b"1]"
    assert steps_of(many) < 2 * steps_of(few)


def test_more_numbers_than_are_remembered_are_spelled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "_MOST_SPELLINGS", 3)
    numbers = [f"{nth}e1" for nth in range(1, 10)] * 2
    assert (
        canonical_json(f"[{','.join(numbers)}]".encode()) == f"[{','.join(f'{nth[:-2]}0' for nth in numbers)}]".encode()
    )


def test_exponents_are_added_up_wherever_they_stand_but_in_strings() -> None:
    exponents = ", ".join([*300 * ["1e399"], *100 * ["-2.50E+0300"], *100 * ["true"], *100 * ["3e-7"]])
    strings = json.dumps([*1_000 * ["1e399"], "\\", '"', '\\"e399'])
    room = ' "' + 10_000 * "x" + '"'
    assert canonical_json(f"[{exponents}, {strings}, {room}]".encode())
    with pytest.raises(json_text.UnstorableJson, match="would be 150,400 digits long"):
        canonical_json(f'[{exponents}, {strings[:40]}", 1]]'.encode())
