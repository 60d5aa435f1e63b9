"""A guest's failure is told so that a person can act on it."""

from typing import get_args

import pytest

from projectnil.domain import guest_errors
from projectnil.domain.guest_errors import (
    GuestAborted,
    GuestBrokeAbi,
    GuestError,
    GuestExited,
    GuestOutOfMemory,
    GuestOutputInvalid,
    GuestOutputTooLarge,
    GuestTimedOut,
    GuestTrapped,
    Place,
)

TOLD = [
    (GuestAborted("bad order", "function.ts", 3, 9), "abort: bad order in function.ts(3:9)"),
    (GuestAborted("", "", 0, 0), "abort: no message"),
    (
        GuestAborted("no such key", "~lib/map.ts", 105, 17, Place("function.ts", 3, 9)),
        "abort: no such key in function.ts(3:9) (~lib/map.ts(105:17))",
    ),
    (
        GuestAborted("input.a: wrong", "~lib/json-as/assembly/failure.ts", 45, 3, Place("function.ts", 3, 9)),
        "abort: input.a: wrong in function.ts(3:9)",
    ),
    (GuestTrapped("INTEGER_DIVISION_BY_ZERO", "division by zero"), "trap: division by zero (INTEGER_DIVISION_BY_ZERO)"),
    (GuestExited(3), "exit: the function called process.exit(3) before it returned its output"),
    (GuestTimedOut(10.0), "timeout: the function ran longer than its limit of 10 s"),
    (GuestOutOfMemory(64 << 20), "out of memory: the function needed more than its limit of 64 MiB"),
    (
        GuestOutputTooLarge(7_000_000, 6 << 20),
        "output too large: 7,000,000 bytes of JSON, and the limit is 6 MiB (6,291,456 bytes)",
    ),
    (GuestOutputInvalid("trailing characters (byte 4)"), "the output is not valid JSON: trailing characters (byte 4)"),
    (GuestBrokeAbi("it does not export handle"), "the module breaks the ABI: it does not export handle"),
]


@pytest.mark.parametrize(("error", "told"), TOLD)
def test_a_failure_says_which_limit_message_or_line(error: GuestError, told: str) -> None:
    assert error.describe() == told


def test_every_kind_of_failure_is_told() -> None:
    assert {type(error) for error, _ in TOLD} == set(get_args(guest_errors.GuestError))
