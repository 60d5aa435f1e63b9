"""When each kind of problem comes. The table of docs/http-api.md says the same."""

# By the last part of a problem's type.
WHEN: dict[str, str] = {
    "invalid-input": (
        "the body is not JSON; a field, parameter or id is missing or not what it must be; `field` names it"
    ),
    "function-not-ready": (
        "it is run, or its module asked for, while it is PENDING, COMPILING or FAILED; `detail` names the status"
    ),
    "function-not-found": "no function has this id",
    "execution-not-found": "no execution has this id",
    "path-not-found": "the path is not one of the API's",
    "function-name-shared": (
        "it is asked for by a name that others have too; `functionIds` lists up to 100 of them, the newest first"
    ),
    "execution-running": "it cannot be deleted until it has ended",
    "method-not-allowed": "the `Allow` header lists those it has",
    "malformed-request": (
        "it could not be read as HTTP/1.1, or its `Host` or another header that counts once is missing, given"
        " twice or not what it must be. The connection is closed where its end cannot be told"
    ),
    "origin-not-allowed": "a web page of another origin sent it, or made the browser send it",
    "unknown-host": "the `Host` header is a name that the platform does not know; see web pages",
    "unsupported-media-type": "`Content-Type` is not JSON, or `Content-Encoding` is not supported; see request bodies",
    "request-timed-out": "it was not complete within 30 s of its first byte",
    "path-too-long": "path and query have more than 8 KiB",
    "head-too-large": "the head has more than 64 KiB, or more than 256 headers",
    "too-many-connections": "the platform serves no more at once; `/health` is still answered",
    "too-large": "the body, the source or the input is over its limit; `detail` names it",
    "unsupported-language": "`supported` lists those that are",
    "internal": "a defect; the log has it under `requestId`",
    "overloaded": (
        "every sandbox process runs a long function and there may be no more of them; or large requests and "
        "answers hold all the memory they may, and then `executionId` names an execution whose answer has to "
        "wait; try again after `Retry-After` seconds"
    ),
    "execution-interrupted": (
        "the platform stopped, or lost the sandbox, before the function finished; `executionId` names the "
        "record. Without it there is none: the database lost it, and `detail` says so"
    ),
    "unavailable": (
        "the database or the sandboxes cannot be reached; try again after `Retry-After` seconds. With "
        "`executionId`: the function ran, and its outcome will be recorded once the database is back, unless "
        "the database lost the execution; `detail` says so"
    ),
}
