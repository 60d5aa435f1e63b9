"""The two families of errors.

Platform errors are exceptions: a request asked for what cannot be done, or the platform failed.
Guest errors are values (see `guest_errors`): the user's function failed, which is an ordinary outcome.
Neither knows HTTP. Each carries its data, and says in `str()` what happened and what to do.
"""

from collections.abc import Sequence

from projectnil.domain.limits import in_units


class PlatformError(Exception):
    """The root of everything the platform answers for."""


class InvalidInput(PlatformError):
    """A field, or the request as a whole, is not what it must be.

    field: the JSON path, parameter or header at fault, such as `name` or `input.items[3]`; None for the whole.
    """

    def __init__(self, problem: str, field: str | None = None) -> None:
        self.problem = problem
        self.field = field
        super().__init__(f"{field}: {problem}" if field else problem)


class TooLarge(PlatformError):
    """Something is over its size limit. Sizes in bytes; size_bytes is None when reading stopped at the limit."""

    def __init__(self, what: str, limit_bytes: int, size_bytes: int | None = None) -> None:
        self.what = what
        self.limit_bytes = limit_bytes
        self.size_bytes = size_bytes
        seen = f"{size_bytes:,} bytes" if size_bytes is not None else "larger"
        super().__init__(f"{what} may have at most {in_units(limit_bytes)} ({limit_bytes:,} bytes); this one is {seen}")


class UnsupportedLanguage(PlatformError):
    def __init__(self, language: str, supported: Sequence[str]) -> None:
        self.language = language
        self.supported = tuple(str(name) for name in supported)
        super().__init__(f"language {language!r} is not supported; supported: {', '.join(self.supported)}")


class FunctionNotFound(PlatformError):
    def __init__(self, function_id: str) -> None:
        self.function_id = function_id
        super().__init__(f"there is no function {function_id}")


class FunctionNameNotFound(FunctionNotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"named {name[:300]!r}")


class FunctionNameShared(PlatformError):
    """Several functions have the name, and none is meant more than another. function_ids: the newest first."""

    def __init__(self, name: str, function_ids: Sequence[str], total: int) -> None:
        self.name = name
        self.function_ids = tuple(function_ids)
        shown = "" if total == len(self.function_ids) else f"; functionIds has the newest {len(self.function_ids)}"
        super().__init__(
            f"{total} functions are named {name!r}: use the id of one, or rename or delete the others{shown}"
        )


class ExecutionNotFound(PlatformError):
    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        super().__init__(f"there is no execution {execution_id}")


class ExecutionRunning(PlatformError):
    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        super().__init__(f"execution {execution_id} is still running; delete it once it has ended")


class FunctionNotReady(PlatformError):
    """status: the function's status, anything but READY."""

    def __init__(self, function_id: str, status: str) -> None:
        self.function_id = function_id
        self.status = status
        advice = {
            "PENDING": "it waits for its compiler; try again once it is READY",
            "COMPILING": "it is being compiled; try again once it is READY",
            "FAILED": "it did not compile; its compileError says why (GET /functions/{id}, or `pnil show`)",
        }.get(status, "try again later")
        super().__init__(f"function {function_id} is {status}, not READY: {advice}")


class Overloaded(PlatformError):
    """There is no room: every sandbox is busy, or others hold the memory.

    retry_after_s: when to come back, in seconds. execution_id: of an execution that ended and is recorded, but whose
    answer has to wait.
    """

    def __init__(self, problem: str, retry_after_s: int = 1, execution_id: str | None = None) -> None:
        self.retry_after_s = retry_after_s
        self.execution_id = execution_id
        super().__init__(problem)


class PlatformUnavailable(PlatformError):
    """A part of the platform is gone or failed: the database, the sandboxes, a file it needs."""


class CompilerLost(PlatformError):
    """The compiler was ended from outside while it worked on a source, perhaps because of what the source needs."""


class ExecutionInDoubt(PlatformUnavailable):
    """A guest ended, and its outcome could not be recorded yet."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        super().__init__(
            f"the outcome of execution {execution_id} could not be recorded yet; it will be once the database is back, "
            "unless the database has lost the execution: then there is none of this id"
        )


class ExecutionInterrupted(PlatformError):
    """The platform stopped, or lost a sandbox, before the guest finished.

    execution_id: of its record; None where the database lost that.
    """

    def __init__(self, execution_id: str | None, message: str) -> None:
        self.execution_id = execution_id
        lost = "" if execution_id is not None else "; the database has no record of it"
        super().__init__(f"{message}{lost}")


INTERRUPTED = "interrupted: the platform stopped before it finished"
