"""Real requests and answers for the OpenAPI document; a test holds each against its schema."""

from typing import Any

FUNCTION_ID = "019aa5c4-8f2e-7b31-9d5a-3c1f0e6b7a42"
EXECUTION_ID = "019aa5c5-02d7-7e0c-8a11-94b2d7c3f650"

_SOURCE = """import { JSON } from "json-as";

@json
class Input {
  a: i32 = 0;
  b: i32 = 0;
}

@json
class Output {
  sum: i32 = 0;
}

export function handle(input: string): string {
  const given = JSON.parse<Input>(input);
  const result = new Output();
  result.sum = given.a + given.b;
  return JSON.stringify(result);
}
"""

FUNCTION_BODY: dict[str, Any] = {
    "name": "add",
    "description": "Adds two numbers",
    "language": "assemblyscript",
    "source": _SOURCE,
}
FUNCTION_CREATED: dict[str, Any] = {
    "id": FUNCTION_ID,
    "name": "add",
    "status": "PENDING",
    "createdAt": "2026-11-21T09:30:00.123456Z",
}
FUNCTION_ITEM: dict[str, Any] = {
    "id": FUNCTION_ID,
    "name": "add",
    "description": "Adds two numbers",
    "language": "assemblyscript",
    "status": "READY",
    "compileError": None,
    "revision": 1,
    "createdAt": "2026-11-21T09:30:00.123456Z",
    "updatedAt": "2026-11-21T09:30:01.456789Z",
}
FUNCTION_ITEM_FAILED: dict[str, Any] = {
    **FUNCTION_ITEM,
    "id": "019aa5c9-3f7d-7a10-b2c4-5d6e7f809a1b",
    "name": "subtract",
    "description": None,
    "status": "FAILED",
    "compileError": "ERROR TS2304: Cannot find name 'c'.\n   :\n 2 │ return a - c;\n   │            ~\n"
    "   └─ in function.ts(2,12)\n\nFAILURE 1 compile error(s)",
}
FUNCTION_DETAILS: dict[str, Any] = {
    **FUNCTION_ITEM,
    "source": _SOURCE,
    "compilation": {
        "durationMs": 412.3,
        "cpuMs": 480.0,
        "peakMemoryBytes": 435_159_040,
        "tries": 1,
        "totalDurationMs": 412.3,
        "totalCpuMs": 480.0,
    },
}
FUNCTION_UPDATED: dict[str, Any] = {
    **FUNCTION_DETAILS,
    "compilation": {
        **FUNCTION_DETAILS["compilation"],
        "durationMs": None,
        "cpuMs": None,
        "peakMemoryBytes": None,
    },
    "status": "PENDING",
    "revision": 2,
    "updatedAt": "2026-11-21T09:45:00.000001Z",
}
FUNCTION_REGISTERED: dict[str, Any] = {
    **FUNCTION_DETAILS,
    "compilation": None,
    "status": "PENDING",
    "updatedAt": FUNCTION_DETAILS["createdAt"],
}
NAMED_FUNCTION_BODY: dict[str, Any] = {name: value for name, value in FUNCTION_BODY.items() if name != "name"}
EXECUTE_BODY: dict[str, Any] = {"input": {"a": 2, "b": 3}}
EXECUTION_RESULT: dict[str, Any] = {
    "id": EXECUTION_ID,
    "functionId": FUNCTION_ID,
    "functionName": "add",
    "revision": 1,
    "status": "COMPLETED",
    "output": {"sum": 5},
    "errorMessage": None,
    "createdAt": "2026-11-21T09:30:30.000111Z",
    "completedAt": "2026-11-21T09:30:30.001222Z",
    "durationMs": 1.111,
}
EXECUTION_ITEM: dict[str, Any] = {
    "id": EXECUTION_ID,
    "functionId": FUNCTION_ID,
    "functionName": "add",
    "revision": 1,
    "status": "COMPLETED",
    "errorMessage": None,
    "createdAt": "2026-11-21T09:30:30.000111Z",
    "startedAt": "2026-11-21T09:30:30.000111Z",
    "completedAt": "2026-11-21T09:30:30.001222Z",
    "durationMs": 1.111,
}
EXECUTION_DETAILS: dict[str, Any] = {
    **EXECUTION_ITEM,
    "input": {"a": 2, "b": 3},
    "output": {"sum": 5},
    "logs": None,
}
HEALTH_UP: dict[str, Any] = {
    "status": "UP",
    "database": {"status": "UP", "detail": "Postgres 18.4"},
    "queues": {"status": "UP", "counts": {"compilation_jobs": 0, "compilation_results": 0}},
    "compiler": {"status": "UP", "detail": "serves assemblyscript"},
    "sandbox": {"status": "UP", "counts": {"processes": 2, "busy": 0, "waiting": 0, "max": 16}},
}
HEALTH_DOWN: dict[str, Any] = {
    "status": "DOWN",
    "database": {"status": "DOWN", "detail": "connection refused"},
    "queues": {"status": "DOWN", "detail": "the database is not available"},
    "compiler": {"status": "DOWN", "detail": "the database is not available"},
    "sandbox": {"status": "UP", "counts": {"processes": 2, "busy": 0, "waiting": 0, "max": 16}},
}

# By the last part of the problem's type: detail, and the members beyond the common ones.
PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "invalid-input": ("name: is required", {"field": "name"}),
    "function-not-ready": (
        f"function {FUNCTION_ID} is PENDING, not READY: it waits for its compiler; try again once it is READY",
        {},
    ),
    "function-not-found": (f"there is no function {FUNCTION_ID}", {}),
    "execution-not-found": (f"there is no execution {EXECUTION_ID}", {"executionId": EXECUTION_ID}),
    "function-name-shared": (
        "2 functions are named 'add': use the id of one, or rename or delete the others",
        {"functionIds": ["019aa5c9-3f7d-7a10-b2c4-5d6e7f809a1b", FUNCTION_ID]},
    ),
    "execution-running": (
        f"execution {EXECUTION_ID} is still running; delete it once it has ended",
        {"executionId": EXECUTION_ID},
    ),
    "too-large": ("source may have at most 1 MiB (1,048,576 bytes); this one is 2,097,152 bytes", {}),
    "unsupported-language": (
        "language 'cobol' is not supported; supported: assemblyscript",
        {"supported": ["assemblyscript"]},
    ),
    "overloaded": ("all 16 sandboxes are busy with long-running functions", {}),
    "execution-interrupted": (
        "interrupted: the platform stopped before it finished",
        {"executionId": EXECUTION_ID},
    ),
    "unavailable": ("the database is not available; try again", {}),
    "path-not-found": ("there is nothing at /function; /docs lists every path", {}),
    "method-not-allowed": ("PATCH is not a method of /functions; it has GET, HEAD, POST", {}),
    "malformed-request": ("the request could not be read as HTTP/1.1: Invalid method encountered", {}),
    "request-timed-out": ("the request was not complete within 30 s", {}),
    "path-too-long": ("path and query may have at most 8,192 bytes", {}),
    "head-too-large": ("the head may have at most 65,536 bytes", {}),
    "too-many-connections": (
        "there are more connections than the platform serves at once (PROJECTNIL_HTTP_CONNECTIONS); try again",
        {},
    ),
    "origin-not-allowed": (
        "pages of another site (Sec-Fetch-Site: cross-site) may not use this platform; "
        "PROJECTNIL_ALLOWED_ORIGINS lists the origins that may",
        {},
    ),
    "unknown-host": (
        "this platform is not known by the name example.org: it answers to localhost, to IP addresses and to "
        "the names in PROJECTNIL_ALLOWED_HOSTS",
        {},
    ),
    "unsupported-media-type": ("the body is declared as text/plain; send application/json", {}),
    "internal": ("an unexpected error; the log has it under request 019aa5c6-1b2c-7d3e-8f40-5a6b7c8d9e0f", {}),
}

# What belongs to no operation is met elsewhere.
PROBLEM_PATHS = {"path-not-found": "/function", "malformed-request": ""}

# Where a problem reads otherwise.
EXECUTE_PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "invalid-input": ("input: must be a JSON object, and this is an array", {"field": "input"}),
    "too-large": ("input may have at most 1 MiB (1,048,576 bytes); this one is 1,048,577 bytes", {}),
}
INVALID_LIMIT: tuple[str, dict[str, Any]] = (
    "limit: must be a whole number from 1 to 500; it is '0'",
    {"field": "limit"},
)
# A function whose name is in the path need not repeat it.
NAMED_PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "invalid-input": ("source: is required", {"field": "source"}),
}


def unknown_parameter(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The problem of a misspelt query parameter at an operation that has none."""
    return f"stauts: unknown query parameter of {method} {path}; it has none", {"field": "stauts"}
