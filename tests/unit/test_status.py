"""What `projectnil-status` and `pnil health` make of the three answers of /health."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.docs.markdown import ROOT
from tests.support.platform import PNIL, environment

TEMPLATE = ROOT / "deploy" / "ansible" / "roles" / "provision" / "templates" / "projectnil-status.j2"


@contextmanager
def answering(*statuses: str) -> Iterator[str]:
    """A server whose /health says these, one after the other, and then the last for ever."""
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = left.pop(0) if len(left) > 1 else left[0]
            body = json.dumps({"status": status, "database": {"status": status, "detail": "as it is"}}).encode()
            self.send_response(503 if status == "DOWN" else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("statuses", "code"), [(["UP"], 0), (["DOWN"], 1), (["DEGRADED", "UP"], 0), (["DEGRADED", "DOWN"], 1)]
)
def test_the_status_of_a_host_fails_when_a_platform_is_not_up_and_waits_for_one_that_was_degraded(
    statuses: list[str], code: int
) -> None:
    program = TEMPLATE.read_text().partition("<<'PYTHON' || worst=1\n")[2].partition("\nPYTHON\n")[0]
    with answering(*statuses) as url:
        asked = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=False)
    assert (asked.returncode, asked.stderr) == (code, "")
    assert json.loads(asked.stdout)["status"] == statuses[-1]


@pytest.mark.parametrize(("status", "code"), [("UP", 0), ("DEGRADED", 0), ("DOWN", 1)])
def test_a_container_is_healthy_as_long_as_functions_can_be_run(status: str, code: int) -> None:
    with answering(status) as url:
        command = [str(PNIL), "health"]
        asked = subprocess.run(command, capture_output=True, text=True, env=environment(url=url), check=False)
    assert asked.returncode == code
    assert [line.split() for line in asked.stdout.splitlines()] == [
        ["platform", status],
        ["database", status, "as", "it", "is"],
    ]
