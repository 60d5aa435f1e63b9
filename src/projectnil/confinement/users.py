"""System users that root runs others' programs as."""

import contextlib
import pwd
import subprocess

from projectnil.domain.errors import PlatformUnavailable


def find(name: str) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    return None


def create(name: str) -> pwd.struct_passwd:
    """A system user without home and shell. Raises PlatformUnavailable with useradd's own words."""
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    user = find(name)  # another process may have made it meanwhile
    if user is None:
        raise PlatformUnavailable(f"cannot create the user {name}: {made.stderr.strip()}")
    return user
