"""A system call filter for sandbox processes: what an escaped guest would want, and a running guest never needs.

It denies, with EPERM, starting programs and processes, new sockets, looking into or signalling other processes,
and changing the file system. Reading files stays possible, since loading a module is that; which files: landlock.py.

Sources: seccomp(2), bpf(2) (classic BPF); the numbers are those of the kernel's syscall_64.tbl (x86_64) and
include/uapi/asm-generic/unistd.h (aarch64).
"""

import ctypes
import errno
import os
import platform
import struct

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

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_X86_64, _AARCH64 = 0, 1
_ARCHITECTURES = {"x86_64": (_X86_64, 0xC000003E), "aarch64": (_AARCH64, 0xC00000B7)}
_SECCOMP = (317, 277)
# On x86_64, numbers from here on are the x32 calls: the same calls by other numbers.
_X32_NUMBERS = 0x40000000

# By name, the number on x86_64 and the one on aarch64.
_DENIED: dict[str, tuple[int, int]] = {
    "execve": (59, 221), "execveat": (322, 281), "clone": (56, 220), "clone3": (435, 435),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200),
    "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242), "io_uring_setup": (425, 425),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "openat2": (437, 437), "open_by_handle_at": (304, 265), "truncate": (76, 45),
    "unlinkat": (263, 35), "renameat": (264, 38), "renameat2": (316, 276), "mkdirat": (258, 34),
    "linkat": (265, 37), "symlinkat": (266, 36), "mknodat": (259, 33),
    "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "fchown": (93, 55),
    "fchownat": (260, 54), "setxattr": (188, 5), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268), "unshare": (272, 97),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "init_module": (175, 105),
    "finit_module": (313, 273), "kexec_load": (246, 104), "reboot": (169, 142),
}  # fmt: skip
_DENIED_ON_X86_64 = {
    "fork": 57, "vfork": 58, "creat": 85, "unlink": 87, "rename": 82, "mkdir": 83, "rmdir": 84,
    "link": 86, "symlink": 88, "mknod": 133, "chmod": 90, "chown": 92, "lchown": 94,
}  # fmt: skip
# (number, which argument holds the flags): open(path, flags), openat(directory, path, flags)
_OPENING = {_X86_64: ((2, 1), (257, 2)), _AARCH64: ((56, 2),)}


def deny_system_calls() -> str:
    """For good, and for every thread. Needs no_new_privs. Returns why it could not be done; empty when it was."""
    known = _ARCHITECTURES.get(platform.machine())
    if known is None:
        return f"seccomp: no filter for {platform.machine()}"
    architecture, audit_name = known
    program = b"".join(_program(architecture, audit_name))
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
    for number in _denied_numbers(architecture):
        program += [_step(_IF_EQUAL, number, otherwise=1), _step(_RETURN, _DENY)]
    for number, flags_nth in _OPENING[architecture]:
        program += [
            _step(_IF_EQUAL, number, otherwise=4),
            _step(_LOAD, _ARGUMENTS_AT + flags_nth * _ARGUMENT_BYTES),
            _step(_IF_ANY_BIT, _WRITING, otherwise=1),
            _step(_RETURN, _DENY),
            _step(_RETURN, _ALLOW),
        ]
    return [*program, _step(_RETURN, _ALLOW)]


def _denied_numbers(architecture: int) -> list[int]:
    numbers = [both[architecture] for both in _DENIED.values()]
    return numbers + (list(_DENIED_ON_X86_64.values()) if architecture == _X86_64 else [])


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    # struct sock_filter { __u16 code; __u8 jt; __u8 jf; __u32 k; }
    return struct.pack("HBBI", code, then, otherwise, value)
