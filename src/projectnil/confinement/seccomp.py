"""A filter that allows a list of system calls and refuses all others, with EPERM.

Sources: seccomp(2), bpf(2) (classic BPF); the numbers are those of the kernel's syscall_64.tbl (x86_64) and
include/uapi/asm-generic/unistd.h (aarch64).
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_SET_MODE_FILTER = 1
_FLAG_TSYNC = 1  # the clock's thread too
_KILL_PROCESS = 0x80000000
_ALLOW = 0x7FFF0000
_DENY = 0x00050000 | errno.EPERM
_ABSENT = 0x00050000 | errno.ENOSYS

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

ANY = -1
# On x86_64 and on aarch64; None where it does not exist.
Numbers = tuple[int | None, int | None]


class Allowed(NamedTuple):
    """What is allowed. always: by name, the most frequent first.

    The others look at arguments, counted from 0: unless_any_bit and only_with_bit have (call, argument, bits), and
    only_with the values of the first arguments, ANY for any. only_one_of: (call, argument, values), by the low 32 bits.
    absent: what libc does in another way without it.
    """

    always: Mapping[str, Numbers]
    unless_any_bit: Sequence[tuple[Numbers, int, int]] = ()
    only_with_bit: Sequence[tuple[Numbers, int, int]] = ()
    only_with: Sequence[tuple[Numbers, tuple[int, ...]]] = ()
    only_one_of: Sequence[tuple[Numbers, int, Sequence[int]]] = ()
    absent: Sequence[Numbers] = ()


def allow(allowed: Allowed) -> str:
    """For good, and for every thread. Needs no_new_privs. Returns why it could not be done; empty when it was."""
    known = _ARCHITECTURES.get(platform.machine())
    if known is None:
        return f"seccomp: no filter for {platform.machine()}"
    architecture, audit_name = known
    return _install(architecture, _program(architecture, audit_name, allowed))


def _install(architecture: int, steps: Sequence[bytes]) -> str:
    """Puts a filter in force. Returns why that could not be done; empty when it was."""
    program = b"".join(steps)
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_SECCOMP[architecture], _SET_MODE_FILTER, _FLAG_TSYNC, header) != 0:
        return f"seccomp: {os.strerror(ctypes.get_errno())}"
    return ""


def _program(architecture: int, audit_name: int, allowed: Allowed) -> list[bytes]:
    program = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_IF_EQUAL, audit_name, otherwise=0, then=1),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER_AT),
    ]
    if architecture == _X86_64:
        program += [_step(_IF_AT_LEAST, _X32_NUMBERS, otherwise=1), _step(_RETURN, _DENY)]
    for numbers in allowed.always.values():
        program += _answer(numbers[architecture], _ALLOW)
    for numbers in allowed.absent:
        program += _answer(numbers[architecture], _ABSENT)
    for numbers, nth, bits in allowed.unless_any_bit:
        program += _call(numbers[architecture], [_argument(nth), _step(_IF_ANY_BIT, bits, otherwise=1)])
    for numbers, nth, bits in allowed.only_with_bit:
        program += _call(numbers[architecture], [_argument(nth), _step(_IF_ANY_BIT, bits, then=1)])
    for numbers, values in allowed.only_with:
        program += _call(numbers[architecture], list(_all_equal(values)))
    for numbers, nth, choices in allowed.only_one_of:
        program += _call(numbers[architecture], [_argument(nth), *_any_equals(choices)])
    return [*program, _step(_RETURN, _DENY)]


def _answer(number: int | None, answer: int) -> list[bytes]:
    return [] if number is None else [_step(_IF_EQUAL, number, otherwise=1), _step(_RETURN, answer)]


def _call(number: int | None, checks: list[bytes]) -> list[bytes]:
    """One call: the checks go on to _DENY, or step over it."""
    if number is None:
        return []
    body = [*checks, _step(_RETURN, _DENY), _step(_RETURN, _ALLOW)]
    return [_step(_IF_EQUAL, number, otherwise=len(body)), *body]


def _all_equal(values: Sequence[int]) -> Iterator[bytes]:
    wanted = [(nth, value) for nth, value in enumerate(values) if value != ANY]
    for left, (nth, value) in zip(reversed(range(len(wanted))), wanted, strict=True):
        yield _argument(nth)
        # The last one steps over _DENY when it is equal, the others go there when they are not.
        yield _step(_IF_EQUAL, value, otherwise=2 * left) if left else _step(_IF_EQUAL, value, then=1)


def _any_equals(choices: Sequence[int]) -> Iterator[bytes]:
    for left, choice in zip(reversed(range(len(choices))), choices, strict=True):
        yield _step(_IF_EQUAL, choice, then=left + 1)  # over those left, and over _DENY


def _argument(nth: int) -> bytes:
    return _step(_LOAD, _ARGUMENTS_AT + nth * _ARGUMENT_BYTES)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    # struct sock_filter { __u16 code; __u8 jt; __u8 jf; __u32 k; }
    return struct.pack("HBBI", code, then, otherwise, value)
