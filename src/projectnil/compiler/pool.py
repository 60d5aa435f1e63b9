"""Compiler processes kept warm, each lent to one compilation at a time and replaced before it grows too large."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from projectnil.compiler.process import WorkerProcess
from projectnil.domain.errors import PlatformUnavailable

log = structlog.get_logger(__name__)


class _Place:
    """A place for one process, which comes and goes. standby: its successor, warm and waiting."""

    def __init__(self) -> None:
        self.process: WorkerProcess | None = None
        self.standby: WorkerProcess | None = None
        self.successor_is_coming = False


class WarmPool:
    """`size` processes made by `launch`, brought to speed by `warm_up`, replaced once `is_worn` says so."""

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
        self._places = [_Place() for _ in range(size)]
        self._free: asyncio.Queue[_Place] = asyncio.Queue()
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def start(self) -> None:
        """Start every process; they warm up in the background. Raises PlatformUnavailable."""
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
        for place in self._places:
            for process in (place.process, place.standby):
                if process is not None:
                    await process.stop()
            self._free.put_nowait(place)  # those who wait find the pool stopped

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
            place = await self._free.get()
        finally:
            self._waiting -= 1
        if self._stopped:
            self._free.put_nowait(place)
            raise PlatformUnavailable("the compiler is stopping")
        return place

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
        if self._stopped:
            return
        if place.process is None or not place.process.alive:
            self._in_background(self._refill(place))
            return
        self._free.put_nowait(place)
        if self._is_worn(place.process) and not place.successor_is_coming:
            place.successor_is_coming = True
            self._in_background(self._bring_successor(place))

    async def _refill(self, place: _Place) -> None:
        """A dead process: the place is free again once a new one has started, or could not."""
        try:
            place.process = await self._launch()
        except PlatformUnavailable as error:
            log.warning("compiler.process.not_started", error=str(error))
            self._free.put_nowait(place)  # the next to borrow it tries again and hears why
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
            self._free.put_nowait(place)

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
