"""The contract of `pnil serve` and of the parts it is made of: others script against it."""

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from projectnil.postgres import password
from projectnil.postgres.connections import connect
from projectnil.postgres.embedded import EmbeddedPostgres
from tests.support.functions import ECHO, execute, ready, register, wait_compiled
from tests.support.platform import PNIL, READY, Platform, environment, running_platform, start_platform
from tests.support.postgres import Cluster
from tests.support.stock import Stocked
from tests.support.terminals import open_terminal
from tests.support.waiting import eventually, until


def finish(command: list[object], timeout_s: float = 60, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PNIL, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(**settings),
        check=False,
    )


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_one_line_and_stops_on_a_signal_leaving_no_process(stocked: Stocked, how: signal.Signals) -> None:
    platform = start_platform(stocked.data_dir)
    answers: list[httpx.Response] = []
    spinning = threading.Thread(target=_post, args=(f"{platform.url}/functions/{stocked.spin}/execute", answers))
    spinning.start()
    until_running(platform, 1)
    below = psutil.Process(platform.process.pid).children(recursive=True)
    assert len(below) > 5
    platform.process.send_signal(how)
    assert platform.process.wait(60) == 0
    assert not [process.cmdline() for process in below if process.is_running()]
    assert platform.process.stdout is not None
    assert platform.process.stdout.read() == ""
    platform.process.stdout.close()
    spinning.join()
    assert [answer.status_code for answer in answers] == [503], platform.log.read_text()[-3000:]


def until_running(platform: Platform, count: int) -> None:
    """Wait until so many executions run."""
    with platform.client() as http:
        running = {"status": "RUNNING"}
        eventually("they run", lambda: len(http.get("/executions", params=running).json()) == count)


def _post(url: str, answers: list[httpx.Response]) -> None:
    answers.append(httpx.post(url, json={}, timeout=30))


def test_what_runs_when_it_is_stopped_is_finished_and_what_cannot_is_recorded_as_interrupted(stocked: Stocked) -> None:
    slow = """export function handle(input: string): string {
      const end = Date.now() + 1500;
      while (Date.now() < end) {}
      return input;
    }"""
    outcomes: dict[str, httpx.Response] = {}

    def run(name: str, url: str) -> None:
        outcomes[name] = httpx.post(url, json={}, timeout=30)

    platform = start_platform(stocked.data_dir, execution_timeout_s="60", stop_grace_s="5")
    with platform.client() as http:
        ids = {"slow": ready(http, slow, "slow"), "spin": stocked.spin}
    threads = [
        threading.Thread(target=run, args=(name, f"{platform.url}/functions/{function_id}/execute"))
        for name, function_id in ids.items()
    ]
    for thread in threads:
        thread.start()
    until_running(platform, 2)
    platform.stop()
    for thread in threads:
        thread.join()
    assert outcomes["slow"].json()["status"] == "COMPLETED"
    assert outcomes["spin"].status_code == 503
    if platform.process.stdout is not None:
        platform.process.stdout.close()
    with running_platform(stocked.data_dir) as again, again.client() as http:
        recorded = http.get(f"/executions/{outcomes['spin'].json()['executionId']}").json()
        assert (recorded["status"], recorded["errorMessage"]) == (
            "FAILED",
            "interrupted: the platform stopped before it finished",
        )


def test_what_was_stored_is_there_after_a_restart(stocked: Stocked) -> None:
    with running_platform(stocked.data_dir) as first, first.client() as http:
        execution_id = execute(http, stocked.echo, {"a": 1})["id"]
    with running_platform(stocked.data_dir) as second, second.client() as http:
        assert http.get(f"/executions/{execution_id}").json()["output"] == {"a": 1}
        assert execute(http, stocked.echo, {"b": 2})["output"] == {"b": 2}


def test_two_platforms_do_not_share_a_data_folder(stocked: Stocked) -> None:
    data_dir = stocked.data_dir
    with running_platform(data_dir):
        second = finish(["serve", "--port", 0, "--data-dir", data_dir])
        assert second.returncode == 1
        assert "is in use by another pnil serve; choose another --data-dir" in second.stderr
        assert second.stdout == ""


def test_a_port_in_use_is_an_error_that_says_so(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = finish(["serve", "--port", port, "--data-dir", data_dir])
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.stderr


def test_a_database_that_is_not_there_is_an_error_that_says_so_without_the_password(data_dir: Path) -> None:
    url = "postgresql://nil:secret@127.0.0.1:1/nil"
    for command in (["serve", "--port", 0, "--data-dir", data_dir], ["migrate"], ["compiler"], ["api", "--port", 0]):
        result = finish([*command, "--database-url", url])
        assert result.returncode == 1, command
        assert "cannot connect to Postgres" in result.stderr
        assert "secret" not in result.stderr + result.stdout


def test_a_part_without_a_database_asks_for_one(data_dir: Path) -> None:
    for command in ("api", "compiler"):
        result = finish([command, "--data-dir", data_dir])
        assert result.returncode == 1
        assert "give --database-url or PROJECTNIL_DATABASE_URL" in result.stderr


def test_a_setting_that_does_not_fit_is_an_error_by_name() -> None:
    result = finish(["serve"], port="eighty")
    assert result.returncode == 1
    assert "PROJECTNIL_PORT: must be a whole number; it is " in result.stderr


async def test_the_parts_run_on_their_own_against_one_database(database_url: str, data_dir: Path) -> None:
    log = data_dir.with_name("parts.log").open("ab")
    arguments = ["--database-url", database_url, "--data-dir", str(data_dir)]
    await _leave_an_index_to_be_built(database_url)

    def part(*command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PNIL, *command, *arguments], stdout=subprocess.PIPE, stderr=log, text=True, env=environment()
        )

    parts = [part("api", "--port", "0"), part("api", "--port", "0"), part("compiler"), part("compiler")]
    try:
        lines = [process.stdout.readline() if process.stdout else "" for process in parts]
        matches = [READY.fullmatch(line) for line in lines[:2]]
        urls = [match[1] for match in matches if match]
        assert len(urls) == 2, lines
        assert lines[2:] == ["the compiler is ready\n"] * 2
        with httpx.Client(base_url=urls[0]) as one, httpx.Client(base_url=urls[1]) as other:
            function_id = register(one, ECHO)
            assert wait_compiled(other, function_id)["status"] == "READY"
            for client in (one, other):
                assert execute(client, function_id, {"a": 1})["output"] == {"a": 1}
            health = await asyncio.to_thread(other.get, "/health")
            assert health.json()["compiler"] == {"status": "UP", "detail": "serves assemblyscript"}
        await until("an api has built it", lambda: "index.built" in Path(log.name).read_text())
    finally:
        for process in parts:
            process.terminate()
        codes = [process.wait(10) for process in parts]
        for process in parts:
            if process.stdout:
                process.stdout.close()
        log.close()
    assert codes == [0, 0, 0, 0]


async def _leave_an_index_to_be_built(database_url: str) -> None:
    """As a migration of a database with partitions does."""
    conn = await connect(database_url)
    await conn.execute("DROP INDEX executions_pending")
    await conn.execute("CREATE INDEX executions_pending ON ONLY executions (id) WHERE started_at IS NULL")
    await conn.close()


async def test_ten_processes_that_migrate_at_once_do_it_once(cluster: Cluster) -> None:
    async with cluster.database("template0") as url:
        runs = [asyncio.to_thread(finish, ["migrate", "--database-url", url]) for _ in range(10)]
        results = await asyncio.gather(*runs)
    assert [result.returncode for result in results] == [0] * 10, [result.stderr for result in results]
    assert sorted(result.stdout == "the database is up to date\n" for result in results) == [False] + [True] * 9


async def test_parts_wait_for_a_database_that_is_only_starting_and_then_for_its_migration(data_dir: Path) -> None:
    data_dir.mkdir(parents=True)
    password.ensure(data_dir / "postgres.password")
    embedded = EmbeddedPostgres(data_dir)
    log = data_dir / "api.log"
    with running_api(embedded.url, data_dir / "api", log, database_wait_s="120") as ready_url:
        waiting = asyncio.create_task(asyncio.to_thread(ready_url))
        await until("it waits for the server", lambda: "cannot connect to Postgres" in log.read_text())
        try:
            await embedded.start()
            await until("it waits for the schema", lambda: "it is not migrated yet" in log.read_text())
            assert not waiting.done()
            command: list[object] = ["migrate", "--database-url", embedded.url]
            result = await asyncio.to_thread(finish, command, database_wait_s="60")
            assert "applied 001-functions" in result.stdout, result.stderr
            assert (await asyncio.to_thread(finish, ["health"], url=await waiting)).returncode == 0
        finally:
            await embedded.stop()


def test_migrating_waits_as_long_as_it_is_told_and_then_says_why(data_dir: Path) -> None:
    began = time.monotonic()
    command = ["migrate", "--database-url", "postgresql://nil@127.0.0.1:1/nil", "--data-dir", data_dir]
    result = finish(command, database_wait_s="2")
    assert time.monotonic() - began >= 2
    assert result.returncode == 1
    assert result.stderr.count("database.waiting") == 1
    assert "cannot connect to Postgres" in result.stderr.splitlines()[-1]


def test_an_api_refuses_a_database_that_was_not_migrated(tmp_path: Path, data_dir: Path) -> None:
    with running_platform(data_dir) as platform:
        url = EmbeddedPostgres(platform.data_dir).url.replace("/projectnil?", "/template1?")
        result = finish(["api", "--port", 0, "--database-url", url, "--data-dir", tmp_path])
        assert result.returncode == 1
        assert "run 'pnil migrate' first" in result.stderr
        result = finish(["compiler", "--database-url", url, "--data-dir", tmp_path])
        assert result.returncode == 1
        assert "does not exist: run 'pnil migrate' first" in result.stderr


async def test_health_exits_with_1_while_the_database_cannot_be_reached(cluster: Cluster, data_dir: Path) -> None:
    async with cluster.database() as url:
        with running_api(url, data_dir) as ready_url:
            api_url = await asyncio.to_thread(ready_url)
            assert (await asyncio.to_thread(finish, ["health"], url=api_url)).returncode == 0
            await close_database(cluster, urlsplit(url).path[1:])
            down = await asyncio.to_thread(finish, ["health"], url=api_url)
    assert down.returncode == 1
    assert down.stdout.splitlines()[0].split() == ["platform", "DOWN"]
    assert "database" in down.stdout


async def close_database(cluster: Cluster, name: str) -> None:
    admin = await connect(cluster.url("postgres"))
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    await admin.close()


@contextmanager
def running_api(
    database_url: str, data_dir: Path, log: Path | None = None, **settings: str
) -> Iterator[Callable[[], str]]:
    """Waits until it is ready and returns its URL. It has the database's from a file. log: for its standard error."""
    path = data_dir.with_name("database-url")
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{database_url}\n")
    command = [str(PNIL), "api", "--port", "0", "--data-dir", str(data_dir)]
    variables = environment(database_url_file=str(path), **settings)
    with ExitStack() as stack:
        errors = None if log is None else stack.enter_context(log.open("wb"))
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=variables)
        )

        def ready_url() -> str:
            assert process.stdout is not None
            match = READY.fullmatch(process.stdout.readline())
            assert match
            return match[1]

        try:
            yield ready_url
        finally:
            process.terminate()


def test_migrating_and_pruning_work_while_the_platform_runs_and_while_it_does_not(data_dir: Path) -> None:
    migrated = finish(["migrate", "--data-dir", data_dir])
    assert (migrated.returncode, "applied 001-functions" in migrated.stdout) == (0, True), migrated.stderr
    assert finish(["migrate", "--data-dir", data_dir]).stdout == "the database is up to date\n"
    with running_platform(data_dir):
        assert finish(["migrate", "--data-dir", data_dir]).stdout == "the database is up to date\n"
        pruned = finish(["prune", "--older-than", "30d", "--data-dir", data_dir])
        assert pruned.stdout == "no partition is wholly older than 30d\n", pruned.stderr
    assert finish(["prune", "--older-than", "soon", "--data-dir", data_dir]).returncode == 2


def test_several_api_processes_share_the_port(stocked: Stocked) -> None:
    with running_platform(stocked.data_dir, "--workers", "2") as platform:
        assert len(platform.children("projectnil.bootstrap.child api")) == 2
        for n in range(20):
            answer = httpx.post(f"{platform.url}/functions/{stocked.echo}/execute", json={"input": {"n": n}})
            assert answer.status_code == 200


def test_no_process_that_runs_or_compiles_strangers_code_holds_the_databases_address(stocked: Stocked) -> None:
    with running_platform(stocked.data_dir) as platform, platform.client() as http:
        execute(http, stocked.echo, {})
        strangers = platform.children("projectnil.sandbox.fork_server") + platform.children("worker.mjs")
        assert len(strangers) >= 3
        for process in strangers:
            assert not [name for name in process.environ() if name.startswith("PROJECTNIL_")]
            assert "postgresql" not in str(process.environ()) + " ".join(process.cmdline())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can close a folder to the database's user")
def test_root_may_keep_the_data_below_a_folder_that_is_closed_to_others(data_dir: Path) -> None:
    assert data_dir.parent.stat().st_mode & 0o077 == 0
    with running_platform(data_dir) as platform:
        servers = [process for process in platform.children("postgres") if process.username() != "root"]
        assert servers
    assert data_dir.parent.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("name", ["a b+per%41cent&x=1#sh,quo'te\N{ROCKET}", "l" * 120])
def test_a_data_folder_may_have_any_name(data_dir: Path, name: str) -> None:
    with running_platform(data_dir.parent / name) as platform, platform.client() as http:
        assert http.get("/health").json()["database"]["status"] == "UP"


@pytest.mark.parametrize("after_s", [0.3, 0.9, 1.8])
def test_a_signal_while_it_starts_stops_it_too(data_dir: Path, after_s: float) -> None:
    data_dir.parent.mkdir(exist_ok=True)
    with (data_dir.parent / "log").open("ab") as log:
        process = subprocess.Popen(
            [PNIL, "serve", "--port", "0", "--data-dir", data_dir], stdout=log, stderr=log, env=environment()
        )
    time.sleep(after_s)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    # Before it listens for signals at all, the default ends it.
    assert process.wait(60) in (0, -signal.SIGTERM)
    _, alive = psutil.wait_procs(below, timeout=30)
    assert not alive, [child.cmdline() for child in alive]
    with running_platform(data_dir) as again, again.client() as http:
        assert http.get("/health").status_code == 200


def test_executions_do_not_depend_on_anybody_reading_the_log(data_dir: Path) -> None:
    read, write = os.pipe()
    process = subprocess.Popen(
        [PNIL, "serve", "--port", "0", "--data-dir", data_dir],
        stdout=subprocess.PIPE,
        stderr=write,
        text=True,
        env=environment(),
    )
    os.close(write)
    assert process.stdout is not None
    match = READY.fullmatch(process.stdout.readline())
    assert match
    os.close(read)
    with httpx.Client(base_url=match[1], timeout=30) as http:
        assert execute(http, ready(http, ECHO), {"a": 1})["output"] == {"a": 1}
    process.terminate()
    assert process.wait(15) == 0
    process.stdout.close()


def test_it_stops_when_its_terminal_is_closed_although_no_signal_says_so(data_dir: Path) -> None:
    controller, terminal = open_terminal()
    # Like make, the leader of the session takes the hang-up for itself and goes on waiting.
    leader = subprocess.Popen(
        ["/bin/sh", "-c", f"trap '' HUP; {PNIL} serve --port 0 --data-dir {data_dir}; exit 0"],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    os.close(terminal)
    assert leader.stdout is not None
    assert READY.fullmatch(leader.stdout.readline())
    below = psutil.Process(leader.pid).children(recursive=True)
    os.close(controller)
    assert leader.wait(15) == 0
    _, alive = psutil.wait_procs(below, timeout=2)
    assert not alive, [process.cmdline() for process in alive]
    leader.stdout.close()


async def test_what_a_database_refuses_is_told_in_one_line(cluster: Cluster, data_dir: Path) -> None:
    async with cluster.database("template0") as url:
        missing = url.replace("/test_", "/absent_")
        for command in (["migrate"], ["api", "--port", 0], ["compiler"], ["prune", "--older-than", "1d"]):
            result = await asyncio.to_thread(finish, [*command, "--database-url", missing, "--data-dir", data_dir])
            assert result.returncode == 1, command
            assert "does not exist" in result.stderr
            assert "Traceback" not in result.stderr
        prune = ["prune", "--older-than", "1d", "--database-url", url, "--data-dir", data_dir]
        unmigrated = await asyncio.to_thread(finish, prune)
        assert unmigrated.returncode == 1
        assert "is the schema up to date ('pnil migrate')?" in unmigrated.stderr
