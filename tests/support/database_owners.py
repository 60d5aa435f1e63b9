"""Starts owners of an embedded Postgres, one after the other, for tests that kill them with all they have.

Run as `python -m tests.support.database_owners DATA_DIR`. Each line on standard input starts an owner: after `reap`,
what ends below is waited for at once, as init does; after `keep`, it stays a zombie, as under the first process of many
containers. `PID` of the owner comes back once its server accepts connections, or `failed` with the reason.
"""

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

import structlog

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.embedded import EmbeddedPostgres

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2): orphans below become this process's children


async def _own(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    try:
        await server.start()
    except PlatformUnavailable as error:
        print("failed", str(error).replace("\n", " | "), flush=True)
        return
    print(os.getpid(), flush=True)
    await server.wait()


def main(data_dir: Path) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for line in iter(sys.stdin.readline, ""):
        # Ignored, the signal makes the kernel reap by itself.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN if line == "reap\n" else signal.SIG_DFL)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(_own(data_dir))
            os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
