"""Text that Postgres can hold."""


def storable(text: str) -> str:
    """Text with U+0000, which Postgres text cannot hold, shown as a replacement character."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text
