"""The answers of the platform are those that its OpenAPI document promises, whatever schemathesis thinks of."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.platform import Platform

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture
def nothing_stays(http: httpx.Client) -> Iterator[None]:
    """Deletes the functions that were made meanwhile, and with them their executions."""
    before = _functions(http)
    yield
    for function_id in _functions(http) - before:
        http.delete(f"/functions/{function_id}")


def _functions(http: httpx.Client) -> set[str]:
    return {function["id"] for function in http.get("/functions?limit=500").json()}


@pytest.mark.usefixtures("nothing_stays")
def test_the_answers_are_those_of_the_openapi_document(platform: Platform) -> None:
    run = subprocess.run(
        [SCHEMATHESIS, "--config-file", CONFIGURATION, "run", f"{platform.url}/openapi.json", "--no-color"],
        capture_output=True,
        text=True,
        cwd=platform.data_dir.parent,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2000:]
