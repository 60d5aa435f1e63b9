"""Who may begin an execution: turned away before anything is recorded, rather than kept waiting for long guests."""

import asyncio
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

import msgspec

from projectnil.domain.errors import Overloaded
from projectnil.sandbox.line import Line, Place

# Guests that finish faster than this keep the queue moving: callers behind them need not be turned away.
QUICK_S = 0.05
ADMISSION_WAIT_S = 1.0
MOST_WAITING = 1_000
_MOST_QUICK_FUNCTIONS = 10_000
_GONE = object()


class Ticket(msgspec.Struct, eq=False):
    """An execution that may begin. since: on the loop's clock, when it was let in."""

    function: str
    since: float


class Admission:
    """The door before the queue for a process. Belongs to one event loop.

    While guests finish quickly, those of functions that are known to be quick all come in. Of other functions one comes
    in at a time then, and as many as there are free processes. So one function's crowd waits for itself.
    """

    def __init__(
        self,
        queued: Callable[[], Mapping[str, int]],
        free: Callable[[], int],
        overloaded: Callable[[], Overloaded],
        most_of_one: int,
    ) -> None:
        """queued: how many admitted executions of each function wait for a process. free: how many processes are idle
        or may start.

        overloaded: what to say when there was no room for too long. most_of_one: how many executions of one function
        that is not known to be quick are inside.
        """
        self._most_of_one = most_of_one
        self._queued = queued
        self._free = free
        self._overloaded = overloaded
        self._inside: dict[str, int] = {}  # by function, those admitted whose execution has not ended
        self._door: Line[Ticket] = Line(self.inside)  # callers waiting to be let in
        # Of those who have not come to run yet, the oldest first.
        self._expected: OrderedDict[Ticket, None] = OrderedDict()
        self._quick: OrderedDict[str, None] = OrderedDict()
        self._last_quick_finish = -QUICK_S

    def __len__(self) -> int:
        """How many wait at the door."""
        return self._door.length

    def inside(self, function: str) -> int:
        """How many executions of the function run or wait for a process."""
        return self._inside.get(function, 0)

    async def enter(self, function: str) -> Ticket:
        """Return when an execution may begin. Raises Overloaded when there is no room within a second."""
        now = _now()
        if self._may_pass(function, now) or self._has_room(function, self._look_for_room(now)):
            return self._expect(function, now)
        if sum(self._queued().values()) + self._door.length >= MOST_WAITING:
            raise Overloaded(f"more than {MOST_WAITING:,} executions are waiting for a sandbox")
        return await self._wait_at_the_door(function)

    def withdraw(self, ticket: Ticket) -> None:
        """The one with this ticket will not come to run. Safe to repeat."""
        if self._expected.pop(ticket, _GONE) is not _GONE:
            self.end(ticket.function)

    def begin(self, function: str, ticket: Ticket | None = None) -> None:
        """It waits for a process from now on, or has one. ticket: with which it was let in."""
        if ticket is None or self._expected.pop(ticket, _GONE) is _GONE:
            self._inside[function] = self._inside.get(function, 0) + 1

    def end(self, function: str) -> None:
        """What `begin` began is over."""
        left = self._inside[function] - 1
        if left:
            self._inside[function] = left
        else:
            del self._inside[function]

    def finished(self, function: str, took_s: float) -> None:
        """A guest is done."""
        if took_s >= QUICK_S:
            self.takes_long(function)
            return
        self._last_quick_finish = _now()
        self._quick[function] = None
        if len(self._quick) > _MOST_QUICK_FUNCTIONS:
            self._quick.popitem(last=False)

    def takes_long(self, function: str) -> None:
        """A guest of this function does."""
        self._quick.pop(function, None)

    def is_quick(self, function: str) -> bool:
        """Did the guest of the function that ended last finish quickly, and does none take long since?"""
        return function in self._quick

    def let_in(self) -> None:
        """There may be room: as many as fit come in."""
        if not self._door.length:
            return
        now = _now()
        room = self._look_for_room(now)
        if not room.is_moving and room.free <= 0:
            return
        for place in self._door.take_all(lambda function: self._has_room(function, room)):
            if not place.future.done():
                place.future.set_result(self._expect(place.function, now))

    def turn_away(self, error: Exception) -> None:
        """All who wait at the door are told `error`."""
        for place in list(self._door):
            self._door.remove(place)
            give_up(place.future, error)

    def _expect(self, function: str, now: float) -> Ticket:
        ticket = Ticket(function, now)
        self._expected[ticket] = None
        self.begin(function)
        return ticket

    def _is_moving(self, now: float) -> bool:
        return now - self._last_quick_finish < QUICK_S

    def _may_pass(self, function: str, now: float) -> bool:
        """Whether there is surely room, without looking far: as nearly always."""
        return self._is_moving(now) and function in self._quick and not self._queued()

    def _look_for_room(self, now: float) -> "_Room":
        """What holds for every function until the event loop turns."""
        while self._expected and (oldest := next(iter(self._expected))).since < now - ADMISSION_WAIT_S:
            self.withdraw(oldest)  # it does not come, or was held up for long
        is_moving, free = self._is_moving(now), self._free()
        # To count those in line takes its time, and makes no difference when nothing is free.
        queued = self._queued() if is_moving or free > 0 else {}
        return _Room(is_moving, free, queued, sum(queued.values()))

    def _has_room(self, function: str, room: "_Room") -> bool:
        if room.is_moving and (function in self._quick or function not in self._inside):
            return room.in_line < MOST_WAITING
        if function not in self._quick and self.inside(function) >= self._most_of_one:
            return False
        return room.free > room.in_line + len(self._expected) or room.free > self._ahead_of(function, room)

    def _ahead_of(self, function: str, room: "_Room") -> int:
        """How many of those that were let in get a process before the function's next one: of functions that have no
        more inside than it will have then. A crowd is not ahead of others."""
        if room.ranks is None:
            waiting = Counter(room.queued)
            waiting.update(ticket.function for ticket in self._expected)
            by_load = sorted((self.inside(each), count) for each, count in waiting.items())
            totals = list(accumulate((count for _, count in by_load), initial=0))
            room.ranks = _Ranks([load for load, _ in by_load], totals, len(self._expected))
        ranks = room.ranks
        let_in_since = len(self._expected) - ranks.expected
        return ranks.totals[bisect_right(ranks.loads, self.inside(function) + 1)] + let_in_since

    async def _wait_at_the_door(self, function: str) -> Ticket:
        loop = asyncio.get_running_loop()
        place: Place[Ticket] = Place(function, loop.time(), loop.create_future())
        self._door.add(place)
        timer = loop.call_later(ADMISSION_WAIT_S, give_up, place.future, self._overloaded())
        try:
            return await place.future
        except asyncio.CancelledError:
            if place.future.done() and not place.future.cancelled() and not place.future.exception():
                self.withdraw(place.future.result())  # it was let in the moment its caller went away
                self.let_in()
            raise
        finally:
            timer.cancel()
            if place in self._door:
                self._door.remove(place)


class _Ranks(msgspec.Struct, frozen=True):
    """loads: how many executions each function that waits has inside, the least first. totals[n]: how many wait, of the
    first n of these functions. expected: how many were, at that time."""

    loads: list[int]
    totals: list[int]
    expected: int


class _Room(msgspec.Struct):
    """is_moving: a guest finished quickly just now. free: processes, idle or yet to start. queued: those that wait for
    them, by function; in_line: of all functions. ranks: found out when it matters."""

    is_moving: bool
    free: int
    queued: Mapping[str, int]
    in_line: int
    ranks: _Ranks | None = None


def give_up(future: "asyncio.Future[Any]", error: Exception) -> None:
    """Tell the caller that waits, unless it has its answer."""
    if not future.done():
        future.set_exception(error)


def _now() -> float:
    return asyncio.get_running_loop().time()
