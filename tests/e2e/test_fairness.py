"""A guest that spins holds one sandbox process, never the api; past the maximum the platform says when to come back."""

import json
import os
import threading
from contextlib import ExitStack
from typing import Any

import httpx
import psycopg
import pytest

from projectnil.postgres.embedded import EmbeddedPostgres
from projectnil.processes import SHORT_SLICES_NS
from tests.sandbox.guests import wat
from tests.support.functions import execute, ready
from tests.support.platform import Platform, running_platform, time_slice_ns
from tests.support.raw_http import connected, read_answer
from tests.support.stock import Stocked


def spinners(platform: Platform, function_id: str, count: int) -> tuple[list[threading.Thread], list[httpx.Response]]:
    answers: list[httpx.Response] = []

    def spin() -> None:
        answers.append(httpx.post(f"{platform.url}/functions/{function_id}/execute", json={}, timeout=60))

    threads = [threading.Thread(target=spin) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


def wait_busy(http: httpx.Client, count: int) -> None:
    for _ in range(2000):
        if http.get("/health").json()["sandbox"]["counts"]["busy"] >= count:
            return
    raise AssertionError(f"never {count} busy")


def test_with_eight_guests_spinning_to_their_deadline_another_function_still_answers(stocked: Stocked) -> None:
    spin, echo = stocked.spin, stocked.echo
    with running_platform(stocked.data_dir, execution_timeout_s="6") as platform, platform.client() as http:
        threads, answers = spinners(platform, spin, 8)
        wait_busy(http, 8)
        for n in range(20):
            assert execute(http, echo, {"n": n})["output"] == {"n": n}
        assert answers == [], "the spinners should still be spinning"
        for thread in threads:
            thread.join()
        messages = [answer.json()["errorMessage"] for answer in answers]
        assert messages == ["timeout: the function ran longer than its limit of 6 s"] * 8


def test_past_the_maximum_an_execution_is_refused_with_a_time_to_come_back_and_leaves_no_record(
    stocked: Stocked,
) -> None:
    limits = {"execution_timeout_s": "6", "sandbox_processes": "1", "sandbox_max_processes": "2"}
    spin, echo = stocked.spin, stocked.echo
    with running_platform(stocked.data_dir, **limits) as platform, platform.client() as http:
        threads, answers = spinners(platform, spin, 2)
        wait_busy(http, 2)
        refused = http.post(f"/functions/{echo}/execute", json={})
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["type"] == "/docs#overloaded"
        assert http.get(f"/functions/{echo}/executions").json() == []
        for thread in threads:
            thread.join()
        assert len(answers) == 2
        assert execute(http, echo, {"n": 1})["output"] == {"n": 1}


def test_a_module_that_cannot_run_takes_no_room_from_those_that_can(stocked: Stocked) -> None:
    cannot_run = wat('(module (import "env" "nope" (func)))')
    limits = {"sandbox_processes": "1", "sandbox_max_processes": "2"}
    broken, echo = stocked.spin, stocked.echo
    with running_platform(stocked.data_dir, **limits) as platform, platform.client() as http:
        # Today's compiler would not let it pass; one of an earlier release did.
        with psycopg.connect(EmbeddedPostgres(stocked.data_dir).url) as conn:
            conn.execute("UPDATE functions SET wasm_binary = %s, revision = 2 WHERE id = %s", (cannot_run, broken))
        for n in range(10):
            assert "nope" in execute(http, broken, {})["errorMessage"]
            assert execute(http, echo, {"n": n})["output"] == {"n": n}


@pytest.mark.skipif(time_slice_ns(os.getpid()) is None, reason="this kernel tells no slices (Linux 6.12 or later does)")
def test_who_answers_requests_asks_for_shorter_slices_than_a_compiler(platform: Platform) -> None:
    def slices_ns(containing: str) -> set[int | None]:
        return {time_slice_ns(process.pid) for process in platform.children(containing)}

    assert slices_ns("bootstrap.child api") == slices_ns("bin/postgres") == {SHORT_SLICES_NS}
    assert slices_ns("bootstrap.child compiler").isdisjoint({SHORT_SLICES_NS})
    assert slices_ns("worker.mjs").isdisjoint({SHORT_SLICES_NS})


SOMETIMES = """
export function handle(input: string): string {
  while (input.includes("spin")) {}
  return input;
}
"""


def execution_of(function_id: str, given: Any) -> bytes:
    """The request, byte by byte."""
    body = json.dumps({"input": given}).encode()
    head = f"POST /functions/{function_id}/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_crowd_of_one_function_waits_for_itself_and_who_cannot_begin_leaves_no_record(stocked: Stocked) -> None:
    limits = {"execution_timeout_s": "3", "sandbox_processes": "2", "sandbox_max_processes": "4"}
    data_dir, echo = stocked.data_dir, stocked.echo
    with running_platform(data_dir, **limits) as platform, platform.client() as http, ExitStack() as connections:
        crowd = ready(http, SOMETIMES, "sometimes")
        for _ in range(3):  # so that both are known to be quick
            execute(http, crowd, {})
            execute(http, echo, {})
        callers = [connections.enter_context(connected(platform)) for _ in range(60)]
        for caller in callers:
            caller.sendall(execution_of(crowd, {"please": "spin"}))
        others = [execute(http, echo, {"n": n})["output"] for n in range(50)]
        answers = [read_answer(caller) for caller in callers]
        assert others == [{"n": n} for n in range(50)]

        refused = [answer for answer in answers if b"all 4 sandbox processes are busy" in answer.body]
        assert {answer.json()["type"] for answer in refused} == {"/docs#overloaded"}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        assert not any("executionId" in answer.json() for answer in refused)
        # Those that began have their records, and no other has one.
        begun = [answer for answer in answers if answer not in refused]
        assert 3 <= len(begun) < 60
        told = {answer.json().get("id") or answer.json()["executionId"] for answer in begun}
        recorded = http.get(f"/functions/{crowd}/executions?limit=500&status=FAILED").json()
        assert {each["id"] for each in recorded} == told
        assert not [each for each in recorded if "busy with long-running" in each["errorMessage"]]
