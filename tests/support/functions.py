"""Sources the tests register, and how they wait for them."""

import time
from typing import Any

import httpx

Json = dict[str, Any]

ECHO = "export function handle(input: string): string { return input; }"
SPIN = "export function handle(input: string): string { while (true) {} return input; }"
FAIL = 'export function handle(input: string): string { throw new Error("no luck today"); }'
BROKEN = "export function handle(input: string): string { return 1; }"
CONSTANT = """export function handle(input: string): string { return '{"n":%d}'; }"""


def register(http: httpx.Client, source: str, name: str = "f") -> str:
    """POST a function; returns its id."""
    body = {"name": name, "language": "assemblyscript", "source": source}
    response = http.post("/functions", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def wait_compiled(http: httpx.Client, function_id: str, timeout_s: float = 120.0, poll_s: float = 0.05) -> Json:
    """Poll until READY or FAILED; returns the details."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        details: Json = http.get(f"/functions/{function_id}").json()
        if details["status"] in ("READY", "FAILED"):
            return details
        time.sleep(poll_s)
    raise AssertionError(f"still {details['status']} after {timeout_s} s")


def ready(http: httpx.Client, source: str, name: str = "f") -> str:
    """Register a function and wait until it is READY; returns its id."""
    function_id = register(http, source, name)
    wait_ready(http, function_id)
    return function_id


def wait_ready(http: httpx.Client, function_id: str, timeout_s: float = 120.0, poll_s: float = 0.05) -> None:
    """Poll until the function is READY."""
    details = wait_compiled(http, function_id, timeout_s, poll_s)
    assert details["status"] == "READY", details["compileError"]


def execute(http: httpx.Client, function_id: str, given: Any) -> Json:
    """Execute and return the outcome, which must be a 200."""
    response = http.post(f"/functions/{function_id}/execute", json={"input": given})
    assert response.status_code == 200, response.text
    result: Json = response.json()
    return result
