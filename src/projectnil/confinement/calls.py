"""The system calls of each kind of confined process."""

import fcntl
import os
import termios

from projectnil.confinement import numbers
from projectnil.confinement.numbers import NUMBERS
from projectnil.confinement.seccomp import Allowed

_CLONE_THREAD = 0x10000
_PR_SET_NAME = 15

# What strace showed of Node while it starts, compiles and fails to, with the names that other versions of libc use for
# the same calls. Left out, with nothing missed: io_uring, which would be a second way to every other call.
# execve is its own start. A program it started then would be as confined, and Landlock names those it may.
_NODE = numbers.of("""
    futex mprotect mmap munmap madvise read write readv writev pread64 pwrite64 close fstat newfstatat statx stat
    lstat lseek openat open access faccessat faccessat2 readlink readlinkat getdents64 getcwd chdir ftruncate dup dup3
    brk mremap mincore pkey_alloc pkey_free pkey_mprotect membarrier epoll_create1 epoll_ctl epoll_wait epoll_pwait
    epoll_pwait2 eventfd2 pipe2 poll ppoll rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall
    getrandom clock_gettime clock_getres gettimeofday clock_nanosleep nanosleep getpid gettid getppid getuid geteuid
    getgid getegid capget uname sysinfo getrusage sched_getaffinity sched_getparam sched_getscheduler sched_yield
    set_robust_list set_tid_address rseq arch_prctl exit exit_group execve
""")
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
        only_with_bit=[(NUMBERS["clone"], 0, _CLONE_THREAD)],  # clone(flags): threads, and no processes
        only_with=[
            (NUMBERS["prlimit64"], (0,)),  # prlimit64(pid): of itself
            (NUMBERS["tgkill"], (pid,)),  # tgkill(process): abort(3) ends so
            (NUMBERS["prctl"], (_PR_SET_NAME,)),  # prctl(option)
        ],
        only_one_of=[
            (NUMBERS["fcntl"], 1, _FCNTL),  # fcntl(descriptor, command)
            (NUMBERS["ioctl"], 1, _IOCTL),  # ioctl(descriptor, request)
        ],
        # Its flags are in memory, where a filter cannot look. libc calls clone instead.
        absent=[NUMBERS["clone3"]],
    )
