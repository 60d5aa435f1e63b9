"""Lets one in at a time."""

import asyncio
from collections import deque


class Turnstile:
    """First come, first served. After a turn that was wasted, the newest is next, and then the first in line again.

    So a crowd that wastes its turns does not hold up what comes after it.
    """

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._came_as_newest = False

    @property
    def is_waited_for(self) -> bool:
        return any(not future.done() for future in self._waiting)

    def try_enter(self) -> bool:
        """Enter if it is free."""
        if self._is_taken:
            return False
        self._is_taken, self._came_as_newest = True, False
        return True

    async def enter(self) -> None:
        """Wait for a turn."""
        if self.try_enter():
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future in self._waiting:
                self._waiting.remove(future)
            elif not future.cancelled():
                self.leave()  # it was let in at the same moment
            raise

    def leave(self, *, wasted_turn: bool = False) -> None:
        """Let the next one in. wasted_turn: it took its time and achieved nothing."""
        newest = wasted_turn and not self._came_as_newest
        while self._waiting:
            future = self._waiting.pop() if newest else self._waiting.popleft()
            if not future.done():
                self._came_as_newest = newest
                future.set_result(None)
                return
        self._is_taken = False
