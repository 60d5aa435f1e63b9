"""What the tests over HTTP can ask for."""

from collections.abc import Iterator

import httpx
import pytest


@pytest.fixture
def functions_made_here_are_deleted(request: pytest.FixtureRequest, http: httpx.Client) -> Iterator[None]:
    """For modules whose tests register their FUNCTION, or fail to: they begin and end without one of its name."""

    def delete() -> None:
        for function in http.get("/functions", params={"name": request.module.FUNCTION["name"]}).json():
            http.delete(f"/functions/{function['id']}")

    delete()
    yield
    delete()
