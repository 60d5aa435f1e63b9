"""The clock that stops a guest: when the running execution's time is up, it ends the whole process."""

import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import NoReturn

# A guest that runs longer is not one that others should wait behind.
SLOW_S = 0.005


class Deadline:
    """Watches one execution at a time, from a thread of its own that costs a short execution nothing.

    The thread looks every few milliseconds while executions come, and parks when none began between two looks. So it
    never wakes when the process is idle, and notices a spinning guest on time, to well below 10 ms.

    The guest's own code knows nothing of time: checks in its loops (Wasmtime's epochs) make them an eighth slower.
    """

    def __init__(self, timeout_s: float, on_slow: Callable[[float], None], on_timeout: Callable[[], NoReturn]) -> None:
        """Both are called in the clock's thread. on_slow: again and again while a guest runs longer than SLOW_S, with
        how long it has run, in seconds.

        on_timeout: ends the process; the execution cannot end any more once it is called.
        """
        self._timeout_s = timeout_s
        self._on_slow = on_slow
        self._on_timeout = on_timeout
        self._at: float | None = None
        self._begun = 0
        self._seen = 0
        self._lock = threading.Lock()
        self._parked = False
        self._unpark = threading.Semaphore(0)
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    def begin(self) -> None:
        """Start the clock, before any of the guest's code runs."""
        with self._lock:
            self._at = monotonic() + self._timeout_s
            self._begun += 1
            if self._parked:
                self._parked = False
                self._unpark.release()

    def end(self) -> None:
        """Stop it. Does not return when the time was up."""
        with self._lock:
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
                self._on_timeout()
            is_slow = seen == self._begun
        if is_slow:
            self._on_slow(self._timeout_s - remaining_s)
        return min(remaining_s, SLOW_S)
