"""Callers who never stop while something is done to the platform, and remember every answer that is not right."""

import threading
from pathlib import Path
from typing import Self

import httpx

from deploy.tests.certificates import trusting


class Load:
    """Eight callers, each with a kept connection, one call after the other, through the proxy."""

    def __init__(self, api: httpx.Client, folder: Path, function_id: str) -> None:
        self.answered = 0
        self.wrong: list[str] = []
        self._api, self._trusted = api, trusting(folder)
        self._path = f"/functions/{function_id}/execute"
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call, args=(caller,)) for caller in range(8)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self, caller: int) -> None:
        with httpx.Client(base_url=self._api.base_url, verify=self._trusted, auth=self._api.auth, timeout=30) as http:
            nth = 0
            while not self._over.wait(0.05):
                nth += 1
                self._note({"caller": caller, "nth": nth}, http)

    def _note(self, given: dict[str, int], http: httpx.Client) -> None:
        try:
            response = http.post(self._path, json={"input": given})
            problem = None if response.status_code == 200 and response.json()["output"] == given else response.text
        except httpx.HTTPError as error:
            problem = repr(error)
        with self._lock:
            self.answered += 1
            if problem is not None:
                self.wrong.append(problem)
