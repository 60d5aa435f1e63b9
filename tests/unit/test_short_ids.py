"""The last digits of an execution's id stand for it, and what was not looked at is said."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from projectnil.cli.client import Client, Found
from projectnil.cli.failures import CommandFailed

NEW, OLD = "019aa5d3-5555-7c4e-9f63-7a8b9c0d1e2f", "019aa5d2-1a2b-7c3d-8e4f-5a6b9c0d1e2f"
SHORT = "9C0D1E2F"


class Pages(BaseHTTPRequestHandler):
    """Answers with one page after the other. ids: those on each page."""

    ids: ClassVar[list[list[str]]]

    def do_GET(self) -> None:
        number = int(self.path.partition("cursor=")[2] or 0)
        assert "shortId=9c0d1e2f" in self.path
        body = json.dumps([{"id": each} for each in self.ids[number]]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if number + 1 < len(self.ids):
            self.send_header("Link", f'</executions?shortId=9c0d1e2f&cursor={number + 1}>; rel="next"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def client() -> Iterator[Client]:
    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with Client(f"http://127.0.0.1:{server.server_port}") as connected:
            yield connected
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("pages", "among_all", "found"),
    [
        ([[NEW]], False, Found(NEW, is_only=True)),
        ([[], [], [NEW]], False, Found(NEW, is_only=True)),
        ([[NEW], []], False, Found(NEW, is_only=False)),
        ([[NEW], []], True, Found(NEW, is_only=True)),
        ([[NEW], [], [OLD]], False, Found(NEW, is_only=False)),
    ],
)
def test_a_short_id_stands_for_the_newest_and_older_ones_that_were_not_looked_at_are_told(
    client: Client, pages: list[list[str]], among_all: bool, found: Found
) -> None:
    Pages.ids = pages
    assert client.find_execution(SHORT, among_all=among_all) == found


@pytest.mark.parametrize(("pages", "among_all"), [([[NEW, OLD]], False), ([[NEW], [], [OLD]], True)])
def test_digits_that_two_ids_end_in_are_refused(client: Client, pages: list[list[str]], among_all: bool) -> None:
    Pages.ids = pages
    with pytest.raises(CommandFailed, match=f"more than one id ends in {SHORT}; use a whole one: {NEW}, {OLD}"):
        client.find_execution(SHORT, among_all=among_all)
