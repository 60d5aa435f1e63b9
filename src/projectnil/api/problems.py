"""Errors over HTTP: one table from error to status, one shape for all of them (RFC 9457, problem details)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from projectnil.domain import errors
from projectnil.postgres.errors import CONNECTION_ERRORS, SERVER_TROUBLE

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
# In a request's scope: that the server must refuse it, and why.
REFUSED = "projectnil.refused"


class PathNotFound(Exception):
    """No operation has this path."""


class MethodNotAllowed(Exception):
    """The path has no such method. str() names those it has."""


class Refused(Exception):
    """HTTP's own rules, or those for web pages, forbid the request. headers: of the response."""

    def __init__(self, kind: "Kind", detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self.headers = headers or {}
        super().__init__(detail)


class Problem(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """RFC 9457's members, and `timestamp`, `error`, `message`, `requestId`; `field` where one is at fault."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    timestamp: datetime
    error: str
    message: str
    request_id: str
    field: str | None = None
    supported: tuple[str, ...] | None = None
    execution_id: str | None = None
    function_ids: tuple[str, ...] | None = None


class Kind(msgspec.Struct, frozen=True):
    """name: the last part of the problem's `type`, and the anchor that explains it in `/docs`."""

    name: str
    status: HTTPStatus
    title: str


# The table. A subclass would have to stand before its base.
KINDS: Mapping[type[Exception], Kind] = {
    errors.InvalidInput: Kind("invalid-input", HTTPStatus.BAD_REQUEST, "The request is not valid"),
    errors.FunctionNotReady: Kind("function-not-ready", HTTPStatus.BAD_REQUEST, "The function is not ready"),
    errors.FunctionNotFound: Kind("function-not-found", HTTPStatus.NOT_FOUND, "No such function"),
    errors.ExecutionNotFound: Kind("execution-not-found", HTTPStatus.NOT_FOUND, "No such execution"),
    errors.FunctionNameShared: Kind("function-name-shared", HTTPStatus.CONFLICT, "Several functions have the name"),
    errors.ExecutionRunning: Kind("execution-running", HTTPStatus.CONFLICT, "The execution is still running"),
    errors.TooLarge: Kind("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large"),
    errors.UnsupportedLanguage: Kind(
        "unsupported-language", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The language is not supported"
    ),
    errors.Overloaded: Kind("overloaded", HTTPStatus.SERVICE_UNAVAILABLE, "The platform is busy"),
    errors.ExecutionInterrupted: Kind(
        "execution-interrupted", HTTPStatus.SERVICE_UNAVAILABLE, "The execution was interrupted"
    ),
    errors.PlatformUnavailable: Kind("unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "The platform is not available"),
}
PATH_NOT_FOUND = Kind("path-not-found", HTTPStatus.NOT_FOUND, "No such path")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, "The path has no such method")
MALFORMED_REQUEST = Kind("malformed-request", HTTPStatus.BAD_REQUEST, "The request is not HTTP")
ORIGIN_NOT_ALLOWED = Kind("origin-not-allowed", HTTPStatus.FORBIDDEN, "The page may not use the platform")
UNKNOWN_HOST = Kind("unknown-host", HTTPStatus.MISDIRECTED_REQUEST, "The platform is not known by this name")
REQUEST_TIMED_OUT = Kind("request-timed-out", HTTPStatus.REQUEST_TIMEOUT, "The request was too slow")
PATH_TOO_LONG = Kind("path-too-long", HTTPStatus.REQUEST_URI_TOO_LONG, "The path is too long")
HEAD_TOO_LARGE = Kind("head-too-large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large")
TOO_MANY_CONNECTIONS = Kind("too-many-connections", HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections")
UNSUPPORTED_MEDIA_TYPE = Kind(
    "unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is not declared as JSON"
)
INTERNAL = Kind("internal", HTTPStatus.INTERNAL_SERVER_ERROR, "The platform failed")
# What any request may be answered with, whatever it asks for.
REFUSALS = (
    MALFORMED_REQUEST,
    ORIGIN_NOT_ALLOWED,
    UNKNOWN_HOST,
    REQUEST_TIMED_OUT,
    PATH_TOO_LONG,
    HEAD_TOO_LARGE,
    TOO_MANY_CONNECTIONS,
)
OTHER_KINDS = (PATH_NOT_FOUND, METHOD_NOT_ALLOWED, *REFUSALS, UNSUPPORTED_MEDIA_TYPE, INTERNAL)

_RETRY_AFTER_S = 1


def platform_error_response(request: Request, error: Exception) -> Response:
    """The answer to an error of the table."""
    kind = next(kind for family, kind in KINDS.items() if isinstance(error, family))
    headers: dict[str, str] = {}
    if kind.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(getattr(error, "retry_after_s", _RETRY_AFTER_S))
    return _response(request, kind, str(error), headers, error)


def database_error_response(request: Request, error: Exception) -> Response:
    """The answer when the database cannot be reached, or cannot do it: the platform's fault, and worth another try."""
    log.warning("database.unavailable", error=str(error) or type(error).__name__)
    what = "cannot do this at the moment" if isinstance(error, SERVER_TROUBLE) else "is not available"
    gone = errors.PlatformUnavailable(f"the database {what}; try again")
    return platform_error_response(request, gone)


def path_not_found_response(request: Request, error: Exception) -> Response:
    """The answer to a path that no operation has."""
    detail = f"there is nothing at {request.scope['path']}; /docs lists every path"
    return _response(request, PATH_NOT_FOUND, detail, {}, error)


def method_not_allowed_response(request: Request, error: Exception) -> Response:
    """The answer to a method that the path does not have."""
    detail = f"{request.method} is not a method of {request.scope['path']}; it has {error}"
    return _response(request, METHOD_NOT_ALLOWED, detail, {"Allow": str(error)}, error)


def refused_response(request: Request, error: Refused) -> Response:
    """The answer to a request that HTTP's own rules, or those for web pages, forbid."""
    return _response(request, error.kind, str(error), error.headers, error)


def client_gone_response(_: Request, __: Exception) -> Response:
    """The answer to a client that went away while it sent its request; it is not read."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def internal_error_response(request: Request, error: Exception) -> Response:
    """The answer to a surprise. What it was goes to the log, not to the client."""
    log.error("api.internal_error", requestId=request_id(request), path=request.scope["path"], exc_info=error)
    detail = f"an unexpected error; the log has it under request {request_id(request)}"
    return _response(request, INTERNAL, detail, {}, error)


def request_id(request: Request) -> str:
    """The id that the answer's X-Request-Id header carries."""
    identifier: str = request.scope["request_id"]
    return identifier


_RESPONSES: Mapping[type[Exception], Callable[[Request, Any], Response]] = {
    PathNotFound: path_not_found_response,
    MethodNotAllowed: method_not_allowed_response,
    Refused: refused_response,
    ClientDisconnect: client_gone_response,
    **dict.fromkeys(KINDS, platform_error_response),
    **dict.fromkeys((*CONNECTION_ERRORS, *SERVER_TROUBLE), database_error_response),
    Exception: internal_error_response,
}


def error_response(request: Request, error: Exception) -> Response:
    """The answer to any error."""
    family = next(family for family in type(error).__mro__ if family in _RESPONSES)
    return _RESPONSES[family](request, error)


def _response(request: Request, kind: Kind, detail: str, headers: Mapping[str, str], error: Exception) -> Response:
    problem = _problem(kind, detail, request.scope["path"], request_id(request), error)
    return Response(
        msgspec.json.encode(problem), status_code=kind.status.value, headers=dict(headers), media_type=MEDIA_TYPE
    )


def _problem(kind: Kind, detail: str, instance: str, identifier: str, error: Exception | None = None) -> Problem:
    return Problem(
        type=f"/docs#{kind.name}",
        title=kind.title,
        status=kind.status.value,
        detail=detail,
        instance=instance,
        timestamp=datetime.now(UTC),
        error=kind.status.phrase,
        message=detail,
        request_id=identifier,
        field=getattr(error, "field", None),
        supported=getattr(error, "supported", None),
        execution_id=getattr(error, "execution_id", None),
        function_ids=getattr(error, "function_ids", None),
    )
