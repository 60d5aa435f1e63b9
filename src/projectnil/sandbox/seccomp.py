"""A system call filter for sandbox processes: what running a guest, making its machine code and taking a snapshot need.

Everything else is refused with EPERM, so that native code in a sandbox can neither start a program nor open a socket,
reach another process or its limits and priorities, share memory, or change a file. The list is what strace showed of
the tests of guests, translation and snapshots, with the names that other versions of libc use for the same calls.
Reading files stays possible, since loading a module is that; which files: landlock.py.

Sources: seccomp(2), bpf(2) (classic BPF); the numbers are those of the kernel's syscall_64.tbl (x86_64) and
include/uapi/asm-generic/unistd.h (aarch64).
"""

import ctypes
import errno
import mmap
import os
import platform
import struct
from collections.abc import Iterator, Sequence

_SET_MODE_FILTER = 1
_FLAG_TSYNC = 1  # the clock's thread too
_KILL_PROCESS = 0x80000000
_ALLOW = 0x7FFF0000
_DENY = 0x00050000 | errno.EPERM

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS: a word of struct seccomp_data
_IF_EQUAL = 0x15
_IF_AT_LEAST = 0x35
_IF_ANY_BIT = 0x45
_RETURN = 0x06

# struct seccomp_data { int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6]; }
_NUMBER_AT = 0
_ARCHITECTURE_AT = 4
_ARGUMENTS_AT = 16
_ARGUMENT_BYTES = 8

_X86_64, _AARCH64 = 0, 1
_ARCHITECTURES = {"x86_64": (_X86_64, 0xC000003E), "aarch64": (_AARCH64, 0xC00000B7)}
_SECCOMP = (317, 277)
# On x86_64, numbers from here on are the x32 calls: the same calls by other numbers.
_X32_NUMBERS = 0x40000000

# By name, the number on x86_64 and the one on aarch64. The most frequent come first.
_ALLOWED: dict[str, tuple[int, int]] = {
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
_UNLESS_ANY_BIT: tuple[tuple[tuple[int, int | None], int, int], ...] = (
    ((9, 222), 3, _UNCOUNTED),  # mmap(address, size, protection, flags)
    ((257, 56), 2, _WRITING),  # openat(directory, path, flags)
    ((2, None), 1, _WRITING),  # open(path, flags)
)


_ANY = -1
_TCGETS = 0x5401  # is it a terminal? Python asks of each file that it opens


def _only_with(pid: int) -> tuple[tuple[tuple[int, int], tuple[int, ...]], ...]:
    """What is allowed only with these values as its first arguments. pid: this process's own."""
    return (
        ((16, 29), (_ANY, _TCGETS)),  # ioctl(descriptor, request)
        ((140, 141), (os.PRIO_PROCESS, pid)),  # getpriority(which, who)
        ((141, 140), (os.PRIO_PROCESS, pid)),  # setpriority(which, who)
        ((314, 274), (pid,)),  # sched_setattr(pid)
    )


def allow_needed_system_calls() -> str:
    """For good, and for every thread. Needs no_new_privs. Returns why it could not be done; empty when it was."""
    known = _ARCHITECTURES.get(platform.machine())
    if known is None:
        return f"seccomp: no filter for {platform.machine()}"
    architecture, audit_name = known
    return install(architecture, _program(architecture, audit_name))


def install(architecture: int, steps: Sequence[bytes]) -> str:
    """Puts a filter in force. Returns why that could not be done; empty when it was."""
    program = b"".join(steps)
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_SECCOMP[architecture], _SET_MODE_FILTER, _FLAG_TSYNC, header) != 0:
        return f"seccomp: {os.strerror(ctypes.get_errno())}"
    return ""


def _program(architecture: int, audit_name: int) -> list[bytes]:
    program = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_IF_EQUAL, audit_name, otherwise=0, then=1),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER_AT),
    ]
    if architecture == _X86_64:
        program += [_step(_IF_AT_LEAST, _X32_NUMBERS, otherwise=1), _step(_RETURN, _DENY)]
    for numbers in _ALLOWED.values():
        program += [_step(_IF_EQUAL, numbers[architecture], otherwise=1), _step(_RETURN, _ALLOW)]
    for unless, nth, bits in _UNLESS_ANY_BIT:
        program += _call(unless[architecture], [_argument(nth), _step(_IF_ANY_BIT, bits, otherwise=1)])
    for only, values in _only_with(os.getpid()):
        program += _call(only[architecture], list(_all_equal(values)))
    return [*program, _step(_RETURN, _DENY)]


def _call(number: int | None, checks: list[bytes]) -> list[bytes]:
    """One call: the checks go on to _DENY, or step over it."""
    if number is None:
        return []
    body = [*checks, _step(_RETURN, _DENY), _step(_RETURN, _ALLOW)]
    return [_step(_IF_EQUAL, number, otherwise=len(body)), *body]


def _all_equal(values: Sequence[int]) -> Iterator[bytes]:
    wanted = [(nth, value) for nth, value in enumerate(values) if value != _ANY]
    for left, (nth, value) in zip(reversed(range(len(wanted))), wanted, strict=True):
        yield _argument(nth)
        # The last one steps over _DENY when it is equal, the others go there when they are not.
        yield _step(_IF_EQUAL, value, otherwise=2 * left) if left else _step(_IF_EQUAL, value, then=1)


def _argument(nth: int) -> bytes:
    return _step(_LOAD, _ARGUMENTS_AT + nth * _ARGUMENT_BYTES)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    # struct sock_filter { __u16 code; __u8 jt; __u8 jf; __u32 k; }
    return struct.pack("HBBI", code, then, otherwise, value)
