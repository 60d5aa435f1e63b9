"""Compiler messages made fit to store and to show."""

import pytest

from projectnil.compiler.messages import MESSAGE_BYTES, readable


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mERROR\x1b[0m: no", "ERROR: no"),
        ("  a\r\nb\n\n", "a\nb"),
        ("a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        ("a\ud83db", "a\N{REPLACEMENT CHARACTER}b"),
        ("\N{BOX DRAWINGS LIGHT VERTICAL} \N{FOX FACE}\ttab", "\N{BOX DRAWINGS LIGHT VERTICAL} \N{FOX FACE}\ttab"),
    ],
)
def test_only_readable_characters_remain(said: str, shown: str) -> None:
    assert readable(said) == shown


def test_a_long_message_is_cut_between_characters_and_says_so() -> None:
    shown = readable("\N{FOX FACE}" * MESSAGE_BYTES)
    assert len(shown.encode()) <= MESSAGE_BYTES
    assert shown.endswith(f"... and {3 * MESSAGE_BYTES:,} bytes more")
