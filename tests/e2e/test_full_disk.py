"""A full disk: health says so and why, nothing that was acknowledged is lost, and it goes on once there is room."""

import os
from pathlib import Path
from typing import Any

import httpx

from tests.support.disks import MIB, fill, small_disk
from tests.support.functions import ECHO, execute, ready
from tests.support.platform import running_platform
from tests.support.waiting import eventually


def health(http: httpx.Client) -> tuple[int, dict[str, Any]]:
    response = http.get("/health")
    return response.status_code, response.json()


def large() -> dict[str, str]:
    """Something that finds no room in pages that are there already."""
    return {"noise": os.urandom(200_000).hex()}


def test_a_full_disk_shows_in_health_as_long_as_it_is_full(data_dir: Path) -> None:
    with small_disk(data_dir, 400 * MIB), running_platform(data_dir) as platform, platform.client() as http:
        echo = ready(http, ECHO, "echo")
        kept = execute(http, echo, large())["id"]
        assert health(http)[1]["status"] == "UP"
        filler = fill(data_dir)
        url = f"/functions/{echo}/execute"
        eventually("no room", lambda: http.post(url, json={"input": large()}).status_code == 503)
        detail = http.post(url, json={"input": large()}).json()["detail"]
        assert detail == "the database cannot do this at the moment; the function was not run"
        status, found = health(http)
        assert (status, found["status"], found["database"]["status"]) == (503, "DOWN", "DOWN")
        assert "recording executions failed, the last time" in found["database"]["detail"]
        assert "No space left on device" in found["database"]["detail"]
        assert found["sandbox"]["status"] == "DEGRADED"
        assert f"the module cache {data_dir}/modules is full" in found["sandbox"]["detail"]
        # It stays so although nothing is executed: a proxy sends nothing to an api that is DOWN.
        eventually("still no room", lambda: "failed, the last time 0 s ago" in health(http)[1]["database"]["detail"])
        body = {"name": "f", "language": "assemblyscript", "source": f"// {large()}"}
        refused = http.post("/functions", json=body)
        assert (refused.status_code, refused.json()["type"]) == (503, "/docs#unavailable")
        filler.unlink()
        eventually("room", lambda: health(http)[0] == 200)
        status, found = health(http)
        assert (status, found["status"]) == (200, "DEGRADED")
        assert "recording executions failed" in found["database"]["detail"]
        assert "and works again" in found["database"]["detail"]
        assert execute(http, echo, large())["status"] == "COMPLETED"
        assert http.get(f"/executions/{kept}").json()["status"] == "COMPLETED"
