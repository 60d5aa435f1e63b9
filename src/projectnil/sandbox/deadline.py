"""The clock that stops a guest: when the running execution's time is up, it ends the whole process."""

import threading
from collections.abc import Callable
from math import inf
from time import clock_gettime, monotonic, pthread_getcpuclockid, sleep
from typing import NoReturn, TypeAlias

# A guest that runs longer is not one that others should wait behind.
SLOW_S = 0.005
# A guest that had a processor for less than this part of its time did not use up its time: the machine did.
LEAST_SHARE = 0.005
# The clock looks every few milliseconds. Where so much time lies between two looks, the process may have been stopped.
_STILL_S = 1.0
# A guest that stood still for more than this part of its time did not use it up, either.
_MOST_STILL = 0.25

# Called when the time is up, with whether the guest had its time; ends the process.
OnTimeout: TypeAlias = Callable[[bool], NoReturn]
# For how many seconds the main thread has waited for a processor; None where the kernel does not count that.
WaitClock: TypeAlias = Callable[[], float] | None


class Deadline:
    """Watches one execution at a time, from a thread of its own that costs a short execution nothing.

    The thread looks every few milliseconds while executions come, and parks when none began between two looks. So it
    never wakes when the process is idle, and notices a spinning guest on time, to well below 10 ms.

    The guest's own code knows nothing of time: checks in its loops (Wasmtime's epochs) make them an eighth slower.
    """

    def __init__(self, on_slow: Callable[[float], None], wait_clock: WaitClock = None) -> None:
        """Guests run in the main thread. on_slow: called in the clock's thread, again and again while a guest runs
        longer than SLOW_S, with how long it has run, in seconds. The execution cannot end meanwhile. wait_clock: see
        hardening.prepare_wait_clock.
        """
        self._on_slow = on_slow
        self._at: float | None = None
        self._timeout_s = 0.0
        self._most_cpu_s = inf
        self._on_timeout: OnTimeout
        self._begun = 0
        self._seen = 0
        self._presence = _Presence(wait_clock)
        self._lock = threading.Lock()
        self._parked = False
        self._unpark = threading.Semaphore(0)
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    def begin(self, timeout_s: float, on_timeout: OnTimeout, most_cpu_s: float = inf) -> None:
        """Start the clock, before any of the guest's code runs.

        most_cpu_s: of the main thread; its time is up then, too.
        on_timeout: called in the clock's thread; the execution cannot end any more once it is.
        """
        with self._lock:
            self._at = monotonic() + timeout_s
            self._timeout_s = timeout_s
            self._most_cpu_s = most_cpu_s
            self._on_timeout = on_timeout
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
            is_new = seen != self._begun
            if self._at is None:
                self._presence.look()
                self._parked = not is_new
                return None if self._parked else SLOW_S
            if is_new:
                self._presence.begin()
            self._presence.look(self._at - self._timeout_s)
            remaining_s = self._at - monotonic()
            if remaining_s <= 0 or self._presence.used_s() >= self._most_cpu_s:
                self._on_timeout(self._presence.had(self._timeout_s))
            if not is_new:
                self._on_slow(self._timeout_s - remaining_s)
            return min(remaining_s, SLOW_S)


class _Presence:
    """How much of its time the guest under way really had: a process can be stopped, or kept from a processor."""

    def __init__(self, wait_clock: WaitClock) -> None:
        self._clock = pthread_getcpuclockid(threading.main_thread().ident or 0)
        self._wait_clock = wait_clock
        self._looked_at = monotonic()
        self._cpu_s = clock_gettime(self._clock)
        self._waited_s = self._read_waited_s()
        self._cpu_before_s = self._cpu_s
        self._still_s = 0.0

    def begin(self) -> None:
        """A guest has begun since the last look."""
        self._cpu_before_s = self._cpu_s  # the most that it can have used, rather than the least
        self._still_s = 0.0

    def look(self, begun_at: float = 0.0) -> None:
        """To be called every few milliseconds. begun_at: when the guest under way began."""
        now, cpu_s, waited_s = monotonic(), clock_gettime(self._clock), self._read_waited_s()
        gap_s = now - max(self._looked_at, begun_at)
        if gap_s > _STILL_S:
            # A guest that calls the host has the interpreter lock, which keeps the clock from looking. On a busy
            # machine it waits for a processor with it. It was not stopped.
            ran_s = cpu_s - self._cpu_s if self._wait_clock else 0.0
            self._still_s += max(gap_s - ran_s - (waited_s - self._waited_s), 0.0)
        self._looked_at, self._cpu_s, self._waited_s = now, cpu_s, waited_s

    def _read_waited_s(self) -> float:
        return self._wait_clock() if self._wait_clock is not None else 0.0

    def used_s(self) -> float:
        """How long it had a processor, until the last look."""
        return self._cpu_s - self._cpu_before_s

    def had(self, time_s: float) -> bool:
        """Did it have these seconds?"""
        return self.used_s() >= LEAST_SHARE * time_s and self._still_s <= _MOST_STILL * time_s
