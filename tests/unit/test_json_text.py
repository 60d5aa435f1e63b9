"""What JSON text the platform takes: everything JSONB can hold, and nothing else."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectnil.domain.json_text import DEPTH, UnstorableJson, check_json_text

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
        (b"", "truncated"),
        (b"{", "truncated"),
        (b'{"a":NaN}', "invalid character"),
        (b"{} {}", "trailing characters"),
        (b'{"a":01}', "invalid number"),
        (b'{"a":"\\u0000"}', r"NUL character \\u0000 at byte 6"),
        (b'{"a":"\\ud800"}', "lone surrogate escape at byte 6"),
        (b'{"a":"\\udc00"}', "lone surrogate escape at byte 6"),
        (b'{"a":"\\ud800\\ud800"}', "lone surrogate escape at byte 6"),
        (b'{"a":"\\ud800 \\udc00"}', "lone surrogate escape at byte 6"),
        (b'{"a":"\xff"}', "not UTF-8: invalid start byte at byte 6"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":1e401}', "exponent is beyond 400"),
        (b'{"a":1e-99999}', "exponent is beyond 400"),
        (b'{"a":' + b"9" * 1001 + b"}", "more than 1000 digits"),
        (b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), f"nested deeper than {DEPTH} levels"),
        (b"[" * 100_000, "nested deeper"),
        (b"[" + b"1e399," * 1000 + b"1]", "399,000 digits long when written out"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_says_why(text: bytes, problem: str) -> None:
    with pytest.raises(UnstorableJson, match=problem):
        check_json_text(text)


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
    b"[" + b"[]," * 2_000_000 + b"1]",
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
