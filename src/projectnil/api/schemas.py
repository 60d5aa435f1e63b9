"""The shapes of requests and answers: SPEC's fields in camelCase."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from projectnil.domain.executions import Execution, ExecutionStatus, ExecutionSummary, duration_ms
from projectnil.domain.functions import LISTED_ERROR_CHARACTERS, Function, FunctionStatus, FunctionSummary
from projectnil.domain.languages import Language
from projectnil.flows.execution import Run

Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
# Postgres holds any text without NUL. Only told here: domain/functions.py checks it, and says what is wrong.
NO_NUL_PATTERN = "^[^\\x00]*$"
Name = Annotated[
    str,
    Meta(
        description="1 to 255 characters; need not be unique",
        examples=["add"],
        extra_json_schema={"minLength": 1, "maxLength": 255, "pattern": NO_NUL_PATTERN},
    ),
]
Source = Annotated[
    str,
    Meta(
        description="the source text, at most 1 MiB in UTF-8 by default",
        examples=["export function handle(input: string): string { return input; }"],
        extra_json_schema={"minLength": 1, "pattern": NO_NUL_PATTERN},
    ),
]
LanguageName = Annotated[
    str,
    Meta(
        description=f"one of: {', '.join(Language)}",
        examples=["assemblyscript"],
        extra_json_schema={"enum": [*Language]},
    ),
]
Description = Annotated[
    str | None,
    Meta(description="at most 10,000 characters", extra_json_schema={"maxLength": 10_000, "pattern": NO_NUL_PATTERN}),
]
Timestamp = Annotated[datetime, Meta(tz=True)]
ErrorMessage = Annotated[
    str | None,
    Meta(description="why the function failed: which limit, which message, which line; null unless FAILED"),
]
CompileError = Annotated[str | None, Meta(description="the compiler's own message; null unless FAILED")]
ListedCompileError = Annotated[
    str | None,
    Meta(
        description=f"the beginning of the compiler's message, up to {LISTED_ERROR_CHARACTERS:,} characters; it ends "
        "in … where there is more; null unless FAILED",
        extra_json_schema={"maxLength": LISTED_ERROR_CHARACTERS},
    ),
]
Revision = Annotated[int, Meta(description="counts changes of source or language, from 1")]


CompileDurationMs = Annotated[
    float | None,
    Meta(
        description="wall time of the last try to compile this revision, in milliseconds, as cpuMs and "
        "peakMemoryBytes are of it; null when no compiler of the platform has tried"
    ),
]
CompileCpuMs = Annotated[float | None, Meta(description="CPU time of all the compiler's threads")]
PeakMemoryBytes = Annotated[
    int | None,
    Meta(
        description="the most memory that the compiler's process held meanwhile, what it holds for itself included: "
        "some 400 MiB"
    ),
]
Tries = Annotated[int, Meta(description="compilations begun, of all revisions; a source that is slow takes two")]
TotalDurationMs = Annotated[float, Meta(description="wall time of all tries together")]
TotalCpuMs = Annotated[float, Meta(description="CPU time of all tries together")]
ExecutedRevision = Annotated[
    int | None, Meta(description="the function's revision that ran; null for one recorded before revisions were")
]
FunctionName = Annotated[str, Meta(description="the function's name")]
DurationMs = Annotated[
    float | None, Meta(description="from startedAt to completedAt, in milliseconds; null until then")
]


class _Body(msgspec.Struct, kw_only=True, rename="camel"):
    pass


class NamedFunctionBody(_Body):
    """What PUT by name takes. name: that of the path, if it is there at all. Unknown fields are ignored."""

    language: LanguageName
    source: Source
    description: Description = None
    name: str | None = None


class FunctionBody(_Body):
    """What POST and PUT take. Unknown fields are ignored."""

    name: Name
    language: LanguageName
    source: Source
    description: Description = None


class ExecuteBody(_Body):
    """input: a JSON object; absent or null means `{}`. Kept as text: nothing here needs its parts."""

    input: msgspec.Raw = msgspec.Raw()


class FunctionCreated(_Body):
    """The answer to POST /functions."""

    id: Id
    name: str
    status: FunctionStatus
    created_at: Timestamp


class FunctionItem(_Body):
    """A function in a list."""

    id: Id
    name: str
    description: Description
    language: LanguageName
    status: FunctionStatus
    compile_error: ListedCompileError
    revision: Revision
    created_at: Timestamp
    updated_at: Timestamp


class CompilationDetails(_Body):
    """What compiling a function has cost the platform's own compilers."""

    duration_ms: CompileDurationMs
    cpu_ms: CompileCpuMs
    peak_memory_bytes: PeakMemoryBytes
    tries: Tries
    total_duration_ms: TotalDurationMs
    total_cpu_ms: TotalCpuMs


class FunctionDetails(_Body):
    """All of a function but its binary."""

    id: Id
    name: str
    description: Description
    language: LanguageName
    source: str
    status: FunctionStatus
    compile_error: CompileError
    compilation: CompilationDetails | None
    revision: Revision
    created_at: Timestamp
    updated_at: Timestamp


class ExecutionResult(_Body):
    """The answer to an execution."""

    id: Id
    function_id: Id
    function_name: FunctionName
    revision: ExecutedRevision
    status: ExecutionStatus
    output: msgspec.Raw | None
    error_message: ErrorMessage
    created_at: Timestamp
    completed_at: Timestamp
    duration_ms: DurationMs


class ExecutionItem(_Body):
    """An execution in a list."""

    id: Id
    function_id: Id
    function_name: FunctionName
    revision: ExecutedRevision
    status: ExecutionStatus
    error_message: ErrorMessage
    created_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None
    duration_ms: DurationMs


class ExecutionDetails(_Body):
    """All of an execution. logs: what the function wrote with console.* and trace, cut at its limit."""

    id: Id
    function_id: Id
    function_name: FunctionName
    revision: ExecutedRevision
    status: ExecutionStatus
    input: msgspec.Raw | None
    output: msgspec.Raw | None
    error_message: ErrorMessage
    logs: str | None
    created_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None
    duration_ms: DurationMs


def function_created(function: Function) -> FunctionCreated:
    return FunctionCreated(id=function.id, name=function.name, status=function.status, created_at=function.created_at)


def function_item(summary: FunctionSummary) -> FunctionItem:
    return msgspec.convert(summary, FunctionItem, from_attributes=True)


def function_details(function: Function) -> FunctionDetails:
    return msgspec.convert(function, FunctionDetails, from_attributes=True)


def execution_result(run: Run) -> ExecutionResult:
    return ExecutionResult(
        id=run.id,
        function_id=run.function_id,
        function_name=run.function_name,
        revision=run.revision,
        status=run.status,
        output=msgspec.Raw(run.output) if run.output is not None else None,
        error_message=run.error_message,
        created_at=run.created_at,
        completed_at=run.completed_at,
        duration_ms=duration_ms(run.created_at, run.completed_at),  # it starts when it is created
    )


def execution_item(summary: ExecutionSummary) -> ExecutionItem:
    return msgspec.convert(summary, ExecutionItem, from_attributes=True)


def execution_details(execution: Execution) -> ExecutionDetails:
    return ExecutionDetails(
        id=execution.id,
        function_id=execution.function_id,
        function_name=execution.function_name,
        revision=execution.revision,
        status=execution.status,
        input=_raw(execution.input),
        output=_raw(execution.output),
        error_message=execution.error_message,
        logs=execution.logs,
        created_at=execution.created_at,
        started_at=execution.started_at,
        completed_at=execution.completed_at,
        duration_ms=execution.duration_ms,
    )


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())
