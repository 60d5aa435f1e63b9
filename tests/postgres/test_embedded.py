"""The embedded server comes up after any end of its predecessor, and trusts nobody else's folders."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.connections import connect
from projectnil.postgres.embedded import EmbeddedPostgres


async def _works(server: EmbeddedPostgres) -> bool:
    conn = await connect(server.url)
    try:
        return bool(await conn.fetchval("SELECT uuidv7() IS NOT NULL"))
    finally:
        await conn.close()


async def test_it_starts_although_the_pid_of_a_killed_server_is_now_another_programs(data_dir: Path) -> None:
    data_dir.mkdir()
    server = EmbeddedPostgres(data_dir)
    await server.start()
    lock = data_dir / "postgres" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    os.kill(int(lines[0]), signal.SIGKILL)
    await server.wait()
    owner = lock.stat().st_uid
    stranger = await asyncio.create_subprocess_exec("sleep", "60", user=owner)
    try:
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        await server.start()
        assert await _works(server)
        await server.stop()
    finally:
        stranger.kill()
        await stranger.wait()


async def test_a_cluster_that_was_not_finished_is_made_anew(data_dir: Path) -> None:
    (data_dir / "postgres.unfinished").mkdir(parents=True)
    (data_dir / "postgres.unfinished" / "PG_VERSION").write_text("18")
    server = EmbeddedPostgres(data_dir)
    await server.start()
    assert await _works(server)
    await server.stop()


async def test_a_long_name_of_the_data_folder_moves_the_socket_elsewhere(data_dir: Path) -> None:
    long = data_dir / ("l" * 100)
    long.mkdir(parents=True)
    server = EmbeddedPostgres(long)
    await server.start()
    assert str(long) not in server.url
    assert await _works(server)
    await server.stop()


async def test_a_socket_folder_that_somebody_else_prepared_is_refused(data_dir: Path, tmp_path: Path) -> None:
    long = data_dir / ("l" * 100)
    long.mkdir(parents=True)
    server = EmbeddedPostgres(long)
    sockets = Path(server.url.partition("host=")[2])
    before = tmp_path.stat().st_uid
    sockets.symlink_to(tmp_path)
    try:
        with pytest.raises(PlatformUnavailable, match="should be a folder of user"):
            await server.start()
    finally:
        sockets.unlink()
    assert tmp_path.stat().st_uid == before


async def test_a_server_that_cannot_start_says_why_in_its_own_words(data_dir: Path) -> None:
    data_dir.mkdir()
    server = EmbeddedPostgres(data_dir)
    await server.start()
    await server.stop()
    configuration = data_dir / "postgres" / "postgresql.conf"
    configuration.write_text(configuration.read_text() + "nonsense = 1\n")
    began = time.monotonic()
    with pytest.raises(PlatformUnavailable, match="unrecognized configuration parameter"):
        await server.start()
    assert time.monotonic() - began < 10
