"""Two lanes for compilations: sources that have been slow leave half of a compiler's processes to all others.

See docs/decisions/033.
"""

import math
from collections.abc import Callable

from projectnil.domain.compilation import CompileCost, Crashed, Outcome, Rejected
from projectnil.postgres import turns
from projectnil.postgres.connections import Connection
from projectnil.postgres.queues import Message

# The first compilation of a process takes several times as long.
_UNPRACTISED_FACTOR = 2
# Where other programs have the cores it is not the source that is slow, but at some point it holds up the others.
_WALL_TIME_FACTOR = 6


def _nothing() -> None:
    pass


class Lanes:
    """The lanes of one toolchain in one compiler service."""

    def __init__(
        self, processes: int = 1, slow_after_s: float = math.inf, on_free: Callable[[], None] = _nothing
    ) -> None:
        """processes: half of them, though at least one, may be held by slow sources.

        slow_after_s: CPU time of one compilation after which its source is slow. on_free: told when a place in the
        slow lane is free again.
        """
        self._places = max(processes // 2, 1)
        self._slow_after_s = slow_after_s
        self._on_free = on_free
        # By lane: take the newest job next, rather than the first in line.
        self._newest_next = {True: False, False: False}

    def hold(self) -> bool:
        """Hold a place in the slow lane; False when all are held."""
        if not self._places:
            return False
        self._places -= 1
        return True

    def free(self) -> None:
        """Give up a place in the slow lane."""
        self._places += 1

    def tell_free(self) -> None:
        """Tell that a place in the slow lane is free again."""
        self._on_free()

    def is_slow(self, cost: CompileCost) -> bool:
        """Whether a compilation that has cost this much is slow."""
        allowed_s = self._slow_after_s * (1 if cost.is_practised else _UNPRACTISED_FACTOR)
        return min(cost.cpu_s, cost.duration_s) > allowed_s or cost.duration_s > allowed_s * _WALL_TIME_FACTOR

    def takes_newest(self, *, slow: bool) -> bool:
        """Whose turn is next in a lane: the newest job's, or the first in line.

        After a job that wasted its lane's time the newest is next, so that a crowd of those does not hold up the jobs
        that come after it; then it is the first in line again.
        """
        return self._newest_next[slow]

    def ended(self, *, slow: bool, newest: bool, wasted_turn: bool) -> None:
        """A job of the lane ended. newest: it was taken as the newest. wasted_turn: it was too slow for the lane."""
        self._newest_next[slow] = wasted_turn and not newest


class Stay:
    """The time of one job in a lane."""

    def __init__(self, lanes: Lanes, *, slow: bool, newest: bool) -> None:
        """slow: in the slow lane, a place of which is held for it."""
        self.in_slow_lane = slow
        self.cost = CompileCost()
        self.is_slow = False
        self._failed = False
        self._newest = newest
        self._lanes = lanes
        self._holds = slow

    def may_go_on(self, cost: CompileCost) -> bool:
        """To be asked while the job is compiled. One that turns out to be slow goes on if the slow lane has a place."""
        self.cost = cost
        if self.is_slow or not self._lanes.is_slow(cost):
            return True
        self.is_slow = True
        if not self._holds:
            self._holds = self._lanes.hold()
        return self._holds

    @property
    def source_is_slow(self) -> bool:
        """Whether it was the source that took long, or broke its compiler."""
        return self._failed or (self.is_slow and not self.cost.was_starved)

    def note(self, outcome: Outcome | None) -> None:
        """outcome: how it ended, None when its compiler was lost."""
        broke_limit = isinstance(outcome, Rejected) and outcome.broke_limit
        self._failed = broke_limit or (isinstance(outcome, Crashed) and not outcome.lacked_room)
        self.is_slow = self.is_slow or self._failed
        wasted_turn = broke_limit if self.in_slow_lane else self.is_slow or outcome is None
        self._lanes.ended(slow=self.in_slow_lane, newest=self._newest, wasted_turn=wasted_turn)

    def end(self) -> None:
        """The job has left the lane."""
        if self._holds:
            self._holds = False
            self._lanes.free()
            self._lanes.tell_free()


class Worker:
    """One of those that take jobs: from the slow lane first where it has a place, but not twice in a row."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._had_slow = False

    async def take(self, conn: Connection, language: str, visibility_s: int) -> tuple[Message, Stay] | None:
        """The next job, hidden for `visibility_s`, and its stay in its lane, which must be ended."""
        for slow in (False, True) if self._had_slow else (True, False):
            if slow and not self._lanes.hold():
                continue
            taken = None
            try:
                taken = await self._take_from(conn, language, slow, visibility_s)
            finally:
                if slow and taken is None:
                    self._lanes.free()
            if taken is not None:
                self._had_slow = slow
                return taken
        return None

    async def _take_from(
        self, conn: Connection, language: str, slow: bool, visibility_s: int
    ) -> tuple[Message, Stay] | None:
        orders = (True, False) if self._lanes.takes_newest(slow=slow) else (False,)
        for newest in orders:
            message = await turns.take(conn, language, slow=slow, newest=newest, visibility_s=visibility_s)
            if message is not None:
                return message, Stay(self._lanes, slow=slow, newest=newest)
        return None
