"""The API as the command line sees it."""

import json
import os
import ssl
import time
from collections.abc import Container
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from projectnil.domain.ids import parse_id
from projectnil.domain.json_text import UnstorableJson, check_json_text

Json = dict[str, Any]

# An execution may take its whole limit and wait for its turn before.
_TIMEOUT_S = 60.0
_POLL_S = 0.1


class CommandFailed(Exception):
    """What the person at the terminal should read; the command exits with 1."""


def _trusted(url: httpx.URL) -> ssl.SSLContext | bool:
    """Whose certificates are believed: those of SSL_CERT_FILE, or of the public authorities."""
    path = os.environ.get("SSL_CERT_FILE")
    if url.scheme != "https" or not path:
        return True
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise CommandFailed(f"SSL_CERT_FILE: {path}: {error}") from None


class Client:
    """Talks to one projectnil over HTTP. Every failure becomes a CommandFailed that says what to do."""

    def __init__(self, url: str) -> None:
        try:
            base = httpx.URL(url.rstrip("/"))
            if "@" in url and not base.userinfo:
                raise httpx.InvalidURL("its name and password end before the @")
            # A password is for the one who asks for it, not for a screen.
            self._url = str(base.copy_with(userinfo=b""))
            # A proxy of the environment is not on the way to one's own machine.
            own_machine = base.host in ("localhost", "::1") or base.host.startswith("127.")
            self._http = httpx.Client(
                base_url=base, timeout=_TIMEOUT_S, trust_env=not own_machine, verify=_trusted(base)
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ImportError) as error:
            if "@" in url:
                raise CommandFailed(
                    "the URL cannot be read; in a password, write / as %2F, # as %23, ? as %3F, @ as %40 and : as %3A"
                ) from None
            raise CommandFailed(f"{url!r} is not a URL: {error}") from error

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def find(self, name_or_id: str) -> str:
        """The id of the function with this id or this name."""
        if parse_id(name_or_id) is not None:
            return name_or_id
        function_id = self.find_named(name_or_id)
        if function_id is None:
            raise CommandFailed(f"there is no function named {name_or_id!r}; 'pnil list' shows what there is")
        return function_id

    def find_named(self, name: str) -> str | None:
        """The id of the only function of this name; None when there is none."""
        found = self.get("/functions", name=name, limit=2)
        if len(found) > 1:
            ids = ", ".join(function["id"] for function in found)
            raise CommandFailed(f"more than one function is named {name!r}; use an id, such as {ids}")
        return str(found[0]["id"]) if found else None

    def deploy(self, name: str, description: str | None, language: str, source: str) -> Json:
        """Create the function, or update the one of that name, or of that id; returns its details."""
        body: Json = {"name": name, "description": description, "language": language, "source": source}
        function_id = name if parse_id(name) is not None else self.find_named(name)
        if function_id is None:
            created = self._call("POST", "/functions", json=body)
            return self.show(created["id"])
        current = self.show(function_id)
        body["name"] = current["name"]
        if description is None:
            body["description"] = current["description"]
        updated: Json = self._call("PUT", f"/functions/{function_id}", json=body)
        return updated

    def wait_compiled(self, function: Json, timeout_s: float) -> Json:
        """Poll until the function is READY or FAILED; returns its details then."""
        deadline = time.monotonic() + timeout_s
        while function["status"] not in ("READY", "FAILED"):
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"{function['name']} is still {function['status']} after {timeout_s:g} s; "
                    f"GET {self._url}/health tells whether a compiler is running"
                )
            time.sleep(_POLL_S)
            function = self.show(function["id"])
        return function

    def show(self, function_id: str) -> Json:
        details: Json = self.get(f"/functions/{quote(function_id)}")
        return details

    def health(self) -> Json:
        """Also of a platform that says it is down."""
        found: Json = self._read(self._send("GET", "/health", fine=(200, 503)))
        return found

    def execute(self, function_id: str, input_json: str) -> "Executed":
        """input_json goes as it was typed, and the output comes as it was sent: numbers keep their digits."""
        given = input_json.encode("utf-8", "surrogateescape")
        try:
            check_json_text(given)
        except UnstorableJson as error:
            raise CommandFailed(f"the input is not valid JSON: {error}") from None
        answer = self._send("POST", f"/functions/{quote(function_id)}/execute", content=b'{"input":%b}' % given)
        return Executed(answer.content)

    def delete(self, function_id: str) -> None:
        self._call("DELETE", f"/functions/{quote(function_id)}")

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        return self._read(self._send(method, path, **arguments))

    def _read(self, response: httpx.Response) -> Any:
        try:
            return response.json() if response.content else None
        except ValueError:
            raise CommandFailed(f"what answers at {self._url} is not projectnil: {response.text[:200]!r}") from None

    def _send(self, method: str, path: str, fine: Container[int] = range(200, 300), **arguments: Any) -> httpx.Response:
        """fine: the statuses that are no failure."""
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.ConnectError:
            raise CommandFailed(
                f"nothing answers at {self._url}; start it with 'pnil serve', or say where it is with --url"
            ) from None
        except httpx.TimeoutException:
            raise CommandFailed(f"{self._url} did not answer within {_TIMEOUT_S:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CommandFailed(f"{self._url}: {error}") from None
        if response.status_code not in fine:
            raise CommandFailed(_problem(response))
        return response


class Executed:
    """The answer to an execution. text: all of it, output: what the function returned; both as JSON to read."""

    def __init__(self, answer: bytes) -> None:
        try:
            parts = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
            self.id = msgspec.json.decode(parts["id"], type=str)
            self.failed = msgspec.json.decode(parts["status"], type=str) == "FAILED"
            self.error_message = msgspec.json.decode(parts["errorMessage"], type=str | None)
            self.output = msgspec.json.format(bytes(parts["output"]), indent=2).decode()
            self.text = msgspec.json.format(answer, indent=2).decode()
        except (msgspec.MsgspecError, KeyError) as error:
            raise CommandFailed(f"the answer to the execution cannot be read: {error}") from None


def _problem(response: httpx.Response) -> str:
    if response.status_code == 401:
        return (
            "a name and a password are asked for, or they are wrong: write them into the URL, https://name:password@..."
        )
    try:
        problem = response.json()
        return f"{problem['detail']} (HTTP {response.status_code})"
    except (json.JSONDecodeError, KeyError, TypeError):
        said = " ".join(response.text.split())[:100]
        return f"what answers is not projectnil: HTTP {response.status_code}, {said}"
