"""Real pages of other origins, in a real browser, against a platform on the same machine."""

import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.test_docs_page import QUIET
from tests.support.functions import ECHO
from tests.support.platform import Platform

CHROMIUM = shutil.which("chromium")
FUNCTION: dict[str, Any] = {"name": "from-a-page", "language": "assemblyscript", "source": ECHO}
BODY = json.dumps(FUNCTION)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; apt-get install chromium")


class _Site(BaseHTTPRequestHandler):
    """A web site: one page, with a link to each path of the platform that the query names."""

    def do_GET(self) -> None:
        links = "".join(f"<a href='{url}'>{url}</a>" for url in self.path.partition("?")[2].split("&"))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<!doctype html><title>a site</title>{links}".encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def site_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(site_port: int) -> Iterator[Browser]:
    """It takes app.example for the site, and any other name for this machine, as an attacker's DNS would have it."""
    rules = f"MAP app.example:80 127.0.0.1:{site_port}, MAP *.example 127.0.0.1"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, f"--host-resolver-rules={rules}"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def fetch(page: Page, url: str, **options: Any) -> Any:
    """What `fetch` gives the page: the status, Location and text, or the name of the error."""
    return page.evaluate(
        """async ([url, options]) => {
            try {
                const response = await fetch(url, options);
                return [response.status, response.headers.get("location"), await response.text()];
            } catch (error) { return error.name; }
        }""",
        [url, options],
    )


def functions(http: httpx.Client) -> list[str]:
    return [function["id"] for function in http.get("/functions", params={"name": FUNCTION["name"]}).json()]


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_can_neither_change_nor_read_anything(
    platform: Platform, http: httpx.Client, page: Page, site_port: int, address: str
) -> None:
    url = f"http://{address}:{platform.port}/functions"
    for site in (f"http://127.0.0.1:{site_port}", f"http://localhost:{site_port}", f"http://evil.example:{site_port}"):
        page.goto(site)
        # An opaque response tells the page nothing; what matters is that nothing was made.
        for media_type in ("text/plain", "application/x-www-form-urlencoded"):
            fetch(page, url, method="POST", mode="no-cors", headers={"content-type": media_type}, body=BODY)
        page.evaluate(
            "([url, body]) => fetch(url, {method: 'POST', mode: 'no-cors', body: new Blob([body])})", [url, BODY]
        )
        assert fetch(page, url, method="POST", headers={"content-type": "application/json"}, body=BODY) == "TypeError"
        assert fetch(page, url) == "TypeError"
        assert functions(http) == []


def test_a_form_of_another_origin_makes_nothing(
    platform: Platform, http: httpx.Client, page: Page, site_port: int
) -> None:
    page.goto(f"http://evil.example:{site_port}")
    # The name of the one field, "=" and its value together are the body.
    with page.expect_navigation() as navigation:
        page.evaluate(
            """([action, body]) => {
                const [name, value] = body.split("=");
                const form = document.createElement("form");
                Object.assign(form, {method: "POST", action, enctype: "text/plain"});
                form.append(Object.assign(document.createElement("input"), {name, value}));
                document.body.append(form);
                form.submit();
            }""",
            [
                f"{platform.url}/functions",
                json.dumps({**FUNCTION, "description": "="}),
            ],
        )
    assert navigation.value.status == 403
    assert functions(http) == []


def test_a_name_that_is_pointed_at_this_machine_reads_nothing(platform: Platform, page: Page) -> None:
    for path in ("/functions", "/docs", "/health"):
        response = page.goto(f"http://evil.example:{platform.port}{path}")
        assert response is not None
        assert (response.status, response.json()["type"]) == (421, "/docs#unknown-host")
    assert fetch(page, "/functions")[0] == 421


def test_a_name_that_the_platform_is_known_by_is_served(platform: Platform, http: httpx.Client, page: Page) -> None:
    response = page.goto(f"http://known.example:{platform.port}/openapi.json")
    assert response is not None
    assert response.status == 200
    status, location, _ = fetch(page, "/functions", method="POST", body=BODY, headers={"content-type": "text/plain"})
    assert status == 415
    status, location, _ = fetch(
        page, "/functions", method="POST", body=BODY, headers={"content-type": "application/json"}
    )
    assert status == 201
    http.delete(location).raise_for_status()


def test_a_page_of_an_allowed_origin_may_use_all_of_it(platform: Platform, http: httpx.Client, page: Page) -> None:
    page.goto("http://app.example/")
    as_json = {"content-type": "application/json", "x-request-id": "from-a-page"}
    status, location, _ = fetch(page, f"{platform.url}/functions", method="POST", headers=as_json, body=BODY)
    assert status == 201
    assert functions(http) == [location.rpartition("/")[2]]
    assert fetch(page, f"{platform.url}{location}", method="DELETE")[0] == 204
    assert fetch(page, f"{platform.url}{location}")[0] == 404


def test_a_link_of_another_site_leads_to_the_documentation_and_no_further(
    platform: Platform, page: Page, site_port: int
) -> None:
    site = f"http://evil.example:{site_port}/?"
    answers = {"/docs": 200, "/": 200, "/docs/writing-functions": 200, "/functions": 403, "/openapi.json": 403}
    for path, status in answers.items():
        page.goto(f"{site}{platform.url}{path}")
        with page.expect_navigation() as navigation:
            page.locator("a").click()
        assert navigation.value.status == status, path
