"""kill -9, anywhere: afterwards no function is stuck, no acknowledged execution is missing, no row stays RUNNING."""

import contextlib
import random
import re
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest

from projectnil.domain.errors import INTERRUPTED
from projectnil.postgres.embedded import EmbeddedPostgres
from tests.support import unreaping
from tests.support.functions import ECHO, execute, register, wait_compiled
from tests.support.platform import Platform, running_platform, start_platform
from tests.support.stock import Stocked
from tests.support.waiting import eventually

UNREAPING = Path(unreaping.__file__)
LOST = r"interrupted: the sandbox process \d+ was lost before the function finished"


@pytest.fixture
def crashing(stocked: Stocked) -> Iterator[Platform]:
    """A platform of the test's own, which notices deaths quickly."""
    with running_platform(stocked.data_dir, lease_s="2", job_visibility_s="3") as running:
        yield running


def database(platform: Platform) -> psycopg.Connection[Any]:
    """A look behind the scenes, at the embedded database."""
    return psycopg.connect(EmbeddedPostgres(platform.data_dir).url, autocommit=True)


def kill(platform: Platform, containing: str) -> int:
    """kill -9 every process of the platform whose command line contains a text; returns how many."""
    processes = platform.children(containing)
    for process in processes:
        process.send_signal(signal.SIGKILL)
    return len(processes)


def test_a_compiler_killed_in_mid_compile_leaves_a_job_for_its_successor(crashing: Platform) -> None:
    with crashing.client() as http, database(crashing) as conn:
        function_id = register(http, ECHO)
        eventually("COMPILING", lambda: http.get(f"/functions/{function_id}").json()["status"] == "COMPILING")
        assert kill(crashing, "projectnil.bootstrap.child compiler") == 1
        assert http.get(f"/functions/{function_id}").json()["status"] == "COMPILING"
        assert conn.execute("SELECT count(*) FROM pgmq.q_compilation_jobs").fetchone() == (1,)
        assert wait_compiled(http, function_id)["status"] == "READY"
        assert conn.execute("SELECT count(*) FROM pgmq.q_compilation_jobs").fetchone() == (0,)
        assert conn.execute("SELECT max(read_ct) FROM pgmq.a_compilation_jobs").fetchone() == (2,)


def test_an_api_killed_between_reading_and_applying_a_result_loses_nothing(crashing: Platform) -> None:
    with crashing.client() as http, database(crashing) as holder, database(crashing) as conn:
        # Applying stops at this gate, after the message was read and hidden, inside the applying transaction.
        conn.execute(
            "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_advisory_xact_lock(7); RETURN NEW; END $$"
        )
        conn.execute(
            "CREATE TRIGGER gate BEFORE UPDATE ON functions FOR EACH ROW"
            " WHEN (NEW.status = 'READY') EXECUTE FUNCTION gate()"
        )
        holder.execute("SELECT pg_advisory_lock(7)")
        function_id = register(http, ECHO)
        at_gate = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"
        eventually("an api at the gate", lambda: conn.execute(at_gate).fetchone() == (1,))
        assert conn.execute("SELECT read_ct FROM pgmq.q_compilation_results").fetchone() == (1,)
        assert kill(crashing, "projectnil.bootstrap.child api") == 1
        holder.execute("SELECT pg_advisory_unlock(7)")
        conn.execute("DROP TRIGGER gate ON functions")
        eventually("READY", lambda: http.get(f"/functions/{function_id}").json()["status"] == "READY")
        assert conn.execute("SELECT count(*) FROM pgmq.q_compilation_results").fetchone() == (0,)
        assert execute(http, function_id, {"a": 1})["output"] == {"a": 1}


def test_a_sandbox_killed_in_mid_guest_is_the_platforms_fault_and_is_replaced(
    crashing: Platform, stocked: Stocked
) -> None:
    spin, echo = stocked.spin, stocked.echo
    with crashing.client() as http, database(crashing) as conn, ThreadPoolExecutor() as threads:
        answer = threads.submit(lambda: http.post(f"/functions/{spin}/execute", json={}))
        eventually("a busy sandbox", lambda: http.get("/health").json()["sandbox"]["counts"]["busy"] == 1)
        assert kill(crashing, "projectnil.sandbox.fork_server") >= 1
        response = answer.result()
        problem = response.json()
        assert (response.status_code, problem["type"]) == (503, "/docs#execution-interrupted")
        recorded = http.get(f"/executions/{problem['executionId']}").json()
        assert recorded["status"] == "FAILED"
        assert recorded["errorMessage"].startswith("interrupted: ")
        answer = threads.submit(lambda: http.post(f"/functions/{spin}/execute", json={}))
        eventually("a busy sandbox", lambda: http.get("/health").json()["sandbox"]["counts"]["busy"] == 1)
        # As after a crash of the database that came before the next flush of its log.
        conn.execute("DELETE FROM executions WHERE status = 'RUNNING'")
        assert kill(crashing, "projectnil.sandbox.fork_server") >= 1
        problem = answer.result().json()
        assert problem["detail"].endswith("; the database has no record of it")
        assert "executionId" not in problem
        assert execute(http, echo, {"a": 1})["output"] == {"a": 1}


def test_everything_killed_in_random_order_under_load_starts_again_at_once_and_has_lost_nothing(
    stocked: Stocked,
) -> None:
    # Its parent waits for no process, so what was killed stays a zombie for as long as the test runs.
    under = [sys.executable, UNREAPING]
    quickly = {"lease_s": "2", "job_visibility_s": "3"}
    first = start_platform(stocked.data_dir, under=under, **quickly)
    acknowledged: dict[str, int] = {}
    with first.client() as http:
        threads = start_load(first.url, stocked.echo, stocked.spin, acknowledged)
        eventually("some load", lambda: len(acknowledged) > 500)
        unfinished = [register(http, ECHO, f"late-{n}") for n in range(3)]
    kill_in_random_order(first, but=first.process.pid)
    port = str(urlsplit(first.url).port)
    with running_platform(stocked.data_dir, "--port", port, **quickly) as second, second.client() as http:
        for thread in threads:
            thread.join()
        with database(second) as conn:
            rows = conn.execute("SELECT id::text, status::text, (output ->> 'n')::integer FROM executions").fetchall()
            recorded = {row[0]: (row[1], row[2]) for row in rows}
            missing = {key: n for key, n in acknowledged.items() if recorded.get(key) != ("COMPLETED", n)}
            assert missing == {}
            still_running = "SELECT count(*) FROM executions WHERE status NOT IN ('COMPLETED', 'FAILED')"
            eventually("nothing RUNNING", lambda: conn.execute(still_running).fetchone() == (0,))
            failed = conn.execute("SELECT DISTINCT error_message FROM executions WHERE status = 'FAILED'").fetchall()
            assert failed
            # An api that outlives its sandbox processes for a moment may still say that they were lost.
            assert [message for (message,) in failed if not re.fullmatch(f"{INTERRUPTED}|{LOST}", message)] == []
        for function_id in unfinished:
            assert wait_compiled(http, function_id)["status"] == "READY"
        assert execute(http, stocked.echo, {"n": 1})["output"] == {"n": 1}
    first.forget()


def start_load(url: str, echo: str, spin: str, acknowledged: dict[str, int]) -> list[threading.Thread]:
    threads = [threading.Thread(target=_load, args=(url, echo, n, acknowledged)) for n in range(8)]
    threads.append(threading.Thread(target=_spin, args=(url, spin)))
    for thread in threads:
        thread.start()
    return threads


def kill_in_random_order(platform: Platform, but: int) -> None:
    """kill -9 every process of the platform, Postgres's included, and wait for none of them."""
    main = psutil.Process(platform.process.pid)
    doomed = [process for process in (main, *main.children(recursive=True)) if process.pid != but]
    assert len(doomed) > 10
    random.shuffle(doomed)
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


def postmasters(platform: Platform) -> list[psutil.Process]:
    return platform.children("bin/postgres -D")


def test_a_killed_database_is_started_again_and_everything_goes_on(crashing: Platform, stocked: Stocked) -> None:
    with crashing.client() as http:
        echo = stocked.echo
        before = execute(http, echo, {"n": 1})["id"]
        compilers = [process.pid for process in crashing.children("projectnil.bootstrap.child compiler")]
        (postmaster,) = postmasters(crashing)
        postmaster.send_signal(signal.SIGKILL)
        # Until its successor is there, its orphaned backends may answer once more, and be gone for the next request.
        eventually("another database", lambda: postmasters(crashing) not in ([], [postmaster]))
        eventually("executing again", lambda: http.post(f"/functions/{echo}/execute", json={}).status_code == 200)
        assert http.get(f"/executions/{before}").json()["status"] == "COMPLETED"
        # The compiler ends when the database is gone; its supervisor starts another.
        assert wait_compiled(http, register(http, ECHO, "after"))["status"] == "READY"
        assert [process.pid for process in crashing.children("projectnil.bootstrap.child compiler")] != compilers


def _load(url: str, function_id: str, number: int, acknowledged: dict[str, int]) -> None:
    with httpx.Client(base_url=url, timeout=10) as http, contextlib.suppress(httpx.TransportError):
        for n in range(number, 1_000_000, 8):
            response = http.post(f"/functions/{function_id}/execute", json={"input": {"n": n}})
            if response.status_code == 200:
                acknowledged[response.json()["id"]] = n


def _spin(url: str, function_id: str) -> None:
    with httpx.Client(base_url=url, timeout=30) as http, contextlib.suppress(httpx.TransportError):
        http.post(f"/functions/{function_id}/execute", json={})
