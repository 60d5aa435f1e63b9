"""A system call filter for sandbox processes: what running a guest, making its machine code and taking a snapshot need.

Everything else is refused with EPERM, so that native code in a sandbox can neither start a program nor open a socket,
reach another process or its limits and priorities, share memory, or change a file. The list is what strace showed of
the tests of guests, translation and snapshots, with the names that other versions of libc use for the same calls.
Reading files stays possible, since loading a module is that; which files: confinement/landlock.py.
"""

import mmap
import os

from projectnil.confinement import numbers
from projectnil.confinement.numbers import NUMBERS
from projectnil.confinement.seccomp import ANY, Allowed, Numbers, allow

# The most frequent come first.
_ALLOWED = numbers.of("""
    recvfrom sendto futex mprotect clock_nanosleep nanosleep read pread64 write close lseek newfstatat fstat statx
    munmap mremap madvise brk membarrier getrandom clock_gettime gettimeofday getpid gettid sched_yield
    sched_getaffinity rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall exit exit_group
""")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Such memory outlives the process, or escapes its limit of memory (mmap(2), getrlimit(2)): MAP_SHARED, MAP_GROWSDOWN.
_UNCOUNTED = mmap.MAP_SHARED | 0x100
# Allowed unless an argument has one of the bits: the call, which argument from 0, the bits.
_UNLESS_ANY_BIT: tuple[tuple[Numbers, int, int], ...] = (
    (NUMBERS["mmap"], 3, _UNCOUNTED),  # mmap(address, size, protection, flags)
    (NUMBERS["openat"], 2, _WRITING),  # openat(directory, path, flags)
    (NUMBERS["open"], 1, _WRITING),  # open(path, flags)
)
_TCGETS = 0x5401  # is it a terminal? Python asks of each file that it opens


def _only_with(pid: int) -> tuple[tuple[Numbers, tuple[int, ...]], ...]:
    """What is allowed only with these values as its first arguments. pid: this process's own."""
    return (
        (NUMBERS["ioctl"], (ANY, _TCGETS)),  # ioctl(descriptor, request)
        (NUMBERS["getpriority"], (os.PRIO_PROCESS, pid)),  # getpriority(which, who)
        (NUMBERS["setpriority"], (os.PRIO_PROCESS, pid)),  # setpriority(which, who)
        (NUMBERS["sched_setattr"], (pid,)),  # sched_setattr(pid)
    )


def allow_needed_system_calls() -> str:
    """For good, and for every thread. Needs no_new_privs. Returns why it could not be done; empty when it was."""
    return allow(Allowed(_ALLOWED, unless_any_bit=_UNLESS_ANY_BIT, only_with=_only_with(os.getpid())))
