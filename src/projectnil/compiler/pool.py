"""Compiler processes kept warm, each lent to one compilation at a time and replaced before it grows too large."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from projectnil.compiler.process import WorkerProcess
from projectnil.domain.errors import PlatformUnavailable

log = structlog.get_logger(__name__)

# A compilation that waits longer than this for a process gets the spare one, which takes about two seconds for a small
# function until it has practised.
SPARE_AFTER_S = 1.5
SPARE_IDLE_S = 60.0
SPARES = 1


class _Place:
    """A place for one process, which comes and goes. standby: its successor, warm and waiting.

    number: those with low ones are used first. lent: how often it was. is_lent: it is now.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: WorkerProcess | None = None
        self.standby: WorkerProcess | None = None
        self.successor_is_coming = False
        self.lent = 0
        self.is_lent = False

    def __lt__(self, other: "_Place") -> bool:
        return self.number < other.number


class WarmPool:
    """`size` processes made by `launch`, brought to speed by `warm_up`, replaced once `is_worn` says so.

    One more, the spare, starts when the others are held for long, and ends when it has had nothing to do for a while.
    """

    def __init__(
        self,
        size: int,
        launch: Callable[[], Awaitable[WorkerProcess]],
        warm_up: Callable[[WorkerProcess], Awaitable[None]],
        is_worn: Callable[[WorkerProcess], bool],
        warm_ups: int,
    ) -> None:
        """warm_ups: how often a new process is given `warm_up` before it serves alone."""
        self._launch = launch
        self._warm_up = warm_up
        self._is_worn = is_worn
        self._warm_ups = warm_ups
        self._places = [_Place(number) for number in range(size)]
        self._spare = _Place(size)
        self._spare_is_asleep = True
        self._free: asyncio.PriorityQueue[_Place] = asyncio.PriorityQueue()
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def start(self) -> None:
        """Start every process but the spare; they warm up in the background. Raises PlatformUnavailable."""
        try:
            for place in self._places:
                place.process = await self._launch()
                self._in_background(self._warm_then_free(place))
        except PlatformUnavailable:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End every process, lent ones too, and whatever goes on in the background."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for place in (*self._places, self._spare):
            for process in (place.process, place.standby):
                if process is not None:
                    await process.stop()
            self._free.put_nowait(place)  # what waits finds the pool stopped

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[WorkerProcess]:
        """The next free process, for the length of the block. Raises PlatformUnavailable when none can start."""
        place = await self._next_free()
        try:
            yield await self._process_of(place)
        finally:
            self._give_back(place)

    async def _next_free(self) -> _Place:
        self._waiting += 1
        try:
            place = await self._free_or_spare()
        finally:
            self._waiting -= 1
        if self._stopped:
            self._free.put_nowait(place)
            raise PlatformUnavailable("the compiler is stopping")
        place.lent += 1
        place.is_lent = True
        return place

    async def _free_or_spare(self) -> _Place:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SPARE_AFTER_S):
                    return await self._free.get()
            # One that starts or practises is free sooner than the spare would be.
            if self._spare_is_asleep and all(place.is_lent for place in self._places):
                self._spare_is_asleep = False
                return self._spare

    async def _process_of(self, place: _Place) -> WorkerProcess:
        if place.standby is not None:
            retired, place.process, place.standby = place.process, place.standby, None
            if retired is not None:
                retired.kill()
                self._in_background(retired.stop())
        if place.process is None or not place.process.alive:
            place.process = None
            place.process = await self._launch()
        return place.process

    def _give_back(self, place: _Place) -> None:
        place.is_lent = False
        if self._stopped:
            return
        if place.process is None or not place.process.alive:
            self._in_background(self._refill(place))
            return
        is_worn = self._is_worn(place.process)
        if is_worn and place is self._spare:
            # It has no successor, which would take more memory: a new one starts when it is needed.
            self._in_background(self._end_spare())
            return
        self._make_free(place)
        if is_worn and not place.successor_is_coming:
            place.successor_is_coming = True
            self._in_background(self._bring_successor(place))

    async def _refill(self, place: _Place) -> None:
        """A dead process: the place is free again once a new one has started, or could not."""
        try:
            place.process = await self._launch()
        except PlatformUnavailable as error:
            log.warning("compiler.process.not_started", error=str(error))
            self._make_free(place)  # the next to borrow it tries again and hears why
            return
        await self._warm_then_free(place)

    async def _bring_successor(self, place: _Place) -> None:
        """A worn process: it serves on until its successor is warm."""
        try:
            successor = await self._launch()
            await self._warm(successor, lambda: False)
            place.standby = successor
        except PlatformUnavailable as error:
            log.warning("compiler.process.not_started", error=str(error))
        finally:
            place.successor_is_coming = False

    async def _warm_then_free(self, place: _Place) -> None:
        try:
            if place.process is not None:
                await self._warm(place.process, lambda: self._waiting > 0)
        finally:
            self._make_free(place)

    def _make_free(self, place: _Place) -> None:
        self._free.put_nowait(place)
        if place is self._spare:
            self._in_background(self._end_idle_spare(place.lent))

    async def _end_idle_spare(self, lent: int) -> None:
        await asyncio.sleep(SPARE_IDLE_S)
        if self._spare.lent == lent and self._take_out(self._spare):
            await self._end_spare()

    async def _end_spare(self) -> None:
        if self._spare.process is not None:
            await self._spare.process.stop()
            self._spare.process = None
        self._spare_is_asleep = True

    def _take_out(self, place: _Place) -> bool:
        """Of those that are free; False when it is not."""
        free = [self._free.get_nowait() for _ in range(self._free.qsize())]
        for other in free:
            if other is not place:
                self._free.put_nowait(other)
        return place in free

    async def _warm(self, process: WorkerProcess, is_wanted: Callable[[], bool]) -> None:
        """Compilations for practice. A real one serves as well, so no job waits for these."""
        for _ in range(self._warm_ups):
            if is_wanted() or not process.alive:
                return
            await self._warm_up(process)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
