"""What JSON text the platform takes: everything JSONB can hold, and nothing else."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectnil.domain.json_problems import DEPTH, find_problem
from projectnil.domain.json_text import UnstorableJson, canonical_json, check_json_text, compact_json

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
)
KEYS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


@given(VALUES, st.booleans())
def test_any_value_without_nul_and_lone_surrogates_is_accepted(value: Any, escaped: bool) -> None:
    check_json_text(json.dumps(value, ensure_ascii=escaped).encode())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "output is empty"),
        (b" \n", "output is empty"),
        (b"{", "output ends too early: the text stops before the closing }"),
        (b'{"a":[1,2', "output.a ends too early: the text stops before the closing ]"),
        (b'{"a":"x', "output.a ends too early: the text stops before the closing quote"),
        (b'{"a":', "output.a ends too early: the text stops before the value"),
        (b'{"a', "output ends too early: the text stops before the closing quote"),
        (b'{"total":NaN}', "output.total is NaN, which JSON does not have"),
        (b'{"items":[1,{"a b":-Infinity}]}', 'output.items[1]["a b"] is -Infinity, which JSON does not have'),
        (b"NaN", "output is NaN, which JSON does not have"),
        (b'{"a":undefined}', "output.a is undefined, which JSON does not have; write null, or leave it out"),
        (b"hello", "output is `hello`, which is not JSON: text stands in double quotes"),
        (b"hello " * 20, "output is `hello hello hello hello hello hello hell…`, which"),
        (b'{"a":tru}', "output.a is `tru}`, which is not JSON"),
        (b'{"a":[1,]}', "output.a has a comma after its last element"),
        (b'{"a":1,}', "output has a comma after its last member"),
        (b'{"a":[1 2]}', "output.a[0] is not followed by a comma or ], but by `2]}`"),
        (b'{"a" 1}', "output.a has no colon after its key, but `1}`"),
        (b"{'a':1}", "output has a key that is not text in double quotes: `'a':1}`"),
        (b"{} {}", "output is followed by more text: `{}`"),
        (b"{}\0", "output is followed by more text: `\\u0000`"),
        (b'{"a":01}', "output.a is `01`, which is not a number in JSON"),
        (b"[1.]", "output[0] is `1.`, which is not a number in JSON"),
        (b'{"a":"x\ny"}', "output.a holds the control character U+000A unescaped"),
        (b'{"a":"\\x41"}', r"output.a holds the escape `\x`, which JSON does not have"),
        (b"\xef\xbb\xbf{}", "output begins with a byte order mark"),
        (b"[/* none */]", "output[0] has a comment, which JSON does not have"),
        (b'{"a":"\\u0000"}', r"output.a holds the NUL character (\u0000), which Postgres JSONB cannot hold"),
        (b'{"a\\u0000":1}', r"holds the NUL character (\u0000)"),
        (b'{"a":["\\\\\\u0000"]}', r"output.a[0] holds the NUL character (\u0000)"),
        (b'{"a":"\\ud800"}', r"output.a holds half of a surrogate pair (\ud800), which is not Unicode text"),
        (b'{"a":"\\udc00"}', "output.a holds half of a surrogate pair"),
        (b'{"a":"\\ud800\\ud800"}', "output.a holds half of a surrogate pair"),
        (b'{"a":"\\ud800 \\udc00"}', "output.a holds half of a surrogate pair"),
        (b'{"a":"\xff"}', "output.a is not UTF-8: invalid start byte"),
        (b'{"a":"\xed\xa0\x80"}', "output.a is not UTF-8"),
        (b'{"a":1e401}', "output.a has an exponent beyond 400"),
        (b'{"a":1e-99999}', "output.a has an exponent beyond 400"),
        (b'{"a":1e1000000000}', "output.a has an exponent beyond 400"),
        (b'{"a":1e' + b"0" * 9999 + b"999}", "output.a has an exponent beyond 400"),
        (b'{"a":' + b"9" * 1001 + b"}", "output.a has more than 1000 digits"),
        (b'{"a":' + b"9" * 9999 + b"}", "output.a has more than 1000 digits"),
        (b'{"a":0.' + b"9" * 1001 + b"}", "output.a has more than 1000 digits"),
        (b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), f"is nested deeper than {DEPTH} levels"),
        (b'{"a":' * 100_000, f"output.a.a.a.a.a.a….a.a.a.a.a.a is nested deeper than {DEPTH} levels"),
        (b"[" + b"1e399," * 1000 + b"1]", "output has numbers that would be 399,000 digits long when written out"),
    ],
    ids=lambda each: repr(each[:30]),
)
def test_what_cannot_be_stored_is_refused_and_says_what_and_where(text: bytes, problem: str) -> None:
    for check in (canonical_json, compact_json):
        with pytest.raises(UnstorableJson) as refused:
            check(text)
        assert problem in refused.value.describe("output")


@given(VALUES, st.data())
def test_text_with_one_thing_wrong_is_refused_and_explained(value: Any, data: st.DataObject) -> None:
    text = bytearray(json.dumps(value).encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at : at + data.draw(st.integers(0, 1))] = data.draw(
        st.sampled_from([b"", b",", b"]", b'"', b"\\", b"x", b"\0"])
    )
    try:
        canonical_json(bytes(text))
    except UnstorableJson as refused:
        # Found by our own look at the text, which agrees with the decoder on what JSON is.
        assert find_problem(bytes(text)) == (refused.path, refused.problem)
    else:
        assert find_problem(bytes(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":"\\ud83d\\ude00"}',
        b'{"a":"\\\\u0000"}',
        b'{"a":"1e999"}',
        b'{"a":"' + b"[" * 1000 + b'"}',
        b"[" * DEPTH + b"]" * DEPTH,
        b"[" + b"1.5e-10," * 10_000 + b"1]",
        b'{"a":1e400,"b":' + b"9" * 1000 + b"}",
        b"1e" + b"0" * 10_000 + b"7",
    ],
)
def test_what_only_looks_unstorable_is_accepted(text: bytes) -> None:
    check_json_text(text)


HOSTILE = [
    b'{"z":' + b"[" * 300 + b'"' + b'\\"' * 3_000_000,
    b'"' + (b"9" * 999 + b"x") * 6_000 + b'"',
    b'"' + b"e" * 6_000_000 + b'"',
    b"[" + b"9" * 999 + (b"," + b"9" * 999) * 6_000 + b"]",
    b"[1e" + b"0" * 6_000_000 + b"1]",
    b'[1e99,"' + b"a" * 6_000_000 + b'"]',
    b'[1e99,"' + b'\\"' * 3_000_000 + b'"]',
    b"[" + b"[]," * 500_000 + b"1]",
    b"[" + b'[{"a":[]}],' * 140_000 + b"x]",
    b'"' + b"\\u0041" * 1_000_000 + b'"',
]
CHECK = """
import resource, sys
from projectnil.domain.json_text import UnstorableJson, check_json_text
text = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    check_json_text(text)
except UnstorableJson:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_hostile_text_is_looked_at_once_and_copied_a_few_times(text: bytes) -> None:
    # Work that grows with the square of the size would outlast any patience; linear work is not noticed.
    checked = subprocess.run([sys.executable, "-c", CHECK], input=text, capture_output=True, check=True, timeout=60)
    grown_bytes = int(checked.stdout) * 1024
    assert grown_bytes < 12 * len(text) + 16 * 1024 * 1024
