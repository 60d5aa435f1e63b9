"""What a process gives up for good, and its life with that of its parent.

Sources: prctl(2), capset(2), capabilities(7), setrlimit(2).
"""

import ctypes
import os
import resource
import signal

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent_pid: int) -> bool:
    """From now on the kernel kills this process when its parent ends. False when the parent has ended already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent_pid


def keep_capabilities(kept: int) -> str:
    """Gain none from now on, and of those that this process has keep only `kept`, bits of 1 << capability below 32.

    To be called before the process has threads: each has capabilities of its own. Returns what the kernel refused, in
    words; empty when nothing.
    """
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return f"no_new_privs: {os.strerror(ctypes.get_errno())}"
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the same for capabilities above 31
    if _libc.capget(header, held) != 0:
        return f"capget: {os.strerror(ctypes.get_errno())}"
    if _libc.capset(header, (ctypes.c_uint32 * 6)(held[0] & kept, held[1] & kept)) != 0:
        return f"capset: {os.strerror(ctypes.get_errno())}"
    return ""


def limit(what: int, most: int) -> None:
    """Lower a limit of this process, resource.RLIMIT_..., to `most`. A lower one stays as it is. Raises OSError."""
    _, hard = resource.getrlimit(what)
    lowest = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (lowest, lowest))
