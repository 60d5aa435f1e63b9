"""A system call filter for sandbox processes: what running a guest, making its machine code and taking a snapshot need.

Everything else is refused with EPERM, so that native code in a sandbox can neither start a program nor open a socket,
reach another process or its limits and priorities, share memory, or change a file. The list is what strace showed of
the tests of guests, translation and snapshots, with the names that other versions of libc use for the same calls.
Reading files stays possible, since loading a module is that; which files: confinement/landlock.py.
"""

import mmap
import os

from projectnil.confinement.seccomp import ANY, Allowed, Numbers, allow

# By name, the number on x86_64 and the one on aarch64. The most frequent come first.
_ALLOWED: dict[str, Numbers] = {
    "recvfrom": (45, 207), "sendto": (44, 206), "futex": (202, 98), "mprotect": (10, 226),
    "clock_nanosleep": (230, 115), "nanosleep": (35, 101), "read": (0, 63), "pread64": (17, 67),
    "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "newfstatat": (262, 79), "fstat": (5, 80),
    "statx": (332, 291), "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233), "brk": (12, 214),
    "membarrier": (324, 283), "getrandom": (318, 278), "clock_gettime": (228, 113), "gettimeofday": (96, 169),
    "getpid": (39, 172), "gettid": (186, 178), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "restart_syscall": (219, 128), "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Such memory outlives the process, or escapes its limit of memory (mmap(2), getrlimit(2)): MAP_SHARED, MAP_GROWSDOWN.
_UNCOUNTED = mmap.MAP_SHARED | 0x100
# Allowed unless an argument has one of the bits: (on x86_64, on aarch64), which argument from 0, the bits.
_UNLESS_ANY_BIT: tuple[tuple[Numbers, int, int], ...] = (
    ((9, 222), 3, _UNCOUNTED),  # mmap(address, size, protection, flags)
    ((257, 56), 2, _WRITING),  # openat(directory, path, flags)
    ((2, None), 1, _WRITING),  # open(path, flags)
)
_TCGETS = 0x5401  # is it a terminal? Python asks of each file that it opens


def _only_with(pid: int) -> tuple[tuple[Numbers, tuple[int, ...]], ...]:
    """What is allowed only with these values as its first arguments. pid: this process's own."""
    return (
        ((16, 29), (ANY, _TCGETS)),  # ioctl(descriptor, request)
        ((140, 141), (os.PRIO_PROCESS, pid)),  # getpriority(which, who)
        ((141, 140), (os.PRIO_PROCESS, pid)),  # setpriority(which, who)
        ((314, 274), (pid,)),  # sched_setattr(pid)
    )


def allow_needed_system_calls() -> str:
    """For good, and for every thread. Needs no_new_privs. Returns why it could not be done; empty when it was."""
    return allow(Allowed(_ALLOWED, unless_any_bit=_UNLESS_ANY_BIT, only_with=_only_with(os.getpid())))
