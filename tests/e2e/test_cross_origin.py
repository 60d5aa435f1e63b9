"""A page in a browser is not the user: what the platform serves, by Host, Origin and Sec-Fetch-Site."""

from typing import Any

import httpx
import pytest

from projectnil.api.guides import GUIDES
from tests.conftest import ALLOWED_ORIGIN
from tests.e2e.test_bad_input import assert_problem
from tests.support.functions import ECHO
from tests.support.platform import Platform
from tests.support.raw_http import ask

FUNCTION: dict[str, Any] = {"name": "cross-origin", "language": "assemblyscript", "source": ECHO}

pytestmark = pytest.mark.usefixtures("functions_made_here_are_deleted")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8080",
        "localhost.",
        "127.0.0.1",
        "10.1.2.3:1",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]",
        "[fe80::1%25eth0]",
        "known.example",
        "KNOWN.example.:443",
        "other.example",
    ],
)
def test_a_name_that_the_platform_is_known_by_is_answered(http: httpx.Client, host: str) -> None:
    assert http.get("/functions", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "known.example.evil.example", "127.1", "2130706433", "evil.localhost"],
)
def test_a_name_that_the_platform_is_not_known_by_is_a_421_that_names_the_setting(
    http: httpx.Client, host: str
) -> None:
    for path in ("/functions", "/health", "/nothing"):
        response = http.get(path, headers={"Host": f"{host}:8080"})
        assert_problem(response, 421, "unknown-host", f"not known by the name {host}: ")
        assert "PROJECTNIL_ALLOWED_HOSTS" in response.json()["detail"]


@pytest.mark.parametrize(
    "host",
    ["", "a@localhost", "localhost:80a", "localhost:99999", "[::1", "[localhost]", "::1", "a b", "localhost,x", "."],
)
def test_a_host_that_is_none_is_a_400(platform: Platform, host: str) -> None:
    answer = ask(platform, f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (answer.status, answer.json()["type"]) == (400, "/docs#malformed-request")
    assert answer.headers["X-Request-Id"] == answer.json()["requestId"]


def test_a_host_that_is_none_is_shown_as_it_came(platform: Platform) -> None:
    answer = ask(platform, "GET /health HTTP/1.1\r\nHost: évil\r\n\r\n".encode())
    assert answer.json()["detail"] == "the Host header is not a host: évil"


def test_http_1_1_without_host_or_with_two_is_a_400_and_http_1_0_needs_none(platform: Platform) -> None:
    assert ask(platform, b"GET /health HTTP/1.1\r\n\r\n").status == 400
    assert ask(platform, b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n").status == 400
    assert ask(platform, b"GET /health HTTP/1.0\r\n\r\n").status == 200
    assert ask(platform, b"GET /health HTTP/1.0\r\nHost: evil.example\r\n\r\n").status == 421


def test_a_page_of_the_platform_itself_may_use_it(http: httpx.Client) -> None:
    for headers in (
        {"Origin": str(http.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://localhost", "Host": "LOCALHOST:80"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ):
        response = http.post("/functions", json=FUNCTION, headers=headers)
        assert response.status_code == 201
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "https://{host}",
        "http://{name}",
        "http://{name}:1",
        "http://localhost:{port}",
        "http://app.example:81",
        "https://app.example.evil.example",
        "https://app.example/",
        f"{ALLOWED_ORIGIN} https://evil.example",
        f"{ALLOWED_ORIGIN}, {ALLOWED_ORIGIN}",
    ],
)
def test_a_page_of_another_origin_is_a_403(http: httpx.Client, origin: str) -> None:
    url = http.base_url
    given = origin.format(host=f"{url.host}:{url.port}", name=url.host, port=url.port)
    for method, path in (("POST", "/functions"), ("GET", "/functions"), ("GET", "/health"), ("OPTIONS", "/functions")):
        response = http.request(method, path, json=FUNCTION, headers={"Origin": given})
        assert_problem(response, 403, "origin-not-allowed", "PROJECTNIL_ALLOWED_ORIGINS")
        assert not [name for name in response.headers if name.startswith("access-control")]
    assert http.get("/functions", params={"name": FUNCTION["name"]}).json() == []


def test_two_origins_are_a_400(platform: Platform) -> None:
    twice = f"Origin: {ALLOWED_ORIGIN}\r\n" * 2
    assert ask(platform, f"GET /health HTTP/1.1\r\nHost: localhost\r\n{twice}\r\n".encode()).status == 400


@pytest.mark.parametrize("site", ["cross-site", "same-site", "something-new"])
def test_a_request_that_another_site_caused_is_a_403(http: httpx.Client, site: str) -> None:
    for method, path, mode, dest in (
        ("GET", "/functions", "no-cors", "image"),
        ("GET", "/functions", "navigate", "document"),
        ("GET", "/docs", "navigate", "iframe"),
        ("GET", "/docs", "no-cors", "script"),
        ("POST", "/docs", "navigate", "document"),
        ("GET", "/docs/operating", "no-cors", "script"),
        ("GET", "/docs/no-guide", "navigate", "document"),
    ):
        fetched = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        assert_problem(http.request(method, path, headers=fetched), 403, "origin-not-allowed", "another site")


@pytest.mark.parametrize(("path", "status"), [("/", 307), ("/docs", 200), *((f"/docs/{name}", 200) for name in GUIDES)])
def test_a_link_of_another_site_may_lead_to_the_documentation(http: httpx.Client, path: str, status: int) -> None:
    fetched = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert http.get(path, headers=fetched).status_code == status


def test_a_page_of_an_allowed_origin_gets_cors(http: httpx.Client) -> None:
    from_page = {"Origin": ALLOWED_ORIGIN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    created = http.post("/functions", json=FUNCTION, headers=from_page)
    missing = http.get("/functions/x", headers=from_page)
    assert (created.status_code, missing.status_code) == (201, 400)
    for response in (created, missing):
        assert response.headers["Access-Control-Allow-Origin"] == ALLOWED_ORIGIN
        exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"Link", "Location", "ETag", "Retry-After", "X-Request-Id"} <= set(exposed)
    # A cache must not hand one origin's answer to another.
    for response in (created, missing, http.get("/functions")):
        assert response.headers["Vary"] == "Origin"


def test_a_preflight_says_what_the_path_takes(http: httpx.Client) -> None:
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    path = "/functions/0198c1a2-7d3e-7c55-9f0e-2b6f5a4c1d90"
    response = http.options(path, headers={"Origin": ALLOWED_ORIGIN, **asked})
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == ALLOWED_ORIGIN
    assert response.headers["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, PUT"
    assert {"Content-Type", "Content-Encoding"} <= set(response.headers["Access-Control-Allow-Headers"].split(", "))
    assert response.headers["Access-Control-Max-Age"] == "600"
    assert http.options(path, headers=asked).status_code == 405  # no page asks
