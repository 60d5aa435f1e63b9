"""Who may begin an execution: turned away before anything is recorded, rather than kept waiting for long guests."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from projectnil.domain.errors import Overloaded

# Guests that finish faster than this keep the queue moving: whoever waits behind them need not be turned away.
QUICK_S = 0.05
ADMISSION_WAIT_S = 1.0
MOST_WAITING = 1_000


class Admission:
    """The door before the queue for a process. Belongs to one event loop."""

    def __init__(
        self, queued: Callable[[], int], free: Callable[[], int], overloaded: Callable[[], Overloaded]
    ) -> None:
        """queued: how many admitted executions wait for a process. free: how many processes are idle or may start.

        overloaded: what to say when there was no room for too long.
        """
        self._queued = queued
        self._free = free
        self._overloaded = overloaded
        self._door: deque[asyncio.Future[None]] = deque()  # callers waiting to be let in
        self._expected: deque[float] = deque()  # when those were admitted who have not come to run yet
        self._last_quick_finish = -QUICK_S

    def __len__(self) -> int:
        """How many wait at the door."""
        return len(self._door)

    async def enter(self) -> None:
        """Return when an execution may begin. Raises Overloaded when there is no room within a second."""
        if self._has_room():
            self._expected.append(_now())
            return
        if self._queued() + len(self._door) >= MOST_WAITING:
            raise Overloaded(f"more than {MOST_WAITING:,} executions are waiting for a sandbox")
        await self._wait_at_the_door()

    def came(self) -> None:
        """One of those admitted has come to run, or never will."""
        if self._expected:
            self._expected.popleft()

    def finished(self, took_s: float) -> None:
        """A guest is done."""
        if took_s < QUICK_S:
            self._last_quick_finish = _now()

    def let_in(self) -> None:
        """There may be room: as many as fit come in."""
        while self._door and self._has_room():
            future = self._door.popleft()
            if not future.done():
                self._expected.append(_now())
                future.set_result(None)

    def turn_away(self, error: Exception) -> None:
        """Whoever waits at the door is told `error`."""
        while self._door:
            give_up(self._door.popleft(), error)

    def _has_room(self) -> bool:
        now = _now()
        while self._expected and self._expected[0] < now - ADMISSION_WAIT_S:
            self._expected.popleft()  # it never came to run
        if now - self._last_quick_finish < QUICK_S:
            return self._queued() < MOST_WAITING
        return self._free() > self._queued() + len(self._expected)

    async def _wait_at_the_door(self) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._door.append(future)
        timer = loop.call_later(ADMISSION_WAIT_S, give_up, future, self._overloaded())
        try:
            await future
        finally:
            timer.cancel()
            if future in self._door:
                self._door.remove(future)


def give_up(future: "asyncio.Future[Any]", error: Exception) -> None:
    """Tell whoever waits, unless they have their answer."""
    if not future.done():
        future.set_exception(error)


def _now() -> float:
    return asyncio.get_running_loop().time()
