"""Identifiers. All are UUID version 7 (RFC 9562, section 5.7): they sort by the millisecond they were made in."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NewType
from uuid import UUID

from uuid_utils.compat import uuid7

FunctionId = NewType("FunctionId", UUID)
ExecutionId = NewType("ExecutionId", UUID)
NodeId = NewType("NodeId", UUID)


def new_execution_id() -> ExecutionId:
    """A fresh id, greater than every id this process made before."""
    return ExecutionId(uuid7())


def new_node_id() -> NodeId:
    """A fresh id for one running process, api or compiler."""
    return NodeId(uuid7())


@lru_cache(maxsize=4096)  # the same functions are asked for again and again
def parse_id(text: str) -> UUID | None:
    """Read a UUID in its canonical 36-character form (8-4-4-4-12 hexadecimal digits); None for anything else."""
    if len(text) != 36:
        return None
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text.lower() else None


def first_id_at(moment: datetime) -> UUID:
    """The smallest version 7 id of the millisecond that `moment` (with a time zone) falls in."""
    unix_ms = int(moment.timestamp() * 1000)
    # RFC 9562: 48 bits of Unix time in ms, version 7, then the variant bits 0b10.
    return UUID(int=(unix_ms << 80) | (0x7 << 76) | (0b10 << 62))


def moment_of(identifier: UUID) -> datetime:
    """The millisecond a version 7 id was made in, in UTC."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
