"""/docs is readable in a browser that cannot reach anything else."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, sync_playwright

from projectnil.api.openapi import problem_kinds
from projectnil.api.routes import OPERATIONS
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


def test_the_page_shows_every_operation_and_every_error_and_loads_nothing_else(
    platform: Platform, tmp_path: Path
) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1000, "height": 1400})
        asked: list[str] = []

        def note(route: Route) -> None:
            asked.append(route.request.url)
            route.continue_()

        page.route("**/*", note)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"{platform.url}/docs")
        assert [url for url in asked if not url.endswith("/favicon.ico")] == [f"{platform.url}/docs"]
        assert complaints == []
        _check_content(page)
        page.screenshot(path=tmp_path / "docs.png")
        browser.close()


def _check_content(page: Page) -> None:
    articles = page.locator("article")
    assert articles.count() == len(OPERATIONS) + len(problem_kinds())
    for operation in OPERATIONS:
        heading = page.locator("h3", has=page.get_by_text(operation.path, exact=True)).filter(
            has=page.get_by_text(operation.method, exact=True)
        )
        assert heading.count() == 1, operation.path
        assert heading.is_visible()
    for kind in problem_kinds():
        assert page.locator(f"#{kind.name}").is_visible()
    link = page.locator("nav a").first
    link.click()
    assert "#" in page.url
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
