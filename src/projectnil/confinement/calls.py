"""The system calls of each kind of confined process."""

import fcntl
import os
import termios

from projectnil.confinement.seccomp import Allowed, Numbers

_CLONE_THREAD = 0x10000
_PR_SET_NAME = 15

# What strace showed of Node while it starts, compiles and fails to, with the names that other versions of libc use for
# the same calls. Left out, with nothing missed: io_uring, which would be a second way to every other call.
_NODE: dict[str, Numbers] = {
    "futex": (202, 98), "mprotect": (10, 226), "mmap": (9, 222), "munmap": (11, 215), "madvise": (28, 233),
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67), "pwrite64": (18, 68),
    "close": (3, 57), "fstat": (5, 80), "newfstatat": (262, 79), "statx": (332, 291), "stat": (4, None),
    "lstat": (6, None), "lseek": (8, 62), "openat": (257, 56), "open": (2, None), "access": (21, None),
    "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78),
    "getdents64": (217, 61), "getcwd": (79, 17), "chdir": (80, 49), "ftruncate": (77, 46),
    "dup": (32, 23), "dup3": (292, 24), "brk": (12, 214), "mremap": (25, 216), "mincore": (27, 232),
    "pkey_alloc": (330, 289), "pkey_free": (331, 290), "pkey_mprotect": (329, 288), "membarrier": (324, 283),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441), "eventfd2": (290, 19), "pipe2": (293, 59), "poll": (7, None), "ppoll": (271, 73),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "restart_syscall": (219, 128), "getrandom": (318, 278), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "gettimeofday": (96, 169), "clock_nanosleep": (230, 115), "nanosleep": (35, 101), "getpid": (39, 172),
    "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "capget": (125, 90), "uname": (63, 160), "sysinfo": (99, 179), "getrusage": (98, 165),
    "sched_getaffinity": (204, 123), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "sched_yield": (24, 124), "set_robust_list": (273, 99), "set_tid_address": (218, 96), "rseq": (334, 293),
    "arch_prctl": (158, None), "exit": (60, 93), "exit_group": (231, 94),
    # Its own start. A program it started then would be as confined, and Landlock names those it may.
    "execve": (59, 221),
}  # fmt: skip
# Without F_SETOWN and F_SETSIG: they make the kernel send a signal to any process of the same user when a pipe is
# written, which no filter of kill(2) would stop. O_ASYNC, which F_SETFL can set, does nothing without an owner.
_FCNTL = (fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_GETFD, fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC)
_TCGETS2 = 0x802C542A  # what newer versions of libc ask instead of TCGETS
_IOCTL = (
    termios.TCGETS, _TCGETS2, termios.TIOCGWINSZ, termios.FIONBIO, termios.FIOCLEX, termios.FIONCLEX, termios.FIONREAD,
)  # fmt: skip


def of(name: str) -> Allowed:
    """The list of this name, for this very process: some calls are allowed only upon itself."""
    return {"node": _node}[name](os.getpid())


def _node(pid: int) -> Allowed:
    return Allowed(
        _NODE,
        only_with_bit=[((56, 220), 0, _CLONE_THREAD)],  # clone(flags): threads, and no processes
        only_with=[
            ((302, 261), (0,)),  # prlimit64(pid): of itself
            ((234, 131), (pid,)),  # tgkill(process): abort(3) ends so
            ((157, 167), (_PR_SET_NAME,)),  # prctl(option)
        ],
        only_one_of=[
            ((72, 25), 1, _FCNTL),  # fcntl(descriptor, command)
            ((16, 29), 1, _IOCTL),  # ioctl(descriptor, request)
        ],
        # Its flags are in memory, where a filter cannot look. libc calls clone instead.
        absent=[(435, 435)],
    )
