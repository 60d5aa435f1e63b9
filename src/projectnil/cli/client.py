"""The API as the command line sees it."""

import re
import time
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from projectnil.cli import exact_json
from projectnil.cli.connection import TIMEOUT_S, Answer, Connection
from projectnil.cli.failures import CommandFailed, UsageError
from projectnil.domain.text import visible_line

Json = dict[str, Any]

SHORT_ID_DIGITS = 8
_POLL_S = 0.1
_PAGE = 500  # the most that the API gives at once
_is_id = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch
_is_short_id = re.compile(rf"[0-9a-f]{{{SHORT_ID_DIGITS}}}", re.IGNORECASE).fullmatch
_NEXT = re.compile(r'<([^>]+)>; rel="next"')


class Found(NamedTuple):
    """is_only: nothing else ends in the same digits. Otherwise something older may."""

    id: str
    is_only: bool


class Client:
    """Talks to one projectnil over HTTP. Every failure becomes a CommandFailed that says what to do."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._connection = Connection(url, timeout_s)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._connection.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._read(self._send("GET", _with_query(path, query)))

    def get_many(self, path: str, limit: int, **query: Any) -> list[Any]:
        """Up to `limit` items. A page of a search may have fewer, and the next one more."""
        found: list[Any] = []
        target: str | None = _with_query(path, {"limit": min(limit, _PAGE), **query})
        while target is not None and len(found) < limit:
            answer = self._send("GET", target)
            found += self._read(answer)
            target = _next_of(answer)
        return found[:limit]

    def find(self, name_or_id: str) -> str:
        """The id of the function with this id, this name, or this short id."""
        function_id = self._find(name_or_id)
        if function_id is None:
            raise CommandFailed(f"there is no function named {name_or_id!r}; 'pnil list' shows what there is")
        return function_id

    def find_execution(self, execution_id: str, *, among_all: bool) -> Found:
        """The id of the execution with this id or this short id.

        among_all: look at every execution for another that ends so; otherwise the search may end with the first found.
        """
        if _is_id(execution_id):
            return Found(execution_id, is_only=True)
        if not _is_short_id(execution_id):
            raise UsageError(f"{execution_id!r} is not an id; 'pnil executions' shows them, whole with --wide")
        found = self._find_short("/executions", execution_id, among_all)
        if found is None:
            raise CommandFailed(f"there is no execution whose id ends in {execution_id}")
        return found

    def deploy(self, name: str, description: str | None, language: str, source: str) -> Json:
        """Create the function, or update the one of that name, or of that id; returns its details."""
        body: Json = {"name": name, "description": description, "language": language, "source": source}
        function_id = self._find(name)
        if function_id is None:
            created = self._call("POST", "/functions", body)
            return self.show(created["id"])
        current = self.show(function_id)
        body["name"] = current["name"]
        if description is None:
            body["description"] = current["description"]
        updated: Json = self._call("PUT", f"/functions/{function_id}", body)
        return updated

    def wait_compiled(self, function: Json, timeout_s: float) -> Json:
        """Poll until the function is READY or FAILED; returns its details then."""
        deadline = time.monotonic() + timeout_s
        while function["status"] not in ("READY", "FAILED"):
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"{function['name']} is still {function['status']} after {timeout_s:g} s; "
                    f"GET {self._connection.url}/health tells whether a compiler is running"
                )
            time.sleep(_POLL_S)
            function = self.show(function["id"])
        return function

    def show(self, function_id: str) -> Json:
        details: Json = self.get(f"/functions/{function_id}")
        return details

    def health(self) -> Json:
        """Also of a platform that says it is down."""
        found: Json = self._read(self._send("GET", "/health", unless_failed=(503,)))
        return found

    def execute(self, function_id: str, input_json: str) -> Json:
        """input_json: a JSON object, which goes as it was typed."""
        body = b'{"input":%b}' % input_json.encode()
        result: Json = self._read(self._send("POST", f"/functions/{function_id}/execute", body))
        return result

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def _find(self, name_or_id: str) -> str | None:
        if _is_id(name_or_id):
            return name_or_id
        named = self.get("/functions", name=name_or_id, limit=2)
        if len(named) > 1:
            raise CommandFailed(f"more than one function is named {name_or_id!r}; use an id, such as {_ids(named)}")
        if named:
            return str(named[0]["id"])
        found = self._find_short("/functions", name_or_id, among_all=True) if _is_short_id(name_or_id) else None
        return None if found is None else found.id

    def _find_short(self, path: str, short_id: str, among_all: bool) -> Found | None:
        """The only id that ends so. A page may be empty and not the last."""
        found: list[Json] = []
        target: str | None = _with_query(path, {"shortId": short_id.lower(), "limit": 5})
        while target is not None and (not found or (among_all and len(found) < 2)):
            answer = self._send("GET", target)
            found += self._read(answer)
            target = _next_of(answer)
        if len(found) > 1:
            raise CommandFailed(f"more than one id ends in {short_id}; use a whole one: {_ids(found)}")
        return Found(str(found[0]["id"]), is_only=target is None) if found else None

    def _call(self, method: str, path: str, body: Json) -> Any:
        return self._read(self._send(method, path, exact_json.write(body).encode()))

    def _read(self, answer: Answer) -> Any:
        try:
            return exact_json.parse(answer.body)
        except ValueError:
            raise CommandFailed(
                f"what answers at {self._connection.url} is not projectnil: {_beginning(answer.body)!r}"
            ) from None

    def _send(self, method: str, path: str, body: bytes | None = None, unless_failed: tuple[int, ...] = ()) -> Answer:
        """unless_failed: statuses that are no failure here, besides those of success."""
        answer = self._connection.request(method, path, body)
        if not 200 <= answer.status < 300 and answer.status not in unless_failed:
            raise CommandFailed(_problem(answer))
        return answer


def _with_query(path: str, query: Json) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given, quote_via=quote)}" if given else path


def _next_of(answer: Answer) -> str | None:
    """The path of the next page; None on the last."""
    following = _NEXT.match(answer.link)
    return following[1] if following else None


def _ids(items: list[Json]) -> str:
    return ", ".join(item["id"] for item in items)


def _problem(answer: Answer) -> str:
    if answer.status == 401:
        return (
            "a name and a password are asked for, or they are wrong: write them into the URL, https://name:password@..."
        )
    try:
        return f"{exact_json.parse(answer.body)['detail']} (HTTP {answer.status})"
    except (ValueError, KeyError, TypeError):
        return f"what answers is not projectnil: HTTP {answer.status}, {_beginning(answer.body)}"


def _beginning(body: bytes) -> str:
    return visible_line(" ".join(body.decode(errors="replace").split())[:100])
