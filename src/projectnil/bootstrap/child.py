"""The main of the processes that `pnil serve` starts.

Run as `python -m projectnil.bootstrap.child PART READY_FD PROBES_FD [LISTEN_FD]`. Settings come by environment, which
others cannot read as they can a command line. One byte on READY_FD says that the part is up. PROBES_FD: see heartbeat.
"""

import contextlib
import os
import socket
import sys

from projectnil.bootstrap.parts import run_part
from projectnil.config import Settings, read_settings


def main() -> int:
    part, ready_fd, probes_fd, *listen_fds = sys.argv[1:]
    listener = socket.socket(fileno=int(listen_fds[0])) if listen_fds else None
    settings = read_settings(os.environ)
    return run_part(part, settings, listener, lambda: _say_ready(int(ready_fd)), probes_fd=int(probes_fd))


def child_environment(settings: Settings) -> dict[str, str]:
    """This process's environment, with every setting as it was decided here."""
    environment = dict(os.environ)
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if value is not None:
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            environment[f"PROJECTNIL_{name.upper()}"] = text
    return environment


def _say_ready(ready_fd: int) -> None:
    # The process that waited for it may have been told to stop.
    with contextlib.suppress(BrokenPipeError):
        os.write(ready_fd, b"1")
    os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main())
