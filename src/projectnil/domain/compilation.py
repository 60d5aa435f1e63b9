"""What travels in the two queues, and what a compiler says.

The bodies of the messages have exactly the fields that any compiler knows; what else we need is in their headers.
"""

import base64
import binascii
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from projectnil.domain.errors import InvalidInput
from projectnil.domain.ids import FunctionId, parse_id
from projectnil.domain.text import storable

REASON_CHARACTERS = 1000
# A compiler that got less of one core than this was stopped, or other programs had the cores.
STARVED_CPU_SHARE = 0.1
JOBS_QUEUE = "compilation_jobs"
RESULTS_QUEUE = "compilation_results"

Message = TypeVar("Message", "CompilationJob", "CompilationResult")

# What the column can hold.
Revision = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class CompilationJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a message of `compilation_jobs`. Extra fields are ignored."""

    function_id: str
    language: str
    source: str


class CompilationResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a message of `compilation_results`. wasm_binary is base64 (RFC 4648, section 4), None on failure."""

    function_id: str
    success: bool
    wasm_binary: str | None = None
    error: str | None = None


class MessageHeaders(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The headers of both kinds of messages. revision: that of the function whose source the job has.

    postponements: how often the platform could not compile the job, with the first time (Unix, in seconds) and the
    last reason. crashes: how often its compiler crashed on it.
    """

    revision: Revision | None = None
    postponements: int = 0
    postponed_since_s: float | None = None
    postponed_because: str | None = None
    crashes: int = 0

    def postponed_for_s(self, now_s: float) -> float:
        """How long ago the platform first could not compile the job. now_s: Unix time."""
        return 0.0 if self.postponed_since_s is None else now_s - self.postponed_since_s


class Compiled(msgspec.Struct, frozen=True):
    """The compiler accepted the source. wasm: the module's bytes. diagnostics: its warnings, if any."""

    wasm: bytes
    diagnostics: str = ""


class Rejected(msgspec.Struct, frozen=True):
    """The source does not compile, or broke a limit. message: the compiler's own words. A user error."""

    message: str
    broke_limit: bool = False


class Crashed(msgspec.Struct, frozen=True):
    """The compiler itself failed. It is the source's fault only if it happens again.

    lacked_room: other sources had left the process too little memory, so that this says nothing of the source.
    """

    message: str
    lacked_room: bool = False


class Stopped(msgspec.Struct, frozen=True):
    """The compilation was ended before its limits, because its observer wanted it to."""


Outcome: TypeAlias = Compiled | Rejected | Crashed | Stopped


class CompileCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a compilation has cost so far. duration_s: wall time. cpu_s: of all threads of the compiler's process.

    peak_memory_bytes: the most memory that process held meanwhile, its own part and what earlier compilations left
    included. is_practised: the process has compiled before; the first time takes several times as long.
    """

    duration_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    is_practised: bool = True

    @property
    def was_starved(self) -> bool:
        """Whether it got so little CPU time that the time it took is not the source's fault."""
        return self.cpu_s < self.duration_s * STARVED_CPU_SHARE

    @property
    def duration_ms(self) -> float:
        """To a tenth."""
        return round(self.duration_s * 1000, 1)

    @property
    def cpu_ms(self) -> int:
        """To the nearest."""
        return round(self.cpu_s * 1000)


class MalformedMessage(InvalidInput):
    """A message without the shape of its queue. function_id: the function it names, None when it names none."""

    def __init__(self, problem: str, function_id: FunctionId | None) -> None:
        self.function_id = function_id
        super().__init__(f"not a message of this queue: {problem}")


def decode_job(body: bytes | str) -> CompilationJob:
    """Raises MalformedMessage."""
    return _decode(body, CompilationJob)


def decode_result(body: bytes | str) -> CompilationResult:
    """Raises MalformedMessage."""
    return _decode(body, CompilationResult)


def decode_headers(headers: str | None, body: str) -> MessageHeaders:
    """The headers of a message. Earlier releases put the revision into the body, where it still counts.

    Headers are anyone's to write: those that are not ours are passed over.
    """
    known = _headers_in(headers) if headers is not None else MessageHeaders()
    if known.revision is not None:
        return known
    return msgspec.structs.replace(known, revision=_headers_in(body).revision)


def postponed(headers: MessageHeaders, reason: str, now_s: float) -> MessageHeaders:
    """The headers of a job that the platform could not compile this time. now_s: Unix time."""
    return msgspec.structs.replace(
        headers,
        postponements=headers.postponements + 1,
        postponed_since_s=now_s if headers.postponed_since_s is None else headers.postponed_since_s,
        postponed_because=storable(reason)[:REASON_CHARACTERS],
    )


def wasm_of(result: CompilationResult) -> bytes:
    """The module's bytes. Raises InvalidInput when there are none or they are not base64. Line breaks are base64."""
    if not result.wasm_binary:
        raise InvalidInput("a successful result must carry the module", "wasmBinary")
    try:
        return base64.b64decode("".join(result.wasm_binary.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"is not base64: {error}", "wasmBinary") from None


def result_message(job: CompilationJob, outcome: Compiled | Rejected) -> CompilationResult:
    """The answer to `job`, as it goes into the queue."""
    return CompilationResult(
        function_id=job.function_id,
        success=isinstance(outcome, Compiled),
        wasm_binary=base64.b64encode(outcome.wasm).decode() if isinstance(outcome, Compiled) else None,
        error=outcome.message if isinstance(outcome, Rejected) else None,
    )


def _decode(body: bytes | str, shape: type[Message]) -> Message:
    try:
        decoded = msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise MalformedMessage(str(error), _function_named_in(body)) from None
    function_id = parse_id(decoded.function_id)
    if function_id is None:
        raise MalformedMessage("its functionId is not a UUID", None)
    return msgspec.structs.replace(decoded, function_id=function_id)


def _headers_in(text: str) -> MessageHeaders:
    try:
        return msgspec.json.decode(text, type=MessageHeaders)
    except msgspec.MsgspecError:
        return MessageHeaders()


def _function_named_in(body: bytes | str) -> FunctionId | None:
    try:
        fields: Any = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return None
    named = fields.get("functionId") if isinstance(fields, dict) else None
    function_id = parse_id(named) if isinstance(named, str) else None
    return FunctionId(function_id) if function_id else None
