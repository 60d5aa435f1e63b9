"""/functions over HTTP."""

import hashlib
import time

import httpx
import pytest

from tests.support.functions import BROKEN, CONSTANT, ECHO, execute, ready, register, wait_compiled


def test_registering_answers_201_with_the_place_to_poll(http: httpx.Client) -> None:
    body = {"name": "tell", "description": "d", "language": "assemblyscript", "source": ECHO, "unknown": [1]}
    response = http.post("/functions", json=body)
    assert response.status_code == 201
    created = response.json()
    assert set(created) == {"id", "name", "status", "createdAt"}
    assert (created["name"], created["status"]) == ("tell", "PENDING")
    assert response.headers["Location"] == f"/functions/{created['id']}"
    details = wait_compiled(http, created["id"])
    assert set(details) == {
        *("id", "name", "description", "language", "source", "status", "compileError", "compilation", "revision"),
        *("createdAt", "updatedAt"),
    }
    assert (details["status"], details["source"], details["description"], details["revision"]) == (
        "READY",
        ECHO,
        "d",
        1,
    )


def test_a_source_that_does_not_compile_fails_with_the_compilers_message(http: httpx.Client) -> None:
    details = wait_compiled(http, register(http, BROKEN))
    assert details["status"] == "FAILED"
    assert "Type 'i32' is not assignable to type '~lib/string/String'" in details["compileError"]
    assert "function.ts(1,56)" in details["compileError"]


def test_a_list_has_the_beginning_of_the_compilers_message(http: httpx.Client) -> None:
    long = "".join(f"  let wrong{number}: Unknown{number} = {number};\n" for number in range(20))
    failed = [register(http, source, "listed") for source in (BROKEN, ECHO.replace("return", long + "return"))]
    short, cut = [wait_compiled(http, function_id)["compileError"] for function_id in failed]
    ready(http, ECHO, "listed")
    items = http.get("/functions", params={"name": "listed"}).json()
    assert len(short) < 1000 < len(cut)
    assert [item["compileError"] for item in items] == [None, cut[:999] + "…", short]


def test_executing_a_function_that_did_not_compile_names_its_status_and_records_nothing(http: httpx.Client) -> None:
    function_id = register(http, BROKEN)
    wait_compiled(http, function_id)
    response = http.post(f"/functions/{function_id}/execute", json={})
    assert response.status_code == 400
    assert "is FAILED, not READY" in response.json()["detail"]
    assert http.get(f"/functions/{function_id}/executions").json() == []


def test_the_module_is_served_with_a_strong_tag(http: httpx.Client) -> None:
    function_id = ready(http, ECHO)
    response = http.get(f"/functions/{function_id}/wasm")
    assert response.headers["Content-Type"] == "application/wasm"
    assert response.content.startswith(b"\0asm")
    assert response.headers["ETag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
    again = http.get(f"/functions/{function_id}/wasm", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_module_of_a_function_that_is_not_ready_is_refused(http: httpx.Client) -> None:
    function_id = register(http, BROKEN)
    wait_compiled(http, function_id)
    assert http.get(f"/functions/{function_id}/wasm").status_code == 400


def test_another_source_is_compiled_and_runs_at_once_when_ready(http: httpx.Client) -> None:
    function_id = ready(http, CONSTANT % 1)
    assert execute(http, function_id, {})["output"] == {"n": 1}
    body = {"name": "g", "language": "assemblyscript", "source": CONSTANT % 2}
    updated = http.put(f"/functions/{function_id}", json=body).json()
    assert (updated["status"], updated["revision"], updated["name"]) == ("PENDING", 2, "g")
    assert wait_compiled(http, function_id)["status"] == "READY"
    assert execute(http, function_id, {})["output"] == {"n": 2}


def test_another_name_alone_is_not_compiled_anew(http: httpx.Client) -> None:
    function_id = ready(http, ECHO, "old")
    body = {"name": "new", "description": "now described", "language": "assemblyscript", "source": ECHO}
    updated = http.put(f"/functions/{function_id}", json=body).json()
    assert (updated["status"], updated["revision"]) == ("READY", 1)
    assert (updated["name"], updated["description"]) == ("new", "now described")


def test_a_function_that_failed_recovers_with_a_better_source(http: httpx.Client) -> None:
    function_id = register(http, BROKEN)
    wait_compiled(http, function_id)
    http.put(f"/functions/{function_id}", json={"name": "f", "language": "assemblyscript", "source": ECHO})
    details = wait_compiled(http, function_id)
    assert (details["status"], details["compileError"]) == ("READY", None)


def test_deleting_a_function_deletes_its_executions(http: httpx.Client) -> None:
    function_id = ready(http, ECHO)
    execution_id = execute(http, function_id, {})["id"]
    assert http.delete(f"/functions/{function_id}").status_code == 204
    assert http.get(f"/functions/{function_id}").status_code == 404
    assert http.get(f"/executions/{execution_id}").status_code == 404
    assert http.post(f"/functions/{function_id}/execute", json={}).status_code == 404
    assert http.delete(f"/functions/{function_id}").status_code == 404


def test_a_function_changed_behind_a_nodes_back_is_not_run_from_its_cache(http: httpx.Client) -> None:
    function_id = ready(http, CONSTANT % 1)
    execute(http, function_id, {})
    http.put(f"/functions/{function_id}", json={"name": "f", "language": "assemblyscript", "source": CONSTANT % 3})
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        response = http.post(f"/functions/{function_id}/execute", json={})
        if response.status_code == 200:
            assert response.json()["output"] == {"n": 3}
            return
        assert "not READY" in response.json()["detail"]
    raise AssertionError("never READY again")


def test_lists_are_newest_first_in_pages_that_link_to_the_next(http: httpx.Client) -> None:
    ids = [register(http, ECHO, "paged") for _ in range(5)]
    found: list[str] = []
    path: str | None = "/functions?name=paged&limit=2"
    pages = 0
    while path is not None:
        response = http.get(path)
        page = response.json()
        assert all("source" not in item and item["name"] == "paged" for item in page)
        found += [item["id"] for item in page]
        path = response.links.get("next", {}).get("url")
        pages += 1
    assert found == ids[::-1]
    assert pages == 3


def test_lists_filter_by_status(http: httpx.Client) -> None:
    function_id = register(http, BROKEN, "only-failed")
    wait_compiled(http, function_id)
    found = http.get("/functions", params={"name": "only-failed", "status": "FAILED"}).json()
    assert [item["id"] for item in found] == [function_id]
    assert http.get("/functions", params={"name": "only-failed", "status": "READY"}).json() == []


@pytest.mark.parametrize(
    "path",
    ["json-as/" + "a" * 300, "json-as/" + "a/" * 3_000, "json-as/\\0"],
    ids=["a long name", "a long path", "NUL"],
)
def test_an_import_that_no_file_system_can_hold_fails_the_function(http: httpx.Client, path: str) -> None:
    function_id = register(http, f'import {{ x }} from "{path}";\n{ECHO}')
    details = wait_compiled(http, function_id)
    assert details["status"] == "FAILED"
    assert "not found" in details["compileError"]
    assert http.get("/health").json()["compiler"]["status"] == "UP"


def test_the_same_source_again_compiles_what_has_failed(http: httpx.Client) -> None:
    body = {"name": "f", "language": "assemblyscript", "source": BROKEN}
    function_id = register(http, BROKEN)
    before = wait_compiled(http, function_id)
    again = http.put(f"/functions/{function_id}", json=body).json()
    assert (again["status"], again["revision"]) == ("PENDING", 1)
    after = wait_compiled(http, function_id)
    assert (after["status"], after["compileError"]) == ("FAILED", before["compileError"])
    assert after["updatedAt"] > before["updatedAt"]
