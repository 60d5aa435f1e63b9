"""Every operation of the API in one table: the routes and the OpenAPI document are both made from it."""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from projectnil.api import examples, executions, functions, health, schemas
from projectnil.api.paging import CURSOR_PATTERN
from projectnil.api.problems import MethodNotAllowed, PathNotFound
from projectnil.domain import errors
from projectnil.domain.errors import InvalidInput
from projectnil.domain.executions import ExecutionStatus
from projectnil.domain.functions import FunctionStatus
from projectnil.flows.health import Health

Handler = Callable[[Request], Awaitable[Response]]
Errors = tuple[type[Exception], ...]


# What `surrogateescape` makes of bytes that are not UTF-8.
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a path or a query. schema: JSON Schema."""

    name: str
    place: str
    description: str
    schema: dict[str, Any]
    example: Any = msgspec.UNSET


class Body(msgspec.Struct, frozen=True):
    """What an operation takes or gives. shape: a schema's type, a list of one, or None for no or binary content."""

    description: str
    shape: Any = None
    example: Any = None
    media_type: str = "application/json"
    headers: dict[str, str] = {}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path. answers: by status. errors: those of the table in `problems` that it may answer with."""

    method: str
    path: str
    handler: Handler
    summary: str
    description: str = ""
    tag: str
    parameters: tuple[Parameter, ...] = ()
    takes: Body | None = None
    answers: dict[int, Body]
    errors: Errors = ()

    @property
    def query_names(self) -> frozenset[str]:
        """The names of its query parameters: it takes no others."""
        return frozenset(parameter.name for parameter in self.parameters if parameter.place == "query")


_ID = {"type": "string", "format": "uuid"}
_FUNCTION_ID = Parameter("id", "path", "the function's id", _ID, examples.FUNCTION_ID)
_FUNCTION_NAME = Parameter(
    "name", "path", "the function's name, URL-encoded: a slash in it is %2F", {"type": "string"}, "add"
)
_EXECUTION_ID = Parameter(
    "id", "path", "the execution's id", {"type": "string", "format": "uuid"}, examples.EXECUTION_ID
)
_SHORT_ID = Parameter(
    "shortId",
    "query",
    "only the one whose id ends in these digits",
    {"type": "string", "pattern": "^[0-9a-fA-F]{8}$"},
    examples.FUNCTION_ID[-8:],
)
_PAGING = (
    Parameter(
        "limit",
        "query",
        "maximum number of items",
        {"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
    ),
    Parameter(
        "cursor",
        "query",
        "where the page begins: from the Link header of the page before",
        {"type": "string", "pattern": CURSOR_PATTERN},
    ),
)
_NEXT = {"Link": 'the next page, as `<path>; rel="next"`; absent on the last page'}


def _status_filter(choices: Sequence[str]) -> Parameter:
    return Parameter("status", "query", "only these", {"type": "string", "enum": [*choices]})


_MOMENT = {"type": "string", "format": "date-time"}
_EXECUTION_FILTERS = (
    _status_filter([*ExecutionStatus]),
    Parameter("since", "query", "only those created at this time or later (RFC 3339)", _MOMENT),
    Parameter("until", "query", "only those created before this time (RFC 3339)", _MOMENT),
    Parameter(
        "error",
        "query",
        "only those whose errorMessage contains this text, in the same case; a page may have fewer of them than "
        "its limit, or none, and a Link all the same: the search goes on there",
        {"type": "string", "minLength": 1},
    ),
)

_NEW_FUNCTION_ERRORS: Errors = (errors.InvalidInput, errors.TooLarge, errors.UnsupportedLanguage)
_LOCATION = {"Location": "the function's path"}
_EXECUTE_BODY = Body(
    "the input; an empty body, or one without fields, means `{}`", schemas.ExecuteBody, examples.EXECUTE_BODY
)
_EXECUTE_ERRORS: Errors = (
    errors.InvalidInput,
    errors.FunctionNotReady,
    errors.FunctionNotFound,
    errors.TooLarge,
    errors.Overloaded,
    errors.ExecutionInterrupted,
)
_FUNCTION_BODY = Body("the function", schemas.FunctionBody, examples.FUNCTION_BODY)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST",
        path="/functions",
        handler=functions.create,
        tag="functions",
        summary="Register a function",
        description="Stores the source and queues its compilation. Poll the function until it is READY or FAILED.",
        takes=_FUNCTION_BODY,
        answers={
            201: Body(
                "stored, PENDING",
                schemas.FunctionCreated,
                examples.FUNCTION_CREATED,
                headers=_LOCATION,
            )
        },
        errors=_NEW_FUNCTION_ERRORS,
    ),
    Operation(
        method="GET",
        path="/functions",
        handler=functions.index,
        tag="functions",
        summary="List functions",
        description="Newest first, without sources.",
        parameters=(
            Parameter(
                "name",
                "query",
                "only functions of exactly this name",
                {"type": "string", "pattern": schemas.NO_NUL_PATTERN},
                "add",
            ),
            _status_filter([*FunctionStatus]),
            _SHORT_ID,
            *_PAGING,
        ),
        answers={
            200: Body(
                "a page",
                list[schemas.FunctionItem],
                [examples.FUNCTION_ITEM_FAILED, examples.FUNCTION_ITEM],
                headers=_NEXT,
            )
        },
        errors=(errors.InvalidInput,),
    ),
    Operation(
        method="GET",
        path="/functions/{id}",
        handler=functions.show,
        tag="functions",
        summary="Show a function",
        description="All fields but the binary.",
        parameters=(_FUNCTION_ID,),
        answers={200: Body("the function", schemas.FunctionDetails, examples.FUNCTION_DETAILS)},
        errors=(errors.InvalidInput, errors.FunctionNotFound),
    ),
    Operation(
        method="GET",
        path="/functions/{id}/wasm",
        handler=functions.wasm,
        tag="functions",
        summary="Download the module",
        description="The WebAssembly binary of a READY function. Supports If-None-Match.",
        parameters=(_FUNCTION_ID,),
        answers={
            200: Body("the module", media_type="application/wasm", headers={"ETag": "the module's SHA-256, quoted"}),
            304: Body("the module is the one that If-None-Match names"),
        },
        errors=(errors.InvalidInput, errors.FunctionNotReady, errors.FunctionNotFound),
    ),
    Operation(
        method="PUT",
        path="/functions/{id}",
        handler=functions.update,
        tag="functions",
        summary="Update a function",
        description=(
            "Another source or language clears binary and error, adds 1 to the revision and compiles again; "
            "another name or description alone does not. A description left out is removed."
        ),
        parameters=(_FUNCTION_ID,),
        takes=_FUNCTION_BODY,
        answers={200: Body("the function as it is now", schemas.FunctionDetails, examples.FUNCTION_UPDATED)},
        errors=(*_NEW_FUNCTION_ERRORS, errors.FunctionNotFound),
    ),
    Operation(
        method="DELETE",
        path="/functions/{id}",
        handler=functions.delete,
        tag="functions",
        summary="Delete a function",
        description="Its executions are deleted with it.",
        parameters=(_FUNCTION_ID,),
        answers={204: Body("deleted")},
        errors=(errors.InvalidInput, errors.FunctionNotFound),
    ),
    Operation(
        method="GET",
        path="/functions/by-name/{name}",
        handler=functions.show_named,
        tag="functions",
        summary="Show a function by its name",
        description="As by its id, as long as no other function has the name.",
        parameters=(_FUNCTION_NAME,),
        answers={200: Body("the function", schemas.FunctionDetails, examples.FUNCTION_DETAILS)},
        errors=(errors.InvalidInput, errors.FunctionNotFound, errors.FunctionNameShared),
    ),
    Operation(
        method="PUT",
        path="/functions/by-name/{name}",
        handler=functions.put_named,
        tag="functions",
        summary="Create or update a function by its name",
        description=(
            "Updates the function of this name as PUT by its id does, or registers it if there is none. Of several "
            "such requests at once, one registers it and the others update it."
        ),
        parameters=(_FUNCTION_NAME,),
        takes=Body("the function; its name may be left out", schemas.NamedFunctionBody, examples.NAMED_FUNCTION_BODY),
        answers={
            200: Body("updated", schemas.FunctionDetails, examples.FUNCTION_UPDATED, headers=_LOCATION),
            201: Body("registered, PENDING", schemas.FunctionDetails, examples.FUNCTION_REGISTERED, headers=_LOCATION),
        },
        errors=(*_NEW_FUNCTION_ERRORS, errors.FunctionNameShared, errors.Overloaded),
    ),
    Operation(
        method="DELETE",
        path="/functions/by-name/{name}",
        handler=functions.delete_named,
        tag="functions",
        summary="Delete a function by its name",
        description="Its executions are deleted with it.",
        parameters=(_FUNCTION_NAME,),
        answers={204: Body("deleted")},
        errors=(errors.InvalidInput, errors.FunctionNotFound, errors.FunctionNameShared, errors.Overloaded),
    ),
    Operation(
        method="POST",
        path="/functions/by-name/{name}/execute",
        handler=executions.execute_named,
        tag="executions",
        summary="Execute a function by its name",
        description="As by its id, as long as no other function has the name.",
        parameters=(_FUNCTION_NAME,),
        takes=_EXECUTE_BODY,
        answers={200: Body("the outcome", schemas.ExecutionResult, examples.EXECUTION_RESULT)},
        errors=(*_EXECUTE_ERRORS, errors.FunctionNameShared),
    ),
    Operation(
        method="POST",
        path="/functions/{id}/execute",
        handler=executions.execute,
        tag="executions",
        summary="Execute a function",
        description=(
            "Runs the function in a fresh sandbox and answers once the outcome is stored. A function that fails is "
            "still a 200, with status FAILED and an errorMessage: the platform did its part."
        ),
        parameters=(_FUNCTION_ID,),
        takes=_EXECUTE_BODY,
        answers={200: Body("the outcome", schemas.ExecutionResult, examples.EXECUTION_RESULT)},
        errors=_EXECUTE_ERRORS,
    ),
    Operation(
        method="GET",
        path="/functions/{id}/executions",
        handler=executions.index_of_function,
        tag="executions",
        summary="List a function's executions",
        description="Newest first, without input, output and logs.",
        parameters=(_FUNCTION_ID, *_EXECUTION_FILTERS, *_PAGING),
        answers={200: Body("a page", list[schemas.ExecutionItem], [examples.EXECUTION_ITEM], headers=_NEXT)},
        errors=(errors.InvalidInput, errors.FunctionNotFound),
    ),
    Operation(
        method="GET",
        path="/executions",
        handler=executions.index,
        tag="executions",
        summary="List all executions",
        description="Newest first, without input, output and logs.",
        parameters=(
            Parameter("function", "query", "only those of the function of this id", _ID),
            _SHORT_ID,
            *_EXECUTION_FILTERS,
            *_PAGING,
        ),
        answers={200: Body("a page", list[schemas.ExecutionItem], [examples.EXECUTION_ITEM], headers=_NEXT)},
        errors=(errors.InvalidInput,),
    ),
    Operation(
        method="GET",
        path="/executions/{id}",
        handler=executions.show,
        tag="executions",
        summary="Show an execution",
        description="With input, output, and what the function logged.",
        parameters=(_EXECUTION_ID,),
        answers={200: Body("the execution", schemas.ExecutionDetails, examples.EXECUTION_DETAILS)},
        errors=(errors.InvalidInput, errors.ExecutionNotFound),
    ),
    Operation(
        method="DELETE",
        path="/executions/{id}",
        handler=executions.delete,
        tag="executions",
        summary="Delete an execution",
        description="Removes it from the history. One that is still RUNNING stays.",
        parameters=(_EXECUTION_ID,),
        answers={204: Body("deleted")},
        errors=(errors.InvalidInput, errors.ExecutionNotFound, errors.ExecutionRunning),
    ),
    Operation(
        method="GET",
        path="/health",
        handler=health.show,
        tag="platform",
        summary="Health of every part",
        description="DOWN when functions cannot be run; DEGRADED when something else fails, or failed a moment ago. "
        "Each part says what and why.",
        answers={
            200: Body("UP or DEGRADED", Health, examples.HEALTH_UP),
            503: Body("DOWN", Health, examples.HEALTH_DOWN),
        },
    ),
)


class Route(msgspec.Struct, frozen=True):
    """How a request is answered. operation: None for a page beside the table."""

    handler: Handler
    operation: Operation | None = None


_BY_NAME = "/functions/by-name/"


class Routes:
    """Finds a request's route. A path is fixed, or has `{id}` as its second part, or `by-name/{name}`."""

    def __init__(self, operations: Sequence[Operation], pages: Mapping[str, Handler]) -> None:
        # Two tables, since a path may look like a template: `/functions/{id}`, with braces.
        self._fixed: dict[str, dict[str, Route]] = defaultdict(dict)
        self._templates: dict[str, dict[str, Route]] = defaultdict(dict)
        for operation in operations:
            self._add(operation.method, operation.path, Route(operation.handler, operation))
        for path, handler in pages.items():
            self._add("GET", path, Route(handler))

    def find(self, scope: Scope) -> Route:
        """The route; the id or the name goes to `path_params`.

        Raises PathNotFound, MethodNotAllowed, InvalidInput for a query that the operation does not have.
        """
        by_method = self._of_path(scope)
        route = by_method.get(scope["method"])
        if route is None:
            raise MethodNotAllowed(", ".join(sorted(by_method)))
        if scope["query_string"] and route.operation is not None:
            _check_query(scope, route.operation)
        return route

    def methods(self, scope: Scope) -> list[str]:
        """The methods that the path has. Raises PathNotFound."""
        return list(self._of_path(scope))

    def _of_path(self, scope: Scope) -> Mapping[str, Route]:
        path: str = scope["path"]
        by_method = self._fixed.get(path)
        if by_method is None:
            named = path.startswith(_BY_NAME)
            template, scope["path_params"] = _template_of_name(scope) if named else _template_of_id(path)
            by_method = self._templates.get(template)
        if by_method is None:
            raise PathNotFound
        return by_method

    def _add(self, method: str, path: str, route: Route) -> None:
        by_method = (self._templates if "{" in path else self._fixed)[path]
        by_method[method] = route
        if method == "GET":
            by_method["HEAD"] = route


def _check_query(scope: Scope, operation: Operation) -> None:
    """Refuses a query that the operation does not have, or that could be read in two ways. Raises InvalidInput."""
    seen: set[str] = set()
    query = scope["query_string"].decode("latin-1")
    for name, value in parse_qsl(query, keep_blank_values=True, errors="surrogateescape"):
        if name not in operation.query_names:
            raise InvalidInput(_unknown(operation), name[:100].encode(errors="replace").decode())
        if name in seen:
            raise InvalidInput("is given more than once", name)
        if _NOT_UTF8.search(value):
            raise InvalidInput("is not UTF-8 in percent-encoding", name)
        seen.add(name)


def _unknown(operation: Operation) -> str:
    known = ", ".join(sorted(operation.query_names))
    has = f"it has {known}" if known else "it has none"
    return f"unknown query parameter of {operation.method} {operation.path}; {has}"


def _template_of_id(path: str) -> tuple[str, dict[str, str]]:
    parts = path.split("/", 3)  # "", then the first, the second, and the rest
    if len(parts) < 3 or not parts[2]:
        raise PathNotFound
    identifier, parts[2] = parts[2], "{id}"
    return "/".join(parts), {"id": identifier}


def _template_of_name(scope: Scope) -> tuple[str, dict[str, str]]:
    """The name stays URL-encoded: decoded, its slashes could not be told from those of the path."""
    raw: bytes = scope["raw_path"]
    name, *rest = raw.decode("latin-1").removeprefix(_BY_NAME).split("/", 1)
    if not name:
        raise PathNotFound
    return "/".join([f"{_BY_NAME}{{name}}", *rest]), {"name": name}
