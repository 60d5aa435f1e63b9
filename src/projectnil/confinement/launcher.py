"""Becomes a confined program: `python -m projectnil.confinement.launcher PROFILE PARENT_PID COMMAND...`.

A program of its own, since what it gives up is for good. It gives up all of the profile, or does not start; only
Landlock, which a kernel may lack, is left out there (`landlock.missing` tells).
"""

import ctypes
import os
import resource
import sys

import msgspec

from projectnil.confinement import calls, landlock, privileges, seccomp
from projectnil.confinement.profile import Profile

_PR_CAPBSET_DROP = 24  # prctl(2)
_LAST_CAPABILITY = 63

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The kernel would not take something away."""


def main() -> None:
    profile = msgspec.json.decode(sys.argv[1], type=Profile)
    parent_pid, command = int(sys.argv[2]), sys.argv[3:]
    try:
        _become(profile.user)
        _die_with(parent_pid)
        _limit(profile)
        _give_up_capabilities()
        _restrict(profile)
        os.execv(command[0], command)  # noqa: S606 # that is what it is for
    except (OSError, Refused, ValueError) as error:
        sys.exit(f"cannot confine {command[0]}: {error}")


def _become(user: tuple[int, int] | None) -> None:
    for capability in range(_LAST_CAPABILITY + 1) if os.geteuid() == 0 else ():
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those the kernel does not have
    if user is not None:
        user_id, group_id = user
        os.setgroups([])
        os.setresgid(group_id, group_id, group_id)
        os.setresuid(user_id, user_id, user_id)


def _die_with(parent_pid: int) -> None:
    # Again, since becoming another user has cancelled it (prctl(2)).
    if not privileges.die_with(parent_pid):
        sys.exit(1)


def _limit(profile: Profile) -> None:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: profile.file_bytes,
        resource.RLIMIT_NOFILE: profile.open_files,
    }
    if profile.user_threads is not None:
        wanted[resource.RLIMIT_NPROC] = profile.user_threads
    for what, most in wanted.items():
        privileges.limit(what, most)


def _give_up_capabilities() -> None:
    if refused := privileges.keep_capabilities(0):
        raise Refused(refused)


def _restrict(profile: Profile) -> None:
    rights = [(path, landlock.EXECUTE | landlock.READ_FILE) for path in profile.programs]
    rights += [(path, landlock.READ_FILE | landlock.READ_DIR) for path in profile.readable]
    rights += [(path, landlock.READ_FILE | landlock.READ_DIR | landlock.WRITING) for path in profile.writable]
    if not landlock.missing() and (refused := landlock.allow_only(rights)):
        raise Refused(refused)
    if refused := seccomp.allow(calls.of(profile.system_calls)):
        raise Refused(refused)


if __name__ == "__main__":
    main()
