"""The OpenAPI document is valid, complete, and tells the truth."""

import re
from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from projectnil.api.openapi import openapi_document, problem_in_general, problem_kinds
from projectnil.api.problems import METHOD_NOT_ALLOWED, PATH_NOT_FOUND, REFUSALS
from projectnil.api.routes import OPERATIONS
from tests.support.functions import ECHO, execute, ready

Json = dict[str, Any]
DOCUMENT = openapi_document(OPERATIONS)


def schema(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


def test_the_served_document_is_openapi_3_1_and_valid(http: httpx.Client) -> None:
    served = http.get("/openapi.json").json()
    assert served["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(served).validate()
    assert served == DOCUMENT


def test_every_example_fits_its_schema() -> None:
    checked = 0
    for media in _media(DOCUMENT["paths"]):
        given = [example["value"] for example in media.get("examples", {}).values()]
        if "example" in media:
            given.append(media["example"])
        for example in given:
            jsonschema.validate(example, {**media["schema"], "components": DOCUMENT["components"]})
            checked += 1
    assert checked > 40


def test_every_operation_with_json_has_an_example_of_each_success() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                for media_type, media in response.get("content", {}).items():
                    if media_type.endswith("json"):
                        assert "example" in media or media.get("examples"), (method, path, status)


def test_every_kind_of_problem_has_an_example() -> None:
    names = {name for media in _media(DOCUMENT["paths"]) for name in media.get("examples", {})}
    # These belong to no operation: any request may be answered with them.
    of_any_request = {PATH_NOT_FOUND.name, METHOD_NOT_ALLOWED.name, *(kind.name for kind in REFUSALS)}
    assert names == {kind.name for kind in problem_kinds()} - of_any_request


def test_real_answers_fit_the_schemas(http: httpx.Client) -> None:
    function_id = ready(http, ECHO)
    result = execute(http, function_id, {"a": 1})
    answers = {
        "FunctionDetails": http.get(f"/functions/{function_id}").json(),
        "FunctionItem": http.get("/functions").json()[0],
        "ExecutionResult": result,
        "ExecutionDetails": http.get(f"/executions/{result['id']}").json(),
        "ExecutionItem": http.get("/executions").json()[0],
        "Health": http.get("/health").json(),
        "Problem": http.get("/functions/x").json(),
    }
    for name, answer in answers.items():
        jsonschema.validate(answer, schema(name))
        assert set(answer) <= set(DOCUMENT["components"]["schemas"][name]["properties"]), name


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_every_operation_is_there(http: httpx.Client, operation: Any) -> None:
    path = operation.path.replace("{id}", "0198c1a2-7d3e-7c55-9f0e-2b6f5a4c1d90").replace("{name}", "no-such")
    response = http.request(operation.method, path, content=b"{}")
    assert str(response.status_code) in DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]


def test_the_page_for_people_has_it_all_and_refers_to_nothing_outside(http: httpx.Client) -> None:
    page = http.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    for operation in OPERATIONS:
        assert f"<code>{operation.path}</code>" in page.text
    for kind in problem_kinds():
        assert f"id='{kind.name}'" in page.text
    loading = r"https?://(?!127\.0\.0\.1:8080)|\ssrc=|<link|@import|url\("
    assert re.findall(loading, page.text) == []
    policy = dict(rule.split(" ", 1) for rule in page.headers["Content-Security-Policy"].split("; "))
    assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
    assert "unsafe" not in str(policy)
    assert http.get("/", follow_redirects=True).text == page.text


FUNCTION: Json = {"name": "add", "language": "assemblyscript", "source": ECHO}


def provoke(http: httpx.Client, kind: str, method: str, path: str) -> httpx.Response:
    """Do what the example of a problem says was done."""
    match kind:
        case "invalid-input" | "too-large":
            return http.request(method, path, **_refused(kind, method, path))
        case "unsupported-language":
            return http.request(method, path, json=FUNCTION | {"language": "cobol"})
        case "unsupported-media-type":
            return http.request(method, path, content=b"{}", headers={"content-type": "text/plain"})
        case "method-not-allowed":
            return http.patch(path)
        case "origin-not-allowed":
            return http.request(method, path, headers={"sec-fetch-site": "cross-site"})
        case "unknown-host":
            return http.request(method, path, headers={"host": "example.org"})
    return http.request(method, path, json=FUNCTION if method in ("POST", "PUT") and "execute" not in path else None)


def _refused(kind: str, method: str, path: str) -> Json:
    """The arguments of a request with something that is invalid, or too large."""
    is_invalid = kind == "invalid-input"
    if path.endswith("/execute"):
        return {"json": {"input": [] if is_invalid else {"a": "x" * (1_048_577 - 8)}}}
    if method in ("POST", "PUT"):
        missing = "source" if "by-name" in path else "name"
        incomplete = {name: value for name, value in FUNCTION.items() if name != missing}
        return {"json": incomplete if is_invalid else FUNCTION | {"source": "x" * 2_097_152}}
    is_list = path in ("/functions", "/executions") or path.endswith("/executions")
    return {"params": {"limit": 0} if is_list else {"stauts": "READY"}}


# It takes a platform in trouble, a moment that passes, or bytes that a client library does not send (test_http_bounds).
NOT_PROVOKED = {
    "request-timed-out",
    "path-too-long",
    "head-too-large",
    "too-many-connections",
    "unavailable",
    "internal",
    "overloaded",
    "execution-interrupted",
    "execution-running",
    "function-not-ready",
    "function-name-shared",
    "malformed-request",
}


@pytest.mark.usefixtures("functions_made_here_are_deleted")
def test_each_example_of_a_problem_is_what_the_platform_says(http: httpx.Client) -> None:
    found = [
        (name, method, example["value"])
        for methods in DOCUMENT["paths"].values()
        for method, operation in methods.items()
        for response in operation["responses"].values()
        for name, example in response.get("content", {}).get("application/problem+json", {}).get("examples", {}).items()
    ]
    found += [(kind.name, "get", problem_in_general(kind)) for kind in (PATH_NOT_FOUND, METHOD_NOT_ALLOWED, *REFUSALS)]
    provoked = [each for each in found if each[0] not in NOT_PROVOKED]
    assert len(provoked) > 20
    for name, method, example in provoked:
        response = provoke(http, name, method.upper(), example["instance"])
        assert response.is_error, (method, example)
        answer = response.json()
        told = {key: answer.get(key) for key in example if key not in ("timestamp", "requestId")}
        assert told == {key: value for key, value in example.items() if key in told}, (method, example)


def _media(value: Any) -> list[Json]:
    if isinstance(value, list):
        return [media for item in value for media in _media(item)]
    if not isinstance(value, dict):
        return []
    own = list(value["content"].values()) if isinstance(value.get("content"), dict) else []
    return own + [media for key, item in value.items() if key != "content" for media in _media(item)]
