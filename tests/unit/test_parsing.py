"""An input is read without holding up the event loop."""

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from projectnil.api import parsing
from projectnil.domain import json_text


@pytest.mark.parametrize(("size_bytes", "is_beside"), [(1_000, False), (16_000, False), (17_000, True)])
def test_a_large_input_is_read_beside_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, size_bytes: int, is_beside: bool
) -> None:
    readers = []

    def canonical_json(*given: Any) -> bytes:
        readers.append(threading.current_thread())
        return json_text.canonical_json(*given)

    monkeypatch.setattr(parsing, "canonical_json", canonical_json)
    numbers = b",".join([b"1e1"] * (size_bytes // 4))
    canonical = asyncio.run(parsing.input_object(msgspec.Raw(b'{"a":[%b]}' % numbers), 1_000_000))
    assert canonical == b'{"a":[%b]}' % numbers.replace(b"1e1", b"10")
    assert [reader is not threading.current_thread() for reader in readers] == [is_beside]
