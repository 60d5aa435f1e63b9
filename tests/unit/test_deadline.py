"""The clock of a guest: it tells a guest that used up its time from one that was kept from it."""

import queue
import threading
import time
from typing import NoReturn

import pytest

from projectnil.sandbox import deadline as deadline_module
from projectnil.sandbox.deadline import Deadline


class Verdicts:
    """What the clock said when the time was up. Its thread goes no further; a sandbox process ends then."""

    def __init__(self) -> None:
        self._said: queue.Queue[bool] = queue.Queue()

    def on_timeout(self, had_its_time: bool) -> NoReturn:
        self._said.put(had_its_time)
        while True:
            time.sleep(3600)

    def said(self) -> bool:
        return self._said.get(timeout=60)

    def spin_until_it_is_said(self) -> bool:
        while self._said.empty():
            pass
        return self.said()


def ignore(_elapsed_s: float) -> None:
    pass


def test_a_guest_that_computed_has_had_its_time() -> None:
    verdicts = Verdicts()
    Deadline(ignore).begin(0.5, verdicts.on_timeout)
    assert verdicts.spin_until_it_is_said()


def test_a_guest_that_hardly_got_a_processor_has_not() -> None:
    verdicts = Verdicts()
    Deadline(ignore).begin(0.5, verdicts.on_timeout)
    assert not verdicts.said()  # this thread sleeps meanwhile


def test_what_earlier_guests_computed_does_not_count() -> None:
    verdicts, deadline = Verdicts(), Deadline(ignore)
    for _ in range(3):
        deadline.begin(60.0, verdicts.on_timeout)
        ends = time.thread_time() + 0.1
        while time.thread_time() < ends:
            pass
        deadline.end()
    time.sleep(0.1)  # so that the clock has parked
    deadline.begin(0.5, verdicts.on_timeout)
    assert not verdicts.said()


def test_a_guest_that_stood_still_for_a_while_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock's thread stands still with the process: here it alone, for so long that it shows.
    monkeypatch.setattr(deadline_module, "_STILL_S", 0.3)
    is_over = threading.Event()

    def stand_still(_seconds: float) -> None:
        is_over.wait(0.5)

    monkeypatch.setattr(deadline_module, "sleep", stand_still)
    verdicts = Verdicts()
    Deadline(ignore).begin(1.0, verdicts.on_timeout)
    assert not verdicts.spin_until_it_is_said()


def test_no_guest_is_told_to_be_slow_once_it_has_ended() -> None:
    is_told, has_ended = threading.Event(), threading.Event()
    ended_meanwhile: list[bool] = []

    def on_slow(_elapsed_s: float) -> None:
        is_told.set()
        ended_meanwhile.append(has_ended.wait(0.2))

    deadline = Deadline(on_slow)
    deadline.begin(60.0, Verdicts().on_timeout)
    assert is_told.wait(60)
    deadline.end()
    has_ended.set()
    assert not any(ended_meanwhile)
