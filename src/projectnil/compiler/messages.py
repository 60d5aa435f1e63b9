"""What a compiler says, made fit to store and to show."""

import re

MESSAGE_BYTES = 64 * 1024

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def readable(message: str) -> str:
    """`message` without colours and control characters, and with at most MESSAGE_BYTES of UTF-8."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _ANSI.sub("", message).replace("\r\n", "\n")).strip()
    encoded = text.encode()
    if len(encoded) <= MESSAGE_BYTES:
        return text
    ending = f"\n... and {len(encoded) - MESSAGE_BYTES:,} bytes more"
    return encoded[: MESSAGE_BYTES - len(ending)].decode(errors="ignore") + ending
