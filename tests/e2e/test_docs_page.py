"""/docs is readable in a browser that cannot reach anything else."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from projectnil.api.examples import FUNCTION_ID
from projectnil.api.guides import GUIDES
from projectnil.api.openapi import problem_kinds
from projectnil.api.routes import OPERATIONS
from tests.support.functions import ECHO, ready, wait_compiled
from tests.support.platform import Platform

CHROMIUM = shutil.which("chromium")
# Without these the browser calls home at its start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


def test_the_page_shows_every_operation_and_every_error_and_loads_nothing_else(
    platform: Platform, browser: Browser
) -> None:
    page = browser.new_page(viewport={"width": 1000, "height": 1400})
    asked: list[str] = []

    def note(route: Route) -> None:
        asked.append(route.request.url)
        route.continue_()

    page.route("**/*", note)
    complaints = complaints_of(page)
    page.goto(f"{platform.url}/docs")
    assert [url for url in asked if not url.endswith("/favicon.ico")] == [f"{platform.url}/docs"]
    _check_content(page)
    assert complaints == []
    page.close()


def complaints_of(page: Page) -> list[str]:
    """What the browser finds wrong, as it comes."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def _check_content(page: Page) -> None:
    articles = page.locator("article")
    assert articles.count() == len(OPERATIONS) + len(problem_kinds())
    for operation in OPERATIONS:
        heading = page.locator("h3", has=page.get_by_text(operation.path, exact=True)).filter(
            has=page.get_by_text(operation.method, exact=True)
        )
        assert heading.count() == 1, operation.path
        assert heading.is_visible()
    assert page.locator("form").count() == page.locator(".curl").count() == len(OPERATIONS)
    for kind in problem_kinds():
        assert page.locator(f"#{kind.name}").is_visible()
    link = page.locator("nav a[href^='#']").first
    link.click()
    assert "#" in page.url


@pytest.mark.parametrize("path", ["/docs", *(f"/docs/{name}" for name in GUIDES)])
def test_nothing_has_to_be_scrolled_sideways_on_a_telephone(platform: Platform, browser: Browser, path: str) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})
    complaints = complaints_of(page)
    page.goto(f"{platform.url}{path}")
    for summary in page.locator("summary").all():
        summary.evaluate("element => element.parentElement.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    inner = "[...document.querySelectorAll('pre, table, code')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    assert page.evaluate(f"{inner}.filter(e => getComputedStyle(e).display !== 'inline').length") == 0
    assert complaints == []
    page.close()


def send(page: Page, operation: str, **values: str) -> str:
    """Try an operation with these values in its form; returns what is shown then."""
    article = page.locator(f"#{operation}")
    form = article.locator("form")
    if not form.is_visible():
        article.get_by_text("Try it").click()
    for name, value in values.items():
        form.locator("textarea" if name == "body" else f"[name={name}]").fill(value)
    form.get_by_role("button").click()
    shown = form.locator("pre")
    expect(shown).to_have_text(re.compile(r"^\d{3} ", re.MULTILINE))
    return shown.inner_text()


def test_each_operation_can_be_tried_in_the_page(platform: Platform, browser: Browser) -> None:
    page = browser.new_page()
    complaints = complaints_of(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{platform.url}/docs")
    created = send(page, "functions_create")
    assert created.startswith("201 Created\nlocation: /functions/")
    function_id = created.partition("/functions/")[2][:36]
    with platform.client() as http:
        wait_compiled(http, function_id)
    ran = send(page, "executions_execute", id=function_id, body='{"input": {"a": 20, "b": 22}}')
    assert '"sum": 42' in ran
    assert function_id in send(page, "functions_index", name="add", limit="500")
    assert "limit: must be a whole number" in send(page, "functions_index", limit="0")
    assert "bytes)" in send(page, "functions_wasm", id=function_id)
    assert '"status": "' in send(page, "health_show")
    assert send(page, "functions_delete", id=function_id).startswith("204")
    # What a browser says itself about the 400.
    assert [text for text in complaints if "status of 400" not in text] == []
    page.close()


def test_an_answer_in_the_page_has_every_digit_that_the_platform_sent(platform: Platform, browser: Browser) -> None:
    numbers = "[1.10, 1e400, 12345678901234567890123, 0.123456789012345678901234567891, 1e-7, 5e-324]"
    with platform.client() as http:
        function_id = ready(http, ECHO.replace("return input", f"return '{numbers}'"), "digits")
    page = browser.new_page()
    page.goto(f"{platform.url}/docs")
    shown = send(page, "executions_execute", id=function_id, body=f'{{"input": {{"n": {numbers}}}}}')
    assert f'"output": {numbers}' in re.sub(r"\[\s+", "[", re.sub(r",\s+", ", ", re.sub(r"\s+\]", "]", shown)))
    recorded = send(page, "executions_show", id=str(re.findall(r'"id": "([^"]+)"', shown)[0]))
    for number in ("1.10", "12345678901234567890123", "0.123456789012345678901234567891"):
        assert number in recorded
    page.close()


FUNCTION = {"name": "add"}  # the example in the page


@pytest.mark.usefixtures("functions_made_here_are_deleted")
def test_the_line_for_curl_does_what_the_form_does(platform: Platform, browser: Browser, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine; apt-get install curl")
    page = browser.new_page()
    page.goto(f"{platform.url}/docs")
    line = page.locator("#functions_create .curl").inner_text()
    assert line.startswith(f"curl -s {platform.url}/functions ")
    done = subprocess.run(
        ["/bin/bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    created = json.loads(done.stdout)
    assert (created["name"], created["status"]) == ("add", "PENDING")
    for shown in page.locator(".curl").all():
        command = shown.inner_text().replace(FUNCTION_ID, created["id"])
        done = subprocess.run(
            ["/bin/bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        assert not done.stdout or "status" in done.stdout or done.stdout == "[]", command
    page.close()


def test_the_guides_are_served_and_lead_to_each_other(platform: Platform, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{platform.url}/docs")
    for name, title in GUIDES.items():
        page.goto(f"{platform.url}/docs")
        page.locator("nav").get_by_text(title, exact=True).click()
        assert page.url == f"{platform.url}/docs/{name}"
        assert page.locator("h1").count() == 1
        for link in page.locator("a").all():
            href = str(link.get_attribute("href"))
            if href.startswith("/"):
                assert page.request.get(f"{platform.url}{href}").ok, href
            anchor = href.partition("#")[2]
            if anchor and href.startswith("#"):
                assert page.locator(f"[id='{anchor}']").count() == 1, href
    page.close()
