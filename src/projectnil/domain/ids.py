"""Identifiers: UUIDs of version 7 (RFC 9562, section 5.7), which sort by the millisecond they were made in.

They are kept as their canonical text, which sorts as they do: it is what travels, is logged and compared, and Python's
UUID takes a microsecond to become it.
"""

import re
from datetime import UTC, datetime
from typing import NewType
from uuid import UUID

from uuid_utils import uuid7

FunctionId = NewType("FunctionId", str)
ExecutionId = NewType("ExecutionId", str)
NodeId = NewType("NodeId", str)

_is_id = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


def new_execution_id() -> ExecutionId:
    """A fresh id. Within a millisecond ids are not ordered by age."""
    return ExecutionId(str(uuid7()))


def new_node_id() -> NodeId:
    """A fresh id for one running process, api or compiler."""
    return NodeId(str(uuid7()))


def parse_id(text: str) -> str | None:
    """An id from a UUID in its 36-character form (8-4-4-4-12 hexadecimal digits, of either case); None for anything
    else."""
    lowered = text.lower()
    return lowered if _is_id(lowered) else None


def first_id_at(moment: datetime) -> str:
    """The smallest version 7 id of the millisecond that `moment` (with a time zone) falls in."""
    unix_ms = int(moment.timestamp() * 1000)
    # RFC 9562: 48 bits of Unix time in ms, version 7, then the variant bits 0b10.
    return str(UUID(int=(unix_ms << 80) | (0x7 << 76) | (0b10 << 62)))


def moment_of(identifier: str) -> datetime:
    """The millisecond a version 7 id was made in, in UTC."""
    return datetime.fromtimestamp(int(identifier[:8] + identifier[9:13], 16) / 1000, UTC)
