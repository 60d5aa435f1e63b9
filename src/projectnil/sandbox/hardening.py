"""What a sandbox process gives up before it meets its first guest. All of it is lost for good, by the kernel's rules.

Sources: prctl(2), setrlimit(2).
"""

import ctypes
import os
import resource
import signal
import sys

from projectnil.sandbox.seccomp import deny_system_calls

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
# Each loaded module keeps its file open (engine.LOADED_MODULES); the rest is the socket and the standard streams.
_OPEN_FILES = 256

_libc = ctypes.CDLL(None, use_errno=True)


def outlive_signals_but_not_the_parent(parent_pid: int) -> None:
    """From now on only SIGKILL and the parent's end stop this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the kernel was asked to tell
        sys.exit(0)


def give_up_privileges() -> str:
    """No core files, no writing to files, few open files, no gaining privileges, no system calls but the needed.

    Returns what the kernel refused, in words; empty when nothing.
    """
    refused = [_limit(what, most) for what, most in _LIMITS.items()]
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        refused.append(f"no_new_privs: {os.strerror(ctypes.get_errno())}")
    refused.append(deny_system_calls())
    return "; ".join(problem for problem in refused if problem)


_LIMITS = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, "RLIMIT_NOFILE": _OPEN_FILES}


def _limit(name: str, most: int) -> str:
    try:
        resource.setrlimit(getattr(resource, name), (most, most))
    except (OSError, ValueError) as error:
        return f"{name}: {error}"
    return ""
