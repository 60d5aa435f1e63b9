"""The embedded server comes up after any end of its predecessor, and trusts nobody else's folders."""

import asyncio
import contextlib
import os
import signal
import stat
import sys
import time
from pathlib import Path

import asyncpg
import psutil
import pytest

from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres.connections import connect
from projectnil.postgres.embedded import EmbeddedPostgres
from projectnil.postgres.errors import DATABASE_ERRORS
from tests.support.waiting import until


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


async def _refuses_strangers(server: EmbeddedPostgres) -> bool:
    """Whether it lets nobody in without the password, nor with another one."""
    refused = 0
    for credentials in ("postgres@", "postgres:guess@"):
        with pytest.raises(PlatformUnavailable) as refusal:
            await connect(f"postgresql://{credentials}/postgres?host={server.sockets}")
        refused += isinstance(refusal.value.__cause__, asyncpg.InvalidPasswordError | asyncpg.InterfaceError)
    return refused == 2


async def test_only_who_knows_the_password_may_connect_and_only_its_owner_may_read_it(data_dir: Path) -> None:
    data_dir.mkdir()
    server = EmbeddedPostgres(data_dir)
    await server.start()
    assert await _works(server)
    assert await _refuses_strangers(server)
    file = data_dir / "postgres.password"
    assert (stat.S_IMODE(file.stat().st_mode), file.stat().st_uid) == (0o600, os.geteuid())
    assert [path.name for path in data_dir.iterdir() if "told" in path.name or "unfinished" in path.name] == []
    assert file.read_text().strip() not in (data_dir / "postgres.log").read_text()
    await server.stop()


@pytest.mark.parametrize("has_password_file", [False, True])
async def test_a_cluster_that_trusts_or_has_another_password_is_converted(
    data_dir: Path, has_password_file: bool
) -> None:
    data_dir.mkdir()
    server = EmbeddedPostgres(data_dir)
    await server.start()
    conn = await connect(server.url)
    await conn.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await conn.close()
    await server.stop()
    if has_password_file:  # as after a restore from another folder
        (data_dir / "postgres.password").write_text("another\n")
    else:  # as an old release left it
        (data_dir / "postgres.password").unlink()
        (data_dir / "postgres" / "pg_hba.conf").write_text("local all all trust\n")
    await server.start()
    conn = await connect(server.url)
    assert await conn.fetchval("SELECT answer FROM kept") == 42
    await conn.close()
    assert await _refuses_strangers(server)
    await server.stop()


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
    sockets = server.sockets
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


async def test_a_server_that_reads_its_log_for_long_is_waited_for(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir.mkdir()
    server = EmbeddedPostgres(data_dir)
    await server.start()
    await server.stop()
    cluster = data_dir / "postgres"
    # Until it has asked for all the log there might be, the server says that it is starting up.
    (cluster / "recovery.signal").touch()
    configuration = cluster / "postgresql.conf"
    configuration.write_text(f"{configuration.read_text()}restore_command = 'sleep 0.5; false'\n")
    monkeypatch.setattr("projectnil.postgres.embedded._START_TIMEOUT_S", 0.4)
    await server.start()
    assert await _works(server)
    await server.stop()


async def test_backends_that_outlive_their_killed_server_are_ended(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectnil.postgres.predecessor._ORPHANS_TIMEOUT_S", 0.2)
    data_dir.mkdir()
    server = EmbeddedPostgres(data_dir)
    await server.start()
    conn = await connect(server.url)
    # It computes, and so does not look whether its postmaster lives.
    busy = asyncio.create_task(conn.execute("SELECT count(*) FROM generate_series(1, 1000000000000) AS n"))
    postmaster = psutil.Process(int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))
    await until(
        "a busy backend", lambda: any("[local] SELECT" in child.cmdline()[0] for child in postmaster.children())
    )
    postmaster.kill()
    await server.wait()
    await server.start()
    assert await _works(server)
    with contextlib.suppress(*DATABASE_ERRORS):
        await busy
    await server.stop()


# Root in a container commonly lacks CAP_SYS_PTRACE, and cannot see which program another user's process runs.
LOOK = """
import asyncio, sys
from pathlib import Path
from projectnil.domain.errors import PlatformUnavailable
from projectnil.postgres import predecessor
predecessor._ORPHANS_TIMEOUT_S = 0.2
cluster, timeout_s = Path(sys.argv[1]), float(sys.argv[2])
try:
    asyncio.run(predecessor.Predecessor(cluster, cluster).gone(timeout_s))
except PlatformUnavailable as error:
    sys.exit(str(error))
"""


async def _look_as_in_a_container(cluster: Path, timeout_s: float) -> str:
    """Waits for the end of a cluster's servers without CAP_SYS_PTRACE; returns why in vain, or nothing."""
    drop = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"] if os.geteuid() == 0 else []
    looking = await asyncio.create_subprocess_exec(
        *drop, sys.executable, "-c", LOOK, cluster, str(timeout_s), stdout=sys.stderr, stderr=asyncio.subprocess.PIPE
    )
    _, said = await looking.communicate()
    return said.decode()


async def test_a_living_server_is_seen_without_the_capability_to_look_into_it(data_dir: Path) -> None:
    data_dir.mkdir()
    server, cluster = EmbeddedPostgres(data_dir), data_dir / "postgres"
    await server.start()
    locks = [cluster / "postmaster.pid", cluster / ".s.PGSQL.5432.lock"]
    pid = int(locks[0].read_text().split()[0])
    assert f"another Postgres (PID {pid}) runs" in await _look_as_in_a_container(cluster, 1.0)
    assert all(lock.exists() for lock in locks)
    assert await _works(server)

    other = data_dir / "other"
    other.mkdir()
    os.chown(other, cluster.stat().st_uid, -1)
    (other / "postmaster.pid").write_text(locks[0].read_text())  # its pid is another cluster's by now
    assert await _look_as_in_a_container(other, 60.0) == ""
    assert not (other / "postmaster.pid").exists()
    assert await _works(server)

    conn = await connect(server.url)
    busy = asyncio.create_task(conn.execute("SELECT count(*) FROM generate_series(1, 1000000000000) AS n"))
    postmaster = psutil.Process(pid)
    await until(
        "a busy backend", lambda: any("[local] SELECT" in child.cmdline()[0] for child in postmaster.children())
    )
    backends = postmaster.children()
    postmaster.kill()
    await server.wait()
    await _look_as_in_a_container(cluster, 60.0)
    assert not any(lock.exists() for lock in locks)
    assert psutil.wait_procs(backends, timeout=60)[1] == []
    with contextlib.suppress(*DATABASE_ERRORS):
        await busy
