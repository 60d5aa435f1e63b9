"""The guides at /docs, from a folder that may be missing."""

import asyncio
import threading
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from projectnil.api import guides
from projectnil.api.app import document_handlers
from projectnil.api.problems import PathNotFound


def _guide(name: str) -> Response:
    path = f"/docs/{name}"
    scope = {"type": "http", "path": path, "headers": [(b"host", b"localhost")], "query_string": b"", "scheme": "http"}

    async def answer() -> Response:
        return await document_handlers()[path](Request(scope))

    guides.guide_body.cache_clear()
    return asyncio.run(answer())


def test_a_guide_is_made_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    makers = []
    read = guides._source

    def source(name: str) -> str:
        makers.append(threading.current_thread())
        return read(name)

    monkeypatch.setattr(guides, "_source", source)
    assert b"<h1" in _guide("operating").body
    assert makers
    assert threading.current_thread() not in makers


def test_a_guide_that_is_not_installed_is_not_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guides, "_CHECKOUT", tmp_path)
    monkeypatch.setattr(guides, "_INSTALLED", tmp_path)
    with pytest.raises(PathNotFound):
        _guide("operating")
