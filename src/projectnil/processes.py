"""What every child process of the platform has in common."""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_DUMPABLE = 4
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
