"""The source languages the platform knows."""

from enum import StrEnum

from projectnil.domain.errors import UnsupportedLanguage


class Language(StrEnum):
    """A language some compiler of this release can serve. The values are what `language` holds over HTTP."""

    ASSEMBLYSCRIPT = "assemblyscript"


def parse_language(text: str) -> Language:
    """Raises UnsupportedLanguage, which lists the known ones."""
    try:
        return Language(text)
    except ValueError:
        raise UnsupportedLanguage(text, tuple(Language)) from None
