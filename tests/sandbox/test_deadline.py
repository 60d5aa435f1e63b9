import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from projectnil.sandbox.deadline import Deadline
from projectnil.sandbox.hardening import prepare_wait_clock

# What ends the clock's thread here ends the process elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

# Sleeps without giving back the interpreter lock.
_usleep = ctypes.PyDLL(None).usleep
TIME_S, HELD_S = 2.0, 1.2


@pytest.fixture
def switching_on_request() -> Iterator[None]:
    """Threads take turns only where one waits."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(60.0)
    yield
    sys.setswitchinterval(interval_s)


def had_its_time(work: Callable[[], None], wait_clock: Callable[[], float] | None) -> bool:
    told: list[bool] = []
    is_over = threading.Event()

    def end(had: bool) -> NoReturn:
        told.append(had)
        is_over.set()
        raise SystemExit

    Deadline(lambda _: None, wait_clock).begin(TIME_S, end)
    work()
    assert is_over.wait(60)
    return told[0]


def use_cpu(cpu_s: float) -> None:
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        time.sleep(0)


@pytest.mark.usefixtures("switching_on_request")
@pytest.mark.parametrize(("waited_s", "had"), [(HELD_S, True), (0.0, False)])
def test_a_guest_that_waited_for_a_processor_with_the_interpreter_lock_did_not_stand_still(
    waited_s: float, had: bool
) -> None:
    in_all_s = [0.0]

    def work() -> None:
        use_cpu(0.1)
        in_all_s[0] = waited_s
        _usleep(int(HELD_S * 1e6))

    assert had_its_time(work, lambda: in_all_s[0]) == had


@pytest.mark.usefixtures("switching_on_request")
def test_where_the_kernel_does_not_count_waiting_all_of_a_long_pause_counts_as_standing_still() -> None:
    def work() -> None:
        use_cpu(0.1)
        _usleep(int(HELD_S * 1e6))

    assert not had_its_time(work, None)


def test_the_wait_clock_tells_how_long_the_main_thread_waits_for_a_processor() -> None:
    clock = prepare_wait_clock()
    if clock is None:
        pytest.skip("this kernel does not count how long a thread waits (/proc/self/schedstat)")
    processors = os.sched_getaffinity(0)
    processor = min(processors)
    program = f"import os; os.sched_setaffinity(0, [{processor}])\nwhile True: pass"
    other = subprocess.Popen([sys.executable, "-c", program])
    before_s, give_up_at = clock(), time.monotonic() + 60
    try:
        os.sched_setaffinity(0, [processor])
        while clock() < before_s + 0.05:
            assert time.monotonic() < give_up_at
    finally:
        os.sched_setaffinity(0, processors)
        other.kill()
        other.wait()
