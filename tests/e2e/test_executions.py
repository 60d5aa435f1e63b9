"""Executing over HTTP, and what is recorded of it."""

import httpx
import pytest

from tests.support.functions import ECHO, FAIL, execute, ready

CHATTY = """
export function handle(input: string): string {
  console.log("seen: " + input);
  console.warn("be careful");
  trace("numbers", 2, 1.5, 2);
  return "{}";
}
"""
FORGETS = "let count: i32 = 0; export function handle(input: string): string { count += 1; return count.toString(); }"


def test_an_execution_answers_with_its_output_and_is_recorded(http: httpx.Client) -> None:
    function_id = ready(http, ECHO)
    result = execute(http, function_id, {"a": [1, 2.5, None, "é"]})
    assert set(result) == {
        "id",
        "functionId",
        "functionName",
        "revision",
        "status",
        "output",
        "errorMessage",
        "createdAt",
        "completedAt",
        "durationMs",
    }
    assert (result["status"], result["output"], result["errorMessage"]) == (
        "COMPLETED",
        {"a": [1, 2.5, None, "é"]},
        None,
    )
    recorded = http.get(f"/executions/{result['id']}").json()
    assert recorded["input"] == recorded["output"] == {"a": [1, 2.5, None, "é"]}
    assert recorded["functionId"] == function_id
    assert recorded["createdAt"] <= recorded["startedAt"] <= recorded["completedAt"] == result["completedAt"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"input":null}', b'{"input":{}}', b' {"input" : { } , "x" : 1 } '])
def test_input_that_is_absent_or_null_means_an_empty_object(http: httpx.Client, body: bytes) -> None:
    function_id = ready(http, "export function handle(input: string): string { return input.replaceAll(' ', ''); }")
    response = http.post(f"/functions/{function_id}/execute", content=body)
    assert (response.status_code, response.json()["output"]) == (200, {})


def test_a_function_that_throws_is_a_200_that_failed_with_message_file_line_and_column(http: httpx.Client) -> None:
    result = execute(http, ready(http, FAIL), {})
    assert (result["status"], result["output"]) == ("FAILED", None)
    assert result["errorMessage"] == "abort: no luck today in function.ts(1:49)"
    recorded = http.get(f"/executions/{result['id']}").json()
    assert (recorded["status"], recorded["errorMessage"]) == ("FAILED", result["errorMessage"])


def test_what_a_function_logs_is_in_the_details(http: httpx.Client) -> None:
    result = execute(http, ready(http, CHATTY), {"n": 1})
    logs = http.get(f"/executions/{result['id']}").json()["logs"]
    assert 'seen: {"n":1}' in logs
    assert "be careful" in logs
    assert "numbers" in logs


def test_every_execution_has_an_instance_of_its_own(http: httpx.Client) -> None:
    function_id = ready(http, FORGETS)
    assert [execute(http, function_id, {})["output"] for _ in range(10)] == [1] * 10


def test_a_functions_executions_are_listed_newest_first_and_by_status(http: httpx.Client) -> None:
    function_id = ready(
        http, 'export function handle(i: string): string { if (i.length > 2) throw new Error("x"); return i; }'
    )
    results = [execute(http, function_id, given) for given in ({}, {"a": 1}, {}, {"a": 1})]
    listed = http.get(f"/functions/{function_id}/executions").json()
    assert [item["id"] for item in listed] == [result["id"] for result in results[::-1]]
    assert "input" not in listed[0]
    failed = http.get(f"/functions/{function_id}/executions", params={"status": "FAILED"}).json()
    assert [item["id"] for item in failed] == [results[3]["id"], results[1]["id"]]
    newest = http.get("/executions", params={"limit": 2})
    assert [item["id"] for item in newest.json()] == [results[3]["id"], results[2]["id"]]
    following = http.get(newest.links["next"]["url"]).json()
    assert [item["id"] for item in following] == [results[1]["id"], results[0]["id"]]


def test_the_executions_of_no_function_are_a_404(http: httpx.Client) -> None:
    assert http.get("/functions/00000000-0000-7000-8000-000000000000/executions").status_code == 404


def test_an_input_at_its_limit_and_an_output_of_megabytes_pass(http: httpx.Client) -> None:
    padding = 1024 * 1024 - len('{"a":""}')
    largest = {"a": "x" * padding}
    assert execute(http, ready(http, ECHO), largest)["output"] == largest
    repeats = """export function handle(input: string): string { return '"' + "é".repeat(3_000_000) + '"'; }"""
    result = execute(http, ready(http, repeats), {})
    assert result["output"] == "é" * 3_000_000
    assert http.get(f"/executions/{result['id']}").json()["output"] == "é" * 3_000_000


def test_an_output_over_its_limit_fails_and_names_the_limit(http: httpx.Client) -> None:
    repeats = """export function handle(input: string): string { return '"' + "é".repeat(3_200_000) + '"'; }"""
    message = execute(http, ready(http, repeats), {})["errorMessage"]
    assert message == "output too large: 6,400,002 bytes of JSON, and the limit is 6 MiB (6,291,456 bytes)"
