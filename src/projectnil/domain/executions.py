"""An execution: one run of a function, from JSON text to JSON text."""

from datetime import datetime
from enum import StrEnum

import msgspec

from projectnil.domain.guest_errors import GuestError
from projectnil.domain.ids import ExecutionId, FunctionId


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


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded execution. input and output are JSON text."""

    id: ExecutionId
    function_id: FunctionId
    status: ExecutionStatus
    input: str | None
    output: str | None
    error_message: str | None
    logs: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class ExecutionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An execution as lists show it: without input, output and logs."""

    id: ExecutionId
    function_id: FunctionId
    status: ExecutionStatus
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
