"""What a guest hands to a host function is cut to its limit before it is looked at."""

import ctypes
import tracemalloc
from collections.abc import Iterator

import pytest

from projectnil.sandbox.imports import HOST_FUNCTIONS
from projectnil.sandbox.journal import Journal

HUGE_BYTES = 8 * 1024 * 1024
TAKE_TEXT = [name for name, (signature, _) in HOST_FUNCTIONS.items() if name.startswith("console.") or name == "trace"]


class Memory:
    """A guest's memory with one huge string of nothing but halves of surrogate pairs; every pointer points at it."""

    def __init__(self) -> None:
        self._memory = bytearray(b"\x00\xd8") * (HUGE_BYTES // 2)
        self._memory[:8] = bytes(4) + (HUGE_BYTES - 8).to_bytes(4, "little")
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))

    def u32(self, _nth: int) -> int:
        return 8

    def f64(self, _nth: int) -> float:
        return 0.0

    def memory(self) -> tuple[int, int]:
        return self._address, HUGE_BYTES


class FailedAssertion(Memory):
    def u32(self, _nth: int) -> int:
        return 8 if _nth else 0


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory()


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("name", [*TAKE_TEXT, "abort"])
@pytest.mark.usefixtures("traced")
def test_a_huge_string_costs_a_host_function_no_more_than_its_limit(memory: Memory, name: str) -> None:
    journal = Journal(64 * 1024)
    call = memory if name != "console.assert" else _FAILED_ASSERTION
    for _ in range(3):
        HOST_FUNCTIONS[name][1](journal, call)  # type: ignore[arg-type] # as much of a Caller as they use
    _, peak_bytes = tracemalloc.get_traced_memory()
    assert peak_bytes < 1024 * 1024


_FAILED_ASSERTION = FailedAssertion()
