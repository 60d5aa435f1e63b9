"""Text that a terminal can show."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectnil.domain.text import visible, visible_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),
        ("first\rsecond", "first\\rsecond"),
        ("a\u202eb\u2066c\u2069", "a\\u202eb\\u2066c\\u2069"),
        ("\x9b31m\x7f\u2028", "\\u009b31m\\u007f\\u2028"),
        ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
        ("é 漢 👩\u200d👩\u200d👧 نی\u200cم", "é 漢 👩\u200d👩\u200d👧 نی\u200cم"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_on_one_line_line_breaks_and_tabs_are_shown_too() -> None:
    assert visible_line("a\nb\tc\r\n") == "a\\nb\\tc\\r\\n"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    categories = {unicodedata.category(character) for character in visible_line(text)}
    assert categories.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
