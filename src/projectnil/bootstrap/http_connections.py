"""The connections of one api process: how many there may be, and how long each may keep it waiting."""

import asyncio
import resource
from typing import Protocol

import msgspec
import structlog

from projectnil.config import Settings

log = structlog.get_logger()

# Beyond the bound so many more are heard, the newest, to tell them 503 or how the platform is.
_HEARD_BEYOND = 64
# Of file descriptors, for everything but callers: the database, sandboxes, files, logs.
_OTHER_FILES = 256
_LOOK_EVERY_S = 0.5


class HttpBounds(msgspec.Struct, frozen=True):
    """What one connection may ask of us. Sizes in bytes."""

    head_bytes: int
    path_bytes: int
    request_timeout_s: float
    idle_timeout_s: float
    answer_timeout_s: float


def http_bounds(settings: Settings) -> HttpBounds:
    """The bounds that the settings give."""
    return HttpBounds(**{name: getattr(settings, f"http_{name}") for name in HttpBounds.__struct_fields__})


class Connection(Protocol):
    """A connection, as far as it is watched."""

    def give_up_if_late(self, now: float) -> None:
        """Ends a wait that is longer than its bound. now: the loop's time."""

    def give_way(self) -> None:
        """Ends, told why unless its answer is on its way: a newer one is to be heard."""


class Connections:
    """The open connections, and the clock that looks at all of them twice a second.

    One clock is cheaper than a timer for each request, and exact enough for bounds of many seconds.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Connection] = set()
        self._extra: dict[Connection, None] = {}  # those beyond the bound, the oldest first
        self._clock: asyncio.TimerHandle | None = None

    def add(self, connection: Connection) -> bool:
        """Watch a connection until `discard`; returns whether there are too many with it."""
        self._open.add(connection)
        if self._clock is None:
            self._wind(asyncio.get_running_loop())
        is_extra = len(self._open) > self._most
        if is_extra:
            if len(self._extra) >= _HEARD_BEYOND:
                oldest = next(iter(self._extra))
                del self._extra[oldest]
                oldest.give_way()
            self._extra[connection] = None
        return is_extra

    def discard(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._extra.pop(connection, None)

    def _wind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._clock = loop.call_later(_LOOK_EVERY_S, self._look, loop) if self._open else None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in tuple(self._open):
            connection.give_up_if_late(now)
        self._wind(loop)


def most_connections(wanted: int) -> int:
    """How many connections this process can have, at most `wanted`: each takes a file descriptor.

    Raises this process's limit of file descriptors as far as it may.
    """
    needed = wanted + _HEARD_BEYOND + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = wanted if soft == resource.RLIM_INFINITY else max(1, soft - _HEARD_BEYOND - _OTHER_FILES)
    if possible < wanted:
        log.warning("api.connections_limited", wanted=wanted, connections=possible, fileDescriptors=soft)
    return min(wanted, possible)
