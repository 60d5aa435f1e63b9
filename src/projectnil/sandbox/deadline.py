"""The clock that stops a guest: it raises the engine's epoch once the running execution's time is up."""

import threading
from time import monotonic, sleep

from projectnil.sandbox.capi import Address, increment_epoch, set_epoch_deadline


class Deadline:
    """Watches one execution at a time, from a thread of its own that costs a short execution nothing.

    The thread sleeps until the deadline it knows, and only then looks whether a later execution has replaced that
    one; it parks when it finds none. So it wakes once per timeout under load, never when idle, and on time (the
    sleep's precision, well below 10 ms) when a guest spins.
    """

    def __init__(self, engine: Address, timeout_s: float) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._at: float | None = None
        self._lock = threading.Lock()
        self._parked = False
        self._unpark = threading.Semaphore(0)
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    def begin(self, context: Address) -> None:
        """Start the clock of the store `context`, before any of its guest's code runs."""
        # The lock keeps an increment meant for the previous execution out of this one.
        with self._lock:
            self._at = monotonic() + self._timeout_s
            set_epoch_deadline(context, 1)
            if self._parked:
                self._parked = False
                self._unpark.release()

    def end(self) -> None:
        self._at = None

    def _watch(self) -> None:
        while True:
            remaining_s = self._look()
            if remaining_s is None:
                self._unpark.acquire()
            elif remaining_s > 0:
                sleep(remaining_s)

    def _look(self) -> float | None:
        """How long to sleep, in seconds; None to park."""
        with self._lock:
            at = self._at
            if at is None:
                self._parked = True
                return None
            remaining_s = at - monotonic()
            if remaining_s <= 0:
                increment_epoch(self._engine)
                self._at = None
            return remaining_s
