"""How a toolchain's processes are confined: the profile it starts them with, and the user under root."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from projectnil.confinement import landlock, passage, users
from projectnil.confinement.profile import Profile
from projectnil.domain.errors import PlatformUnavailable

log = structlog.get_logger(__name__)

_SYSTEM_USER = "projectnil-compiler"
# Where the dynamic loader, which every program begins with, and what it loads are.
_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
SYSTEM_FILES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/ssl")
_FILE_BYTES = 256 * 1024 * 1024
_OPEN_FILES = 256
# Of all compilers on the machine together, since a kernel counts them by user. One needs about ten.
_USER_THREADS = 1024


def compiler_user(reached: Sequence[Path]) -> tuple[int, int] | None:
    """The user and group to run compilers as, who can come as far as the files `reached`; None to stay who we are."""
    if os.geteuid() != 0:
        return None
    try:
        user = users.find(_SYSTEM_USER) or users.create(_SYSTEM_USER)
        for target in reached:
            for folder in passage.allow_passage(target, user.pw_uid):
                log.info(
                    "compiler.passage_allowed", folder=str(folder), user=user.pw_name, consequence=passage.CONSEQUENCE
                )
    except (PlatformUnavailable, OSError) as error:
        log.warning("compiler.unconfined", refused=f"a user of its own: {error}")
        return None
    return user.pw_uid, user.pw_gid


def check_files_are_safe(user: tuple[int, int] | None, *, may_be_unconfined: bool) -> None:
    """Native code in a compiler must not be able to write files of the platform: Landlock, or a user of its own, sees
    to that. Says what is missing. Raises PlatformUnavailable where both are, unless the operator takes the risk."""
    refused = landlock.missing()
    if not refused:
        return
    if user is None and not may_be_unconfined:
        raise PlatformUnavailable(
            f"compilers cannot be confined here ({refused}): one that a source has taken over could write the "
            "platform's files. Use Linux 5.13 or later with Landlock, in a container whose runtime lets it through; or "
            "start as root, so that compilers have a user of their own; or, for sources that you trust, set "
            "PROJECTNIL_UNCONFINED_COMPILERS=allow"
        )
    log.warning("compiler.unconfined", refused=refused)


def node_profile(node: Path, readable: Sequence[Path], writable: Path, user: tuple[int, int] | None) -> Profile:
    """For a toolchain that is one Node process. readable, writable: its own; Node's and the loader's come to them."""
    procfs = ("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/sys/fs/cgroup", "/dev/null", "/dev/urandom")
    return Profile(
        programs=(str(node.resolve()), *(os.path.realpath(loader) for loader in _LOADERS)),
        readable=(*SYSTEM_FILES, *procfs, *map(str, readable)),
        writable=(str(writable),),
        user=user,
        system_calls="node",
        file_bytes=_FILE_BYTES,
        open_files=_OPEN_FILES,
        user_threads=None if user is None else _USER_THREADS,
    )


def encode(profile: Profile) -> str:
    return msgspec.json.encode(profile).decode()
