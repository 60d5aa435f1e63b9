"""The password of the embedded server. It stands in a file that only the platform's user may read.

Without it, any program that may open the server's socket would be its superuser: the socket's mode keeps other users
out, but no other program of the same user or of root.
"""

import os
import secrets
from hashlib import sha256
from pathlib import Path

from projectnil.domain.errors import PlatformUnavailable

# 256 random bits need no stretching, and each iteration is a hash for every connection that is opened.
SCRAM_ITERATIONS = "scram_iterations=1"
_BYTES = 32


def read(file: Path) -> str:
    """The password. Raises PlatformUnavailable where there is none, or not for this user."""
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        raise PlatformUnavailable(f"there is no {file}: 'pnil serve' makes it when it starts on this folder") from None
    except OSError as error:
        raise PlatformUnavailable(f"{error}: run this as the user that runs 'pnil serve'") from error


def ensure(file: Path) -> str:
    """The password; a new one where there is none."""
    if not file.exists():
        write_privately(file, secrets.token_urlsafe(_BYTES) + "\n")
    return read(file)


def write_privately(file: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Write a whole file, or none, that only its owner may read. owner: user and group; None for this process's."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as unnamed:
        unnamed.write(text)
        if owner is not None:
            os.fchown(descriptor, *owner)
        unnamed.flush()
        os.fsync(descriptor)
    unfinished.replace(file)


def access_rules(password: str) -> str:
    """The text of pg_hba.conf. It names the password by a digest, so that another one is noticed."""
    digest = sha256(password.encode()).hexdigest()[:16]
    return (
        "# Written by projectnil, which replaces it. The password is in postgres.password, in the data folder.\n"
        f"# Its digest: {digest}\n"
        "local  all          all  scram-sha-256\n"
        "local  replication  all  scram-sha-256\n"
    )
