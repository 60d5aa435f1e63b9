"""Whatever a function fails of, the message and the log name the user's own lines: failing.ts has one of each kind."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.functions import Json, execute, ready
from tests.support.platform import Platform

SOURCE = Path(__file__).with_name("failing.ts").read_text()
LINES = {
    match[1]: number
    for number, line in enumerate(SOURCE.splitlines(), start=1)
    if (match := re.search(r"// here: (\w+)$", line))
}


@pytest.fixture(scope="module")
def function_id(platform_http: httpx.Client) -> str:
    return ready(platform_http, SOURCE, "failing")


@pytest.fixture(scope="module")
def platform_http(platform: Platform) -> Iterator[httpx.Client]:
    with platform.client() as client:
        yield client


def fail(http: httpx.Client, function_id: str, what: str) -> tuple[str, list[str]]:
    """The error message, and the lines of the log."""
    result: Json = execute(http, function_id, {"what": what, "at": 1})
    details = http.get(f"/executions/{result['id']}").json()
    return result["errorMessage"], (details["logs"] or "").splitlines()


@pytest.mark.parametrize("what", LINES)
def test_a_failure_names_the_users_innermost_line(http: httpx.Client, function_id: str, what: str) -> None:
    message, logs = fail(http, function_id, what)
    assert f"in function.ts({LINES[what]}:" in message
    assert logs[0] == "stack of the failure:"
    assert f"(function.ts:{LINES[what]}:" in logs[1]


def test_the_messages_still_say_what_happened(http: httpx.Client, function_id: str) -> None:
    messages = {what: fail(http, function_id, what)[0] for what in ("index", "key", "divide", "throw")}
    assert re.fullmatch(
        r"abort: Index out of range in function\.ts\(\d+:\d+\) \(~lib/array\.ts\(\d+:\d+\)\)", messages["index"]
    )
    assert messages["key"].startswith("abort: Key does not exist in function.ts(")
    assert messages["divide"].startswith(
        "trap: an integer was divided by zero (INTEGER_DIVISION_BY_ZERO) in function.ts("
    )
    assert re.fullmatch(r"abort: it failed in function\.ts\(\d+:\d+\)", messages["throw"])


def test_the_log_has_the_functions_that_led_there(http: httpx.Client, function_id: str) -> None:
    called_at = {
        what: number + 1
        for number, line in enumerate(SOURCE.splitlines(), 1)
        if (match := re.search(r'what == "(\w+)"', line))
        for what in [match[1]]
    }
    _, null = fail(http, function_id, "null")
    assert null[1].startswith("    at Tree.depth (function.ts:")
    assert null[2].startswith(f"    at handle (function.ts:{called_at['null']}:")
    _, sort = fail(http, function_id, "sort")
    assert sort[1].startswith("    at handle (inner function) (function.ts:")
    assert sort[2].startswith(f"    at handle (function.ts:{called_at['sort'] + 1}:")
    _, divide = fail(http, function_id, "divide")
    assert re.fullmatch(r"    at ratio \(function\.ts:\d+:\d+\), inlined into handle", divide[1])
    _, endless = fail(http, function_id, "endless")
    assert re.fullmatch(r"    at endless \(function\.ts:\d+:\d+\), \d+ times", endless[1])
    assert endless[2] == "    ..."


def test_a_failure_before_handle_names_its_line(http: httpx.Client) -> None:
    source = """const sizes: i32[] = [];
class Settings {
  limit: i32 = 10 / sizes.length;
}
const settings = new Settings();
export function handle(input: string): string { return settings.limit.toString(); }"""
    message, logs = fail(http, ready(http, source), "any")
    assert "in function.ts(3:" in message
    assert logs[1].startswith("    at Settings.constructor (function.ts:3:")


def test_what_was_logged_comes_before_the_stack(http: httpx.Client) -> None:
    source = """export function handle(input: string): string {
  console.log("so far");
  throw new Error("no further");
}"""
    _, logs = fail(http, ready(http, source), "any")
    assert logs == ["so far", "stack of the failure:", "    at handle (function.ts:3:3)"]
