"""The clock that stops a guest: it raises the engine's epoch once the running execution's time is up."""

import threading
from collections.abc import Callable
from time import monotonic, sleep

from projectnil.sandbox.capi import Address, increment_epoch, set_epoch_deadline

# A guest that runs longer is not one that others should wait behind.
SLOW_S = 0.005


class Deadline:
    """Watches one execution at a time, from a thread of its own that costs a short execution nothing.

    The thread looks every few milliseconds while executions come, and parks when none began between two looks. So it
    never wakes when the process is idle, and stops a spinning guest on time (the sleep's precision, well below 10 ms).
    """

    def __init__(self, engine: Address, timeout_s: float, on_slow: Callable[[], None]) -> None:
        """on_slow: called in the clock's thread, again and again while the same guest runs longer than SLOW_S."""
        self._engine = engine
        self._timeout_s = timeout_s
        self._on_slow = on_slow
        self._at: float | None = None
        self._begun = 0
        self._seen = 0
        self._lock = threading.Lock()
        self._parked = False
        self._unpark = threading.Semaphore(0)
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    def begin(self, context: Address) -> None:
        """Start the clock of the store `context`, before any of its guest's code runs."""
        # The lock keeps an increment meant for the previous execution out of this one.
        with self._lock:
            self._at = monotonic() + self._timeout_s
            self._begun += 1
            set_epoch_deadline(context, 1)
            if self._parked:
                self._parked = False
                self._unpark.release()

    def end(self) -> None:
        self._at = None

    def _watch(self) -> None:
        while True:
            pause_s = self._look()
            if pause_s is None:
                self._unpark.acquire()
            else:
                sleep(pause_s)

    def _look(self) -> float | None:
        """How long to sleep, in seconds; None to park."""
        with self._lock:
            seen, self._seen = self._seen, self._begun
            if self._at is None:
                self._parked = seen == self._begun
                return None if self._parked else SLOW_S
            remaining_s = self._at - monotonic()
            if remaining_s <= 0:
                increment_epoch(self._engine)
                self._at = None
                return SLOW_S
            is_slow = seen == self._begun
        if is_slow:
            self._on_slow()
        return min(remaining_s, SLOW_S)
