"""Functions by their names: URLs that survive delete and create, and never mean another function than their caller."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from tests.support.functions import BROKEN, CONSTANT, ECHO, Json, ready, register, wait_compiled, wait_ready


def by_name(name: str, rest: str = "") -> str:
    return f"/functions/by-name/{quote(name, safe='')}{rest}"


@pytest.fixture
def name() -> str:
    return f"named {uuid4()}"


def body(source: str = ECHO, **more: str) -> Json:
    return {"language": "assemblyscript", "source": source, **more}


def put_ready(http: httpx.Client, name: str, source: str) -> str:
    function_id = str(http.put(by_name(name), json=body(source)).raise_for_status().json()["id"])
    wait_ready(http, function_id)
    return function_id


def test_put_creates_then_updates_and_what_is_equal_stays_as_it_is(http: httpx.Client, name: str) -> None:
    created = http.put(by_name(name), json=body(description="first"))
    assert created.status_code == 201
    function_id = created.json()["id"]
    assert created.headers["Location"] == f"/functions/{function_id}"
    assert (created.json()["name"], created.json()["revision"]) == (name, 1)
    wait_ready(http, function_id)
    same = http.put(by_name(name), json=body(name=name))
    assert (same.status_code, same.json()["id"], same.json()["revision"]) == (200, function_id, 1)
    assert (same.json()["status"], same.json()["description"]) == ("READY", None)
    changed = http.put(by_name(name), json=body(CONSTANT % 7))
    assert (changed.status_code, changed.json()["id"], changed.json()["revision"]) == (200, function_id, 2)


def test_a_url_by_name_survives_delete_and_create(http: httpx.Client, name: str) -> None:
    outputs = []
    for number in (1, 2):
        put_ready(http, name, CONSTANT % number)
        outputs += [http.post(by_name(name, "/execute")).json()["output"]["n"] for _ in range(2)]
        assert http.get(by_name(name)).json()["source"] == CONSTANT % number
        assert http.delete(by_name(name)).status_code == 204
    assert outputs == [1, 1, 2, 2]
    for answer in (
        http.get(by_name(name)),
        http.delete(by_name(name)),
        http.post(by_name(name, "/execute"), json={"input": {}}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (404, "/docs#function-not-found")
        assert name in answer.json()["detail"]


@pytest.mark.parametrize(
    "special", ["a/b", "grüße 🎉", "100%", "by-name", "a?b#c", " x ", "execute", "%2F", "a+b", "{name}", "{id}"]
)
def test_any_name_has_its_url(http: httpx.Client, special: str) -> None:
    function_id = put_ready(http, special, ECHO)
    assert http.get(by_name(special)).json()["name"] == special
    result = http.post(by_name(special, "/execute"), json={"input": {"a": 1}}).json()
    assert (result["functionId"], result["functionName"], result["output"]) == (function_id, special, {"a": 1})
    assert http.delete(by_name(special)).status_code == 204
    assert http.get(f"/functions/{function_id}").status_code == 404


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("/functions/by-name/", 404),
        ("/functions/by-name/a/b", 404),
        ("/functions/by-name/%FF", 400),
        ("/functions/by-name/a%00b", 400),
        ("/functions%2Fby-name/x", 404),
    ],
)
def test_a_path_that_names_nothing_says_so(http: httpx.Client, raw: str, status: int) -> None:
    answer = http.get(httpx.URL(str(http.base_url)).copy_with(raw_path=raw.encode()))
    assert answer.status_code == status, answer.text


def test_a_body_may_repeat_the_name_and_must_not_contradict_it(http: httpx.Client, name: str) -> None:
    answer = http.put(by_name(name), json=body(name="another"))
    assert (answer.status_code, answer.json()["field"]) == (400, "name")
    assert http.get(by_name(name)).status_code == 404
    answer = http.put(by_name("x" * 256), json=body())
    assert (answer.status_code, answer.json()["field"]) == (400, "name")


def test_a_shared_name_is_a_conflict_that_lists_the_ids(http: httpx.Client, name: str) -> None:
    first = ready(http, ECHO, name)
    assert http.post(by_name(name, "/execute")).status_code == 200
    second = register(http, ECHO, name)
    for answer in (
        http.get(by_name(name)),
        http.post(by_name(name, "/execute")),
        http.put(by_name(name), json=body()),
        http.delete(by_name(name)),
    ):
        assert (answer.status_code, answer.json()["type"]) == (409, "/docs#function-name-shared")
        assert answer.json()["functionIds"] == [second, first]
    http.delete(f"/functions/{second}").raise_for_status()
    assert http.post(by_name(name, "/execute")).json()["functionId"] == first


def test_a_name_that_moves_to_another_function_means_that_one_at_once(http: httpx.Client, name: str) -> None:
    old = put_ready(http, name, CONSTANT % 1)
    new = ready(http, CONSTANT % 2, f"{name} new")
    assert http.post(by_name(name, "/execute")).json()["output"] == {"n": 1}
    http.put(f"/functions/{old}", json=body(CONSTANT % 1, name=f"{name} old")).raise_for_status()
    assert http.post(by_name(name, "/execute")).status_code == 404
    http.put(f"/functions/{new}", json=body(CONSTANT % 2, name=name)).raise_for_status()
    assert http.post(by_name(name, "/execute")).json()["output"] == {"n": 2}
    assert http.post(f"/functions/{old}/execute").json()["output"] == {"n": 1}


def test_a_function_by_name_that_is_not_ready_is_a_400(http: httpx.Client, name: str) -> None:
    function_id = http.put(by_name(name), json=body(BROKEN)).json()["id"]
    assert wait_compiled(http, function_id)["status"] == "FAILED"
    answer = http.post(by_name(name, "/execute"))
    assert (answer.status_code, answer.json()["type"]) == (400, "/docs#function-not-ready")


def test_of_many_that_put_a_new_name_at_once_one_creates_it(http: httpx.Client, name: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: http.put(by_name(name), json=body()), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(http.get("/functions", params={"name": name}).json()) == 1


async def test_put_and_delete_at_once_leave_one_function_or_none(http: httpx.Client, name: str) -> None:
    async with httpx.AsyncClient(base_url=http.base_url, timeout=60) as client:
        calls = [
            client.put(by_name(name), json=body()) if number % 2 else client.delete(by_name(name))
            for number in range(20)
        ]
        answers = await asyncio.gather(*calls)
        left = (await client.get("/functions", params={"name": name})).json()
    assert {answer.status_code for answer in answers} <= {200, 201, 204, 404}
    assert len(left) <= 1
