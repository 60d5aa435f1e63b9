"""The numbers of system calls, by name.

They are those of the kernel's syscall_64.tbl (x86_64) and include/uapi/asm-generic/unistd.h (aarch64).
"""

from projectnil.confinement.seccomp import Numbers

# On x86_64 and on aarch64; None where it does not exist.
NUMBERS: dict[str, Numbers] = {
    "access": (21, None), "arch_prctl": (158, None), "brk": (12, 214), "capget": (125, 90), "chdir": (80, 49),
    "clock_getres": (229, 114), "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "clone": (56, 220),
    "clone3": (435, 435), "close": (3, 57), "dup": (32, 23), "dup3": (292, 24), "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21), "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441), "epoll_wait": (232, None),
    "eventfd2": (290, 19), "execve": (59, 221), "exit": (60, 93), "exit_group": (231, 94), "faccessat": (269, 48),
    "faccessat2": (439, 439), "fcntl": (72, 25), "fstat": (5, 80), "ftruncate": (77, 46), "futex": (202, 98),
    "getcwd": (79, 17), "getdents64": (217, 61), "getegid": (108, 177), "geteuid": (107, 175), "getgid": (104, 176),
    "getpid": (39, 172), "getppid": (110, 173), "getpriority": (140, 141), "getrandom": (318, 278),
    "getrusage": (98, 165), "gettid": (186, 178), "gettimeofday": (96, 169), "getuid": (102, 174), "ioctl": (16, 29),
    "lseek": (8, 62), "lstat": (6, None), "madvise": (28, 233), "membarrier": (324, 283), "mincore": (27, 232),
    "mmap": (9, 222), "mprotect": (10, 226), "mremap": (25, 216), "munmap": (11, 215), "nanosleep": (35, 101),
    "newfstatat": (262, 79), "open": (2, None), "openat": (257, 56), "pipe2": (293, 59), "pkey_alloc": (330, 289),
    "pkey_free": (331, 290), "pkey_mprotect": (329, 288), "poll": (7, None), "ppoll": (271, 73), "prctl": (157, 167),
    "pread64": (17, 67), "prlimit64": (302, 261), "pwrite64": (18, 68), "read": (0, 63), "readlink": (89, None),
    "readlinkat": (267, 78), "readv": (19, 65), "recvfrom": (45, 207), "restart_syscall": (219, 128),
    "rseq": (334, 293), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "sched_setattr": (314, 274), "sched_yield": (24, 124), "sendto": (44, 206), "set_robust_list": (273, 99),
    "set_tid_address": (218, 96), "setpriority": (141, 140), "sigaltstack": (131, 132), "stat": (4, None),
    "statx": (332, 291), "sysinfo": (99, 179), "tgkill": (234, 131), "uname": (63, 160), "write": (1, 64),
    "writev": (20, 66),
}  # fmt: skip


def of(names: str) -> dict[str, Numbers]:
    """The numbers of these calls, in this order. Raises KeyError for one that the table does not have."""
    return {name: NUMBERS[name] for name in names.split()}
