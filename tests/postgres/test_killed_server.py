"""kill -9 of a server and its owner, in any order: the next start comes up at once and has all that was committed."""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.connections import connect
from projectnil.postgres.embedded import EmbeddedPostgres
from projectnil.postgres.errors import DATABASE_ERRORS
from tests.support.waiting import until

_WRITERS = 4
_ENOUGH_COMMITS = 40
_START_TIMEOUT_S = 60


class Owners:
    """Owners of one server, each started where the one before was killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def start(self, *, reaped: bool) -> psutil.Process:
        """The next owner, once its server accepts connections. reaped: whether those that end become zombies."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"reap\n" if reaped else b"keep\n")
        answer = await asyncio.wait_for(self._process.stdout.readline(), _START_TIMEOUT_S)
        assert answer.strip().isdigit(), answer.decode()
        return psutil.Process(int(answer))


@asynccontextmanager
async def owners(data_dir: Path) -> AsyncIterator[Owners]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.database_owners", data_dir,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Owners(process)
    finally:
        below = psutil.Process(process.pid).children(recursive=True)
        kill(below)
        process.kill()
        await process.wait()


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


async def write(url: str, committed: set[int]) -> None:
    """Insert numbers until the server is gone; what it acknowledged is in `committed`."""
    with contextlib.suppress(PlatformUnavailable, *DATABASE_ERRORS):  # it may be gone before this one has connected
        conn = await connect(url)
        while True:
            committed.add(await conn.fetchval("INSERT INTO written DEFAULT VALUES RETURNING n"))


async def commits(url: str, enough: int) -> tuple[set[int], list[asyncio.Task[None]]]:
    """Writers that have committed `enough` already, and go on."""
    committed: set[int] = set()
    writers = [asyncio.create_task(write(url, committed)) for _ in range(_WRITERS)]
    await until("some load", lambda: len(committed) >= enough)
    return committed, writers


async def test_everything_killed_in_random_order_under_load_starts_again_at_once_twenty_times(data_dir: Path) -> None:
    data_dir.mkdir()
    everything: set[int] = set()
    async with owners(data_dir) as starter:
        owner = await starter.start(reaped=True)
        url = EmbeddedPostgres(data_dir).url
        conn = await connect(url)
        await conn.execute("CREATE TABLE written (n bigint GENERATED ALWAYS AS IDENTITY)")
        await conn.close()
        for turn in range(20):
            committed, writers = await commits(url, _ENOUGH_COMMITS)
            doomed = [owner, *owner.children(recursive=True)]
            random.shuffle(doomed)
            kill(doomed)
            owner = await starter.start(reaped=turn % 2 == 0)
            await asyncio.gather(*writers)
            everything |= committed
            conn = await connect(url)
            stored = {row[0] for row in await conn.fetch("SELECT n FROM written")}
            await conn.close()
            assert everything <= stored, f"turn {turn} lost {sorted(everything - stored)}"
