"""What a sandbox process gives up before it meets its first guest. All of it is lost for good, by the kernel's rules.

See also confinement/privileges.py and landlock.py, and seccomp.py.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from projectnil.confinement import privileges
from projectnil.sandbox.seccomp import allow_needed_system_calls

_CAP_DAC_READ_SEARCH = 1 << 2
# Each loaded module keeps its file open (engine.LOADED_MODULES); the rest is the socket and the standard streams.
_OPEN_FILES = 256


def outlive_signals_but_not_the_parent(parent_pid: int) -> None:
    """From now on only SIGKILL and the parent's end stop this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not privileges.die_with(parent_pid):
        sys.exit(0)


def prepare_to_give_way() -> Callable[[int], bool]:
    """Returns what lowers the main thread's priority to a nice value, for good.

    That returns False when it must be called again to be complete. To be called before `give_up_privileges` and
    `allow_only_reading`, in a process that leads no group.
    """
    # Where the kernel groups processes by session (sched(7), "The autogroup feature"), a priority counts within the
    # session only, and the session's own priority counts outside.
    os.setsid()
    try:
        autogroup = os.open("/proc/self/autogroup", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        autogroup = None

    def give_way(nice: int) -> bool:
        # On Linux a priority belongs to a thread, and the main thread's id is the process's (setpriority(2), NOTES).
        os.setpriority(os.PRIO_PROCESS, os.getpid(), nice)
        if autogroup is None:
            return True
        try:
            os.write(autogroup, str(nice).encode())
        except BlockingIOError:
            return False  # the kernel changes only so many groups a second
        except OSError:
            return True  # it will not change this one
        return True

    return give_way


def prepare_wait_clock() -> Callable[[], float] | None:
    """Returns what tells for how many seconds, in all, the main thread was ready to run and waited for a processor.

    None where the kernel does not count that. To be called in the main thread, before `allow_only_reading`.
    """
    # Documentation/scheduler/sched-stats.rst: time on a processor and time waiting for one, in ns, and how many slices.
    try:
        schedstat = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None

    def read() -> list[int]:
        return [int(number) for number in os.pread(schedstat, 128, 0).split()]

    if read()[2] == 0:  # it is there, but nothing counts
        os.close(schedstat)
        return None
    return lambda: read()[1] / 1e9


def give_up_privileges(most_data_bytes: int) -> str:
    """No core files, no writing to files, few open files and little memory, no system calls but the needed. For every
    thread.

    To be called after `drop_capabilities`. most_data_bytes: of memory to write to, as `data_bytes` counts it. Returns
    what the kernel refused, in words; empty when nothing.
    """
    limits = {**_LIMITS, "RLIMIT_DATA": most_data_bytes}
    refused = [_limited(what, most) for what, most in limits.items()]
    refused.append(allow_needed_system_calls())
    return "; ".join(problem for problem in refused if problem)


def close_standard_streams() -> None:
    """Standard error is the platform's log, which this process could cut short. Standard input must be /dev/null."""
    for stream in (1, 2):
        os.dup2(0, stream)


def drop_capabilities() -> str:
    """Gain no powers from now on, and keep of root's only the one to pass through closed folders, where the module
    files may lie.

    Without the others it cannot look into the processes of the platform, which have more. To be called before the
    process has threads: each has powers of its own. Returns what the kernel refused, in words; empty when nothing.
    """
    return privileges.keep_capabilities(_CAP_DAC_READ_SEARCH)


_LIMITS = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, "RLIMIT_NOFILE": _OPEN_FILES}


def data_bytes() -> int:
    """How much memory this process could write to by now, used or not: what RLIMIT_DATA limits, and the stack."""
    # proc_pid_statm(5): the sixth number, in pages
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()


def _limited(name: str, most: int) -> str:
    try:
        privileges.limit(getattr(resource, name), most)
    except OSError as error:
        return f"{name}: {error}"
    return ""
