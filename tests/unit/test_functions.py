"""What a user may say about a function."""

import pytest

from projectnil.domain.errors import InvalidInput, TooLarge, UnsupportedLanguage
from projectnil.domain.functions import NewFunction, check_new_function
from projectnil.domain.limits import Limits


def check(**changes: str | None) -> NewFunction:
    given: dict[str, str | None] = {"name": "f", "description": None, "language": "assemblyscript", "source": "x"}
    given.update(changes)
    return check_new_function(limits=Limits(source_bytes=100), **given)  # type: ignore[arg-type]


def test_a_name_of_255_characters_is_accepted() -> None:
    assert check(name="é" * 255).name == "é" * 255


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", "x" * 256),
        ("name", "a\0b"),
        ("name", "a\ud800"),
        ("description", "a\0b"),
        ("description", "x" * 10_001),
        ("source", ""),
        ("source", " \n\t"),
        ("source", "a\0b"),
        ("source", "\udfff"),
    ],
)
def test_a_bad_field_is_named(field: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(**{field: value})
    assert caught.value.field == field


def test_the_limit_of_the_source_is_in_bytes() -> None:
    check(source="é" * 50)
    with pytest.raises(TooLarge, match=r"source may have at most 100 bytes .* this one is 102 bytes"):
        check(source="é" * 51)


def test_an_unknown_language_lists_the_known_ones() -> None:
    with pytest.raises(UnsupportedLanguage, match="'cobol' is not supported; supported: assemblyscript"):
        check(language="cobol")
