"""The OpenAPI 3.1 document, made from the table of operations and the table of problems."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, get_args, get_origin

import msgspec

from projectnil import __version__
from projectnil.api import examples, problems, schemas, trying
from projectnil.api.problems import KINDS, Kind, Problem
from projectnil.api.routes import OPERATIONS, Body, Operation, Parameter
from projectnil.domain import errors

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_ANY_OBJECT = {
    "anyOf": [{"type": "object"}, {"type": "null"}],
    "description": "a JSON object; absent or null means `{}`",
}
_ANY_JSON = {"description": "any JSON value; null unless there is one"}

_DESCRIPTION = """A self-hosted Function-as-a-Service. Post source code; it is compiled to WebAssembly; run it with JSON
in and JSON out, in a fresh sandbox, every run recorded.

Every error is `application/problem+json` (RFC 9457). Every answer carries `X-Request-Id`; send one to choose it."""


def openapi_document(operations: Sequence[Operation]) -> Json:
    """The whole document as plain data."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "projectnil", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": {"schemas": _schemas(operations)},
    }


def problem_kinds() -> list[Kind]:
    """Every kind of problem there is."""
    return [*KINDS.values(), *problems.OTHER_KINDS]


def problem_in_general(kind: Kind) -> Json:
    """A problem of this kind, at the first operation that may answer with it, or where it may be met at all."""
    for operation in OPERATIONS:
        if kind in _kinds(operation):
            return problem_example(kind, operation)
    return _problem_at(kind, *examples.PROBLEMS[kind.name], examples.PROBLEM_PATHS.get(kind.name, "/functions"))


def problem_example(kind: Kind, operation: Operation) -> Json:
    """A problem of this kind, as a client of the operation would see it."""
    path = trying.example_path(operation.path, [_parameter(parameter) for parameter in operation.parameters])
    return _problem_at(kind, *_told(kind, operation), path)


def _told(kind: Kind, operation: Operation) -> tuple[str, Json]:
    """Its detail, and what it has beyond the common members."""
    detail, extra = examples.PROBLEMS[kind.name]
    if operation.takes is None and kind is KINDS[errors.InvalidInput]:
        if "limit" in operation.query_names:
            return examples.INVALID_LIMIT
        return examples.unknown_parameter(operation.method, operation.path)
    if operation.takes is not None and operation.takes.shape is schemas.ExecuteBody:
        detail, extra = examples.EXECUTE_PROBLEMS.get(kind.name, (detail, extra))
    if operation.takes is not None and operation.takes.shape is schemas.NamedFunctionBody:
        detail, extra = examples.NAMED_PROBLEMS.get(kind.name, (detail, extra))
    if "{name}" in operation.path and kind is KINDS[errors.FunctionNotFound]:
        detail = "there is no function named 'add'"
    return detail, extra


def _problem_at(kind: Kind, detail: str, extra: Json, path: str) -> Json:
    return {
        "type": f"/docs#{kind.name}",
        "title": kind.title,
        "status": kind.status.value,
        "detail": detail,
        "instance": path,
        "timestamp": "2026-11-21T09:30:00.654321Z",
        "error": kind.status.phrase,
        "message": detail,
        "requestId": "019aa5c6-1b2c-7d3e-8f40-5a6b7c8d9e0f",
        **extra,
    }


def _operation(operation: Operation) -> Json:
    described: Json = {
        "operationId": operation.handler.__module__.rsplit(".", 1)[-1] + "_" + operation.handler.__name__,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": _responses(operation),
    }
    if operation.takes is not None:
        required = operation.takes.shape is not schemas.ExecuteBody
        described["requestBody"] = {**_content(operation.takes), "required": required}
    return described


def _parameter(parameter: Parameter) -> Json:
    described: Json = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.place == "path",
        "schema": parameter.schema,
    }
    if parameter.example is not msgspec.UNSET:
        described["example"] = parameter.example
    return described


def _responses(operation: Operation) -> Json:
    responses = {str(status): _content(body) for status, body in operation.answers.items()}
    kinds = _kinds(operation)
    for status in sorted({kind.status for kind in kinds}):
        responses[str(status.value)] = _problems(operation, status, [k for k in kinds if k.status is status])
    return {**dict(sorted(responses.items())), "default": _any_problem(operation)}


def _kinds(operation: Operation) -> list[Kind]:
    """The problems that it may answer with."""
    families = (*operation.errors, errors.PlatformUnavailable) if operation.tag != "platform" else operation.errors
    kinds = [*dict.fromkeys(KINDS[family] for family in families), problems.INTERNAL]
    return [*kinds, problems.UNSUPPORTED_MEDIA_TYPE] if operation.takes is not None else kinds


def _any_problem(operation: Operation) -> Json:
    statuses = ", ".join(str(kind.status.value) for kind in problems.REFUSALS)
    return {
        "description": f"what any request may be answered with ({statuses}): see the errors at `/docs`",
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {"$ref": _REF.format(name="Problem")},
                "example": problem_example(problems.ORIGIN_NOT_ALLOWED, operation),
            }
        },
    }


def _problems(operation: Operation, status: HTTPStatus, kinds: Sequence[Kind]) -> Json:
    response: Json = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {"$ref": _REF.format(name="Problem")},
                "examples": {kind.name: {"value": problem_example(kind, operation)} for kind in kinds},
            }
        },
    }
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response["headers"] = _headers({"Retry-After": "seconds to wait before trying again"})
    return response


def _content(body: Body) -> Json:
    described: Json = {"description": body.description}
    if body.headers:
        described["headers"] = _headers(body.headers)
    if body.shape is not None:
        media: Json = {"schema": _schema(body.shape)}
        if body.example is not None:
            media["example"] = body.example
        described["content"] = {body.media_type: media}
    elif body.media_type != "application/json":
        described["content"] = {body.media_type: {"schema": {"type": "string", "format": "binary"}}}
    return described


def _headers(headers: Mapping[str, str]) -> Json:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}


def _schema(shape: Any) -> Json:
    if get_origin(shape) is list:
        return {"type": "array", "items": _schema(get_args(shape)[0])}
    return {"$ref": _REF.format(name=shape.__name__)}


def _schemas(operations: Sequence[Operation]) -> Json:
    shapes: dict[str, Any] = {"Problem": Problem}
    for operation in operations:
        for body in (operation.takes, *operation.answers.values()):
            if body is not None and body.shape is not None:
                shape = get_args(body.shape)[0] if get_origin(body.shape) is list else body.shape
                shapes[shape.__name__] = shape
    components: Json = {}
    for name, shape in shapes.items():
        components.update(_hand_written(name) or _components(shape))
    return dict(sorted(components.items()))


def _hand_written(name: str) -> Json | None:
    # Its default is raw text, which a generated schema cannot show.
    if name != "ExecuteBody":
        return None
    return {name: {"title": name, "type": "object", "properties": {"input": _ANY_OBJECT}}}


def _components(shape: Any) -> Json:
    _, components = msgspec.json.schema_components([shape], schema_hook=_raw_schema, ref_template=_REF)
    return components


def _raw_schema(kind: type) -> Json:
    if kind is msgspec.Raw:
        return dict(_ANY_JSON)
    raise NotImplementedError(kind)
