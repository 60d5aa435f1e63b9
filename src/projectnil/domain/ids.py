"""Identifiers: UUIDs of version 7 (RFC 9562, section 5.7), which sort by the millisecond they were made in.

They are kept as their canonical text, which sorts as they do: it is what travels, is logged and compared, and Python's
UUID takes a microsecond to become it.
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NewType
from uuid import UUID

from uuid_utils import uuid7

FunctionId = NewType("FunctionId", str)
ExecutionId = NewType("ExecutionId", str)
NodeId = NewType("NodeId", str)

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)
_is_id = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


def _since_boot_ns() -> int:
    # Unlike the monotonic clock, this one goes on while the machine sleeps.
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class ExecutionIds:
    """Makes the ids of executions, which carry the database's time as far as this process knows it.

    Setting the clock of this machine, ahead or back, changes no id. Time comes from a clock that cannot be set, and the
    database tells what to add to it. An id is never ahead of the database's clock.
    """

    def __init__(self, clock_ns: Callable[[], int] = _since_boot_ns) -> None:
        """clock_ns: any clock that only goes forward. Until the first answer, the machine's own time has to do."""
        self.clock_ns = clock_ns
        self._ahead_ns = time.time_ns() - clock_ns()
        self._has_learned = False

    def new(self) -> ExecutionId:
        """A fresh id. Within a millisecond ids are not ordered by age."""
        return ExecutionId(str(uuid7(nanoseconds=self.clock_ns() + self._ahead_ns)))

    def learn(self, database_time: datetime, asked_ns: int, answered_ns: int) -> int:
        """The database said what time it was, at some moment between two of the clock.

        Returns by how many ns ids have become smaller: the database's own clock was set back, or else 0.
        """
        database_ns = (database_time - _EPOCH) // _MICROSECOND * 1000
        before = self._ahead_ns
        least_ns, most_ns = database_ns - answered_ns, database_ns - asked_ns
        is_closer = self._has_learned and least_ns < before <= most_ns
        self._ahead_ns = before if is_closer else least_ns
        self._has_learned = True
        return max(before - self._ahead_ns, 0)


def new_node_id() -> NodeId:
    """A fresh id for one running process, api or compiler."""
    return NodeId(str(uuid7()))


def parse_id(text: str) -> str | None:
    """An id from a UUID in its 36-character form (8-4-4-4-12 hexadecimal digits, of either case); None for anything
    else."""
    lowered = text.lower()
    return lowered if _is_id(lowered) else None


def is_version_7(identifier: str) -> bool:
    """Whether an id sorts by time. Those that were adopted from another system do not."""
    return identifier[14] == "7"


def place_of(identifier: str, created_at: datetime) -> str:
    """Where a row stands among others by time: a UUID, the id itself if it is of version 7.

    The SQL function id_place (006-adoption.sql) says the same.
    """
    if is_version_7(identifier):
        return identifier
    unix_ms = (created_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return f"{unix_ms >> 16:08x}-{unix_ms & 0xFFFF:04x}-4{identifier[15:]}"


def first_id_at(moment: datetime) -> str:
    """The smallest version 7 id of the millisecond that `moment` (with a time zone) falls in."""
    unix_ms = int(moment.timestamp() * 1000)
    # RFC 9562: 48 bits of Unix time in ms, version 7, then the variant bits 0b10.
    return str(UUID(int=(unix_ms << 80) | (0x7 << 76) | (0b10 << 62)))


def moment_of(identifier: str) -> datetime:
    """The millisecond a version 7 id was made in, in UTC."""
    return datetime.fromtimestamp(int(identifier[:8] + identifier[9:13], 16) / 1000, UTC)
