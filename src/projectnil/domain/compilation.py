"""What travels in the two queues, and what a compiler says."""

import base64
import binascii
from typing import Annotated, TypeVar

import msgspec

from projectnil.domain.errors import InvalidInput
from projectnil.domain.ids import parse_id

JOBS_QUEUE = "compilation_jobs"
RESULTS_QUEUE = "compilation_results"

Message = TypeVar("Message", "CompilationJob", "CompilationResult")

# What the column can hold.
Revision = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class CompilationJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of `compilation_jobs`. Extra fields are ignored. revision is None from a sender that has none."""

    function_id: str
    language: str
    source: str
    revision: Revision | None = None


class CompilationResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of `compilation_results`. wasm_binary is base64 (RFC 4648, section 4), None on failure."""

    function_id: str
    success: bool
    wasm_binary: str | None = None
    error: str | None = None
    revision: Revision | None = None


class Compiled(msgspec.Struct, frozen=True):
    """The compiler accepted the source. wasm: the module's bytes. diagnostics: its warnings, if any."""

    wasm: bytes
    diagnostics: str = ""


class Rejected(msgspec.Struct, frozen=True):
    """The source does not compile, or broke a limit. message: the compiler's own words. A user error."""

    message: str


def decode_job(message: bytes | str) -> CompilationJob:
    """Raises InvalidInput when the message has not the shape of a job."""
    return _decode(message, CompilationJob)


def decode_result(message: bytes | str) -> CompilationResult:
    """Raises InvalidInput when the message has not the shape of a result."""
    return _decode(message, CompilationResult)


def wasm_of(result: CompilationResult) -> bytes:
    """The module's bytes. Raises InvalidInput when there are none or they are not base64."""
    if not result.wasm_binary:
        raise InvalidInput("a successful result must carry the module", "wasmBinary")
    try:
        return base64.b64decode(result.wasm_binary, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"is not base64: {error}", "wasmBinary") from None


def result_message(job: CompilationJob, outcome: Compiled | Rejected) -> CompilationResult:
    """The answer to `job`, as it goes into the queue."""
    compiled = isinstance(outcome, Compiled)
    return CompilationResult(
        function_id=job.function_id,
        success=compiled,
        wasm_binary=base64.b64encode(outcome.wasm).decode() if isinstance(outcome, Compiled) else None,
        error=outcome.message if isinstance(outcome, Rejected) else None,
        revision=job.revision,
    )


def _decode(message: bytes | str, shape: type[Message]) -> Message:
    try:
        decoded = msgspec.json.decode(message, type=shape)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"not a message of this queue: {error}") from None
    function_id = parse_id(decoded.function_id)
    if function_id is None:
        raise InvalidInput("not a message of this queue: its functionId is not a UUID")
    return msgspec.structs.replace(decoded, function_id=function_id)
