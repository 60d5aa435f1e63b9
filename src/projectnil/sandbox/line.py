"""A line in which those of one function wait behind each other, and functions take turns."""

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

import msgspec

Result = TypeVar("Result")


class Place(msgspec.Struct, Generic[Result], eq=False):
    """since: on the loop's clock, when its caller came."""

    function: str
    since: float
    future: "asyncio.Future[Result]"


class Line(Generic[Result]):
    """The oldest of the function that holds least comes first. length: how many wait."""

    def __init__(self, load: Callable[[str], int]) -> None:
        """load: how much a function holds already."""
        self._load = load
        self._of: dict[str, deque[Place[Result]]] = {}
        self.length = 0

    def __iter__(self) -> Iterator[Place[Result]]:
        return (place for places in self._of.values() for place in places)

    def __contains__(self, place: Place[Result]) -> bool:
        return place in self._of.get(place.function, ())

    def counts(self, may: Callable[[str], bool]) -> dict[str, int]:
        """How many of each function are in the line, of those whose turn it can be."""
        return {function: len(places) for function, places in self._of.items() if may(function)}

    def add(self, place: Place[Result]) -> None:
        # Not always the last: it may have been handed back.
        insort(self._of.setdefault(place.function, deque()), place, key=_since)
        self.length += 1

    def remove(self, place: Place[Result]) -> None:
        places = self._of[place.function]
        places.remove(place)
        self.length -= 1
        if not places:
            del self._of[place.function]

    def first(self, may: Callable[[str], bool] | None = None) -> Place[Result] | None:
        """Who comes next, and stays in the line; None when there is none. may: which functions' turn it can be."""
        heads = [places[0] for function, places in self._of.items() if may is None or may(function)]
        return min(heads, key=self._rank, default=None)

    def take_all(self, may: Callable[[str], bool]) -> Iterator[Place[Result]]:
        """Remove all whose function's turn it can be, and yield them as they come.

        In time in proportion to the functions. Until the end, a function that may not stays so, and only the load of
        those that were yielded changes.
        """
        heads = [(*self._rank(places[0]), function) for function, places in self._of.items() if may(function)]
        heapify(heads)
        while heads:
            *_, function = heappop(heads)
            if not may(function):
                continue
            place = self._of[function][0]
            self.remove(place)
            yield place
            if function in self._of:
                heappush(heads, (*self._rank(self._of[function][0]), function))

    def _rank(self, place: Place[Result]) -> tuple[int, float]:
        return self._load(place.function), place.since


def _since(place: Place[Result]) -> float:
    return place.since
