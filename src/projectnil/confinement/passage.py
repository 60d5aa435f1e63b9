"""Lets one user pass through a folder that is closed to others.

Postgres refuses to run as root, so root runs it as another user, who must reach the data folder and the binaries even
below a home folder of mode 0700. Opening such a folder to everybody would be the common way out; a POSIX access
control list entry lets that one user through, and not even list it.

Format of the attribute: Linux, include/uapi/linux/posix_acl_xattr.h and posix_acl.h.
"""

import errno
import os
import stat
import struct
from pathlib import Path

from projectnil.domain.errors import PlatformUnavailable

# Logged because it changes a folder that belongs to the operator.
CONSEQUENCE = "this user may pass through this folder, which stays closed to others; getfacl shows it"

_ATTRIBUTE = "system.posix_acl_access"
_VERSION = 2
_OWNER, _USER, _OWNING_GROUP, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_SEARCH = 0o1

Entry = tuple[int, int, int]  # tag, permissions, id: in this order the kernel wants them sorted


def allow_passage(target: Path, user_id: int) -> list[Path]:
    """Give `user_id` search permission on every closed folder above `target`; returns those that were changed.

    Raises PlatformUnavailable where the file system keeps no access control lists.
    """
    closed = [folder for folder in target.absolute().parents if not _may_search(folder, user_id)]
    for folder in closed:
        _add_entry(folder, user_id)
    return closed


def _may_search(folder: Path, user_id: int) -> bool:
    status = folder.stat()
    if status.st_uid == user_id:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_mode & stat.S_IXOTH:
        return True
    entries = _entries(folder)
    # A later chmod leaves the entry and takes its effect away: the group's bits of a mode are the mask.
    mask = next((may for tag, may, _ in entries if tag == _MASK), 0)
    return any(tag == _USER and who == user_id and may & mask & _SEARCH for tag, may, who in entries)


def _entries(folder: Path) -> list[Entry]:
    try:
        packed = os.getxattr(folder, _ATTRIBUTE)
    except OSError:
        mode = folder.stat().st_mode
        return [
            (_OWNER, (mode >> 6) & 0o7, _NO_ID),
            (_OWNING_GROUP, (mode >> 3) & 0o7, _NO_ID),
            (_OTHER, mode & 0o7, _NO_ID),
        ]
    return list(struct.iter_unpack("<HHI", packed[4:]))


def _add_entry(folder: Path, user_id: int) -> None:
    kept = [entry for entry in _entries(folder) if entry[0] != _MASK and entry[::2] != (_USER, user_id)]
    entries = [*kept, (_USER, _SEARCH, user_id)]
    mask = 0
    for tag, permissions, _ in entries:
        if tag in (_USER, _OWNING_GROUP, _GROUP):
            mask |= permissions
    entries.append((_MASK, mask, _NO_ID))
    entries.sort(key=lambda entry: (entry[0], entry[2]))
    packed = struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(folder, _ATTRIBUTE, packed)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EROFS):
            raise
        raise PlatformUnavailable(
            f"the embedded Postgres runs as an unprivileged user, who may not enter {folder}: "
            f"choose a --data-dir that others may enter, or run 'chmod o+x {folder}'"
        ) from error
