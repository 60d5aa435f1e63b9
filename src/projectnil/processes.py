"""What every child process of the platform has in common."""

import contextlib
import ctypes
import os
import platform
import signal
import struct
import time
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_DUMPABLE = 4
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
# struct sched_attr { u32 size; u32 policy; u64 flags; s32 nice; u32 priority; u64 runtime, deadline, period; }, see
# sched_setattr(2). For an ordinary policy, since Linux 6.12, `runtime` is the slice asked for, in ns; 0 is the default.
_SCHED_ATTR = struct.Struct("IIQiIQQQ")
SHORT_SLICES_NS = 500_000
LONG_SLICES_NS = 100_000_000
DEFAULT_SLICES_NS = 0
_M_MMAP_THRESHOLD = -3  # mallopt(3)
_LARGE_BYTES = 256 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(how: signal.Signals) -> Callable[[], None]:
    """A function for the child to run before exec: the kernel sends it `how` when its parent ends, however it ends.

    The parent's thread that forks must be one that lives as long as the parent: the main thread.
    """
    parent = os.getpid()

    def ask_kernel() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, how.value, 0, 0, 0)
        if os.getppid() != parent:
            # The parent ended before the kernel was asked.
            os._exit(1)

    return ask_kernel


def hide_from_siblings() -> None:
    """Close this process's memory and environment (/proc/PID) to other processes of the same user.

    The environment may hold the database's password; a sandbox runs as the same user.
    """
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def give_back_large_memory() -> None:
    """From now on what is large goes back to the kernel as soon as it is freed.

    glibc keeps larger and larger pieces for the process once it has seen such freed, and a small one at the end of
    those is enough to hold them. Without effect where the C library is another.
    """
    with contextlib.suppress(AttributeError):
        _libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def cpu_s(pid: int) -> float | None:
    """How long a process has had a processor, all its threads together; None when it is gone."""
    # The clock of a process (clock_getcpuclockid(3)): the complement of its id, and CPUCLOCK_SCHED.
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return None


def take_slices(slice_ns: int) -> None:
    """How long this process's main thread, and what it starts from now on, may keep a processor that others want.

    All processes get the same share of time in the end. One that asks for short slices gets its share sooner after
    waking up, from those with longer ones. Without effect where the kernel does not know it.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if number is not None:
        # On Linux a priority belongs to a thread, and the main thread's id is the process's (setpriority(2), NOTES).
        priority = os.getpriority(os.PRIO_PROCESS, os.getpid())
        attributes = _SCHED_ATTR.pack(_SCHED_ATTR.size, 0, 0, priority, 0, slice_ns, 0, 0)
        _libc.syscall(number, os.getpid(), attributes, 0)
