"""Past executions over HTTP: filtered, searched, deleted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from projectnil.domain.ids import ExecutionIds
from tests.support.functions import ECHO, FAIL, SPIN, Json, execute, ready, register, wait_ready
from tests.support.platform import Platform
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def function_ids(platform: Platform) -> Iterator[tuple[str, str]]:
    """An echo and one that always fails."""
    with platform.client() as http:
        yield ready(http, ECHO, "history echo"), ready(http, FAIL, "history fail")


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [execution["id"] for execution in answer.json()]


def test_every_answer_about_an_execution_names_its_function_revision_and_duration(
    http: httpx.Client, function_ids: tuple[str, str]
) -> None:
    echo, fail = function_ids
    body = {"name": "history fail", "language": "assemblyscript", "source": FAIL + "\n// changed"}
    http.put(f"/functions/{fail}", json=body).raise_for_status()
    wait_ready(http, fail)
    for function_id, name, revision in ((echo, "history echo", 1), (fail, "history fail", 2)):
        result = execute(http, function_id, {})
        details = http.get(f"/executions/{result['id']}").json()
        (item,) = http.get(f"/functions/{function_id}/executions?limit=1").json()
        for answer in (result, details, item):
            assert (answer["id"], answer["functionName"], answer["revision"]) == (result["id"], name, revision)
            assert answer["durationMs"] == duration_of(details)


def duration_of(execution: Json) -> float:
    started_at, completed_at = (datetime.fromisoformat(execution[name]) for name in ("startedAt", "completedAt"))
    return (completed_at - started_at) / timedelta(microseconds=1) / 1000


def test_a_renamed_function_is_called_by_its_new_name_at_once(http: httpx.Client) -> None:
    function_id = ready(http, ECHO, "before")
    assert execute(http, function_id, {})["functionName"] == "before"
    body = {"name": "after", "language": "assemblyscript", "source": ECHO}
    http.put(f"/functions/{function_id}", json=body).raise_for_status()
    assert execute(http, function_id, {})["functionName"] == "after"


def test_executions_are_filtered_by_function_status_time_and_error(
    http: httpx.Client, function_ids: tuple[str, str]
) -> None:
    echo, fail = function_ids
    good, bad, last = execute(http, echo, {}), execute(http, fail, {}), execute(http, echo, {})
    assert ids(http.get("/executions", params={"function": echo, "limit": 2})) == [last["id"], good["id"]]
    assert ids(http.get("/executions", params={"function": fail, "status": "COMPLETED"})) == []
    assert ids(http.get("/executions", params={"status": "FAILED", "limit": 1})) == [bad["id"]]
    window = {"since": good["createdAt"], "until": last["createdAt"]}
    assert ids(http.get("/executions", params=window)) == [bad["id"], good["id"]]
    assert ids(http.get(f"/functions/{echo}/executions", params=window)) == [good["id"]]
    offset = datetime.fromisoformat(last["createdAt"]).astimezone().isoformat()
    assert ids(http.get("/executions", params={"since": offset, "function": echo})) == [last["id"]]
    assert ids(http.get("/executions", params={"error": "no luck", "limit": 1})) == [bad["id"]]
    assert ids(http.get(f"/functions/{fail}/executions", params={"error": "no luck", "limit": 1})) == [bad["id"]]
    assert ids(http.get(f"/functions/{echo}/executions", params={"error": "no luck"})) == []


def test_a_page_of_a_filter_leads_to_the_next_with_the_same_filter(
    http: httpx.Client, function_ids: tuple[str, str]
) -> None:
    stored = [execute(http, function_ids[1], {})["id"] for _ in range(3)][::-1]
    query: dict[str, Any] = {"error": "no luck", "function": function_ids[1], "limit": 2}
    first = http.get("/executions", params=query)
    assert ids(first) == stored[:2]
    assert ids(http.get(first.links["next"]["url"]))[0] == stored[2]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=yesterday", "since"),
        ("since=2026-11-21", "since"),
        ("since=2026-11-21T09:30:00", "since"),
        ("until=2026-11-21T09:30:00+02:00", "until"),
        ("until=0001-01-01T00:00:00%2B05:00", "until"),
        ("function=x", "function"),
        ("error=", "error"),
        ("error=%00", "error"),
    ],
)
def test_a_filter_that_cannot_be_read_is_a_400_that_names_it(http: httpx.Client, query: str, field: str) -> None:
    answer = http.get(f"/executions?{query}")
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_a_deleted_execution_is_gone_and_its_neighbours_stay(http: httpx.Client, function_ids: tuple[str, str]) -> None:
    first, second = (execute(http, function_ids[0], {})["id"] for _ in range(2))
    answer = http.delete(f"/executions/{first}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert http.get(f"/executions/{first}").status_code == 404
    assert http.get(f"/executions/{second}").status_code == 200


def test_deleting_an_execution_that_is_not_there_is_a_404(http: httpx.Client) -> None:
    answer = http.delete(f"/executions/{ExecutionIds().new()}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/docs#execution-not-found")


def test_an_execution_that_spins_is_listed_as_running_cannot_be_deleted_and_fails_by_its_time_limit(
    http: httpx.Client,
) -> None:
    function_id = ready(http, SPIN)
    query = {"status": "RUNNING", "function": function_id}

    def running() -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = http.get("/executions", params=query).json()
        return found

    with ThreadPoolExecutor(1) as caller:
        result = caller.submit(execute, http, function_id, {})
        eventually("a running execution", lambda: bool(running()))
        (item,) = running()
        assert item["durationMs"] is None
        assert http.delete(f"/executions/{item['id']}").status_code == 409
    assert result.result()["errorMessage"] == "timeout: the function ran longer than its limit of 10 s"
    assert running() == []
    assert http.delete(f"/executions/{item['id']}").status_code == 204


# What is executed is what was meant


BODIES: list[tuple[Json, str]] = [
    ({"inptu": {"a": 1}}, "'inptu'"),
    ({"a": 1, "b": 2}, "'a', 'b'"),
    ({"event": "push", **{f"field{number}": 1 for number in range(9)}}, "and 5 more"),
]


@pytest.mark.parametrize(("body", "words"), BODIES)
def test_a_body_with_fields_but_no_input_is_a_400_that_says_so(
    http: httpx.Client, function_ids: tuple[str, str], body: Json, words: str
) -> None:
    before = ids(http.get(f"/functions/{function_ids[0]}/executions?limit=1"))
    answer = http.post(f"/functions/{function_ids[0]}/execute", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, "input")
    assert words in answer.json()["detail"]
    assert '{"input": {...}}' in answer.json()["detail"]
    assert ids(http.get(f"/functions/{function_ids[0]}/executions?limit=1")) == before


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"input": null}', b'{"input": {}, "note": 1}'])
def test_a_body_that_asks_for_no_input_runs_with_none(
    http: httpx.Client, function_ids: tuple[str, str], body: bytes
) -> None:
    answer = http.post(f"/functions/{function_ids[0]}/execute", content=body)
    assert (answer.status_code, answer.json()["output"]) == (200, {})


def test_a_function_that_is_not_ready_leaves_no_execution(http: httpx.Client) -> None:
    function_id = register(http, "not a program")
    assert http.post(f"/functions/{function_id}/execute").status_code == 400
    assert ids(http.get("/executions", params={"function": function_id})) == []
