"""An execution: one run of a function, from JSON text to JSON text."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from projectnil.domain.guest_errors import GuestError
from projectnil.domain.ids import ExecutionId, FunctionId

_MICROSECOND = timedelta(microseconds=1)


class ExecutionStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class Completed(msgspec.Struct, frozen=True, tag=True):
    """output: JSON text in UTF-8, checked to be storable. logs: what the guest wrote, cut at its limit."""

    output: bytes
    logs: str


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The guest's own failure; never the platform's."""

    error: GuestError
    logs: str


class ExecutionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An execution as lists show it: without input, output and logs.

    function_name: the name its function has now. revision: what ran; None for one recorded by an old release.
    """

    id: ExecutionId
    function_id: FunctionId
    function_name: str
    revision: int | None
    status: ExecutionStatus
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None

    @property
    def duration_ms(self) -> float | None:
        return duration_ms(self.started_at, self.completed_at)


class Execution(ExecutionSummary, frozen=True, kw_only=True):
    """A recorded execution. input and output are JSON text."""

    input: str | None
    output: str | None
    logs: str | None


class ExecutionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which executions a list shows; None means any.

    since, until: the creation time, from `since` on and before `until`, both with a time zone. error: a part of the
    error message, in the same case. short_id: the last 8 digits of an id.
    """

    function_id: FunctionId | None = None
    status: ExecutionStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None
    short_id: str | None = None


def duration_ms(started_at: datetime | None, completed_at: datetime | None) -> float | None:
    """How long an execution ran, in milliseconds to the microsecond; None for one that has not ended."""
    if started_at is None or completed_at is None:
        return None
    return (completed_at - started_at) // _MICROSECOND / 1000
