"""What a process may open by its name, and nothing else.

Processes of one user may read each other's files. Strangers' code that has got out of its sandbox would find the
database's password, or the code of the platform, there.

Sources: landlock(7), landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2); the numbers are those
of the kernel's include/uapi/linux/landlock.h and include/uapi/asm-generic/unistd.h (the same on every architecture).
"""

import ctypes
import os
import stat
import struct
from collections.abc import Sequence

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_REG, TRUNCATE = 1 << 5, 1 << 8, 1 << 14
# No folder, link or device can be made, and nothing be moved to another folder.
WRITING = WRITE_FILE | REMOVE_FILE | MAKE_REG | TRUNCATE
_OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE

# struct landlock_ruleset_attr { __u64 handled_access_fs, handled_access_net, scoped; }
# Zeros at its end are fine with a kernel to which it is shorter.
_RULESET = struct.Struct("=QQQ")
# struct landlock_path_beneath_attr { __u64 allowed_access; __s32 parent_fd; } __attribute__((packed))
_RULE = struct.Struct("=Qi")

# (the first version of the interface that knows them, and the rights it knows). A kernel refuses those it does not
# know. Rights that came later concern sockets, which the process cannot have anyway.
_FILE_RIGHTS = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_NETWORK_RIGHTS = ((4, 0b11),)  # to bind and to connect TCP sockets
_SCOPES = ((6, 0b11),)  # abstract Unix sockets and signals of processes outside

_libc = ctypes.CDLL(None, use_errno=True)


def allow_only_reading(path: str | None) -> str:
    """As `allow_only`: this file, or the files beneath this folder, and only to read; None allows nothing."""
    return allow_only([] if path is None else [(path, READ_FILE)])


def allow_only(rights: Sequence[tuple[str, int]]) -> str:
    """From now on this process can do with files only what `rights` say of a file, or of what is beneath a folder.

    It is for good, and for the calling thread and the threads it starts later: call it before there are others. What
    is open already stays so. A path is what it names now: one that is not there allows nothing.
    Needs no_new_privs. Returns why it could not be done; empty when it was.
    """
    version = _version()
    if version < 0:
        return _refusal()
    handled = _RULESET.pack(*(_known(known, version) for known in (_FILE_RIGHTS, _NETWORK_RIGHTS, _SCOPES)))
    ruleset = _libc.syscall(_CREATE_RULESET, handled, len(handled), 0)
    if ruleset < 0:
        return _refusal()
    try:
        for path, allowed in rights:
            if not _allow(ruleset, path, allowed & _known(_FILE_RIGHTS, version)):
                return _refusal()
        return "" if _libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0 else _refusal()
    finally:
        os.close(ruleset)


def missing() -> str:
    """Why the kernel cannot do any of this; empty when it can."""
    return "" if _version() >= 0 else _refusal()


def _version() -> int:
    version: int = _libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    return version


def _known(rights: tuple[tuple[int, int], ...], version: int) -> int:
    return sum(bits for since, bits in rights if since <= version)


def _allow(ruleset: int, path: str, allowed: int) -> bool:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True  # what is not there, or in a closed folder, is not to be used anyway
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            allowed &= _OF_A_FILE
        done: bool = _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, _RULE.pack(allowed, place), 0) == 0
        return done
    finally:
        os.close(place)


def _refusal() -> str:
    return f"landlock: {os.strerror(ctypes.get_errno())}"
