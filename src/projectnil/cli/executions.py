"""The commands about executions."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import suppress
from datetime import datetime
from typing import Any

from projectnil.cli import exact_json, output, streams
from projectnil.cli.completers import execution_ids, input_files, offer
from projectnil.cli.failures import CommandFailed, UsageError
from projectnil.cli.functions import add_yes, check_wanted, short
from projectnil.cli.options import add_common, add_function, add_list_options, client_of, filled
from projectnil.domain.text import visible_line

Json = dict[str, Any]

STATUSES = ("RUNNING", "COMPLETED", "FAILED")
_FILTERS = {
    "since": "only those created at this time or later, such as 2026-11-21T09:30:00Z",
    "until": "only those created before this time",
    "error": "only those whose error message contains this text",
}
_COLUMNS = (
    output.Column("ID", 9),
    output.Column("FUNCTION", 8, fair=20, least=8),
    output.Column("STATUS", 7),
    output.Column("STARTED", 1),
    output.Column("TOOK", 2),
    output.Column("ERROR", 6, fair=20, least=10),
)


def invoke_arguments(parser: ArgumentParser) -> None:
    add_function(parser)
    given = parser.add_argument(
        "input_json",
        metavar="JSON|@FILE|-",
        nargs="?",
        default="{}",
        help="the input, a JSON object; @FILE reads a file, - standard input (default: %(default)s)",
    )
    offer(given, input_files)
    parser.add_argument("--logs", action="store_true", help="show what the function logged, on standard error")
    add_common(parser)


def invoke(options: Namespace) -> int:
    given = _read_given(options.input_json)
    with client_of(options) as client:
        result = client.execute(client.find(options.function), given)
        has_failed = result["status"] == "FAILED"
        shows_logs = options.logs or (has_failed and not options.as_json)
        recorded = client.get(f"/executions/{result['id']}") if shows_logs else {}
    output.print_logs(recorded.get("logs"))
    if options.as_json:
        output.print_json(result)
    elif has_failed:
        output.print_failure(result["errorMessage"])
    else:
        output.print_json(result["output"])
    return 1 if has_failed else 0


def executions_arguments(parser: ArgumentParser) -> None:
    add_function(parser, nargs="?")
    add_list_options(parser, STATUSES, limit=20)
    for name, about in _FILTERS.items():
        kind = filled if name == "error" else _time
        parser.add_argument(f"--{name}", type=kind, metavar=name.upper(), help=about)
    add_common(parser)


def executions(options: Namespace) -> int:
    with client_of(options) as client:
        path = "/executions"
        if options.function is not None:
            path = f"/functions/{client.find(options.function)}/executions"
        filters = {name: getattr(options, name) for name in ("status", *_FILTERS)}
        found = client.get_many(path, options.limit, **filters)
    output.print_items(found, _COLUMNS, _row, options)
    return 0


def execution_arguments(parser: ArgumentParser) -> None:
    about = "an execution's id, or the id's last 8 digits"
    offer(parser.add_argument("execution_id", metavar="ID", type=filled, help=about), execution_ids)
    parser.add_argument("--delete", action="store_true", help="delete it instead")
    add_yes(parser)
    add_common(parser)


def execution(options: Namespace) -> int:
    with client_of(options) as client:
        execution_id, is_only = client.find_execution(options.execution_id, among_all=options.delete)
        if options.delete:
            check_wanted(f"execution {execution_id}", options.yes)
            client.delete(f"/executions/{execution_id}")
            output.print_deleted(execution_id, as_json=options.as_json)
            return 0
        details = client.get(f"/executions/{execution_id}")
    if not is_only:
        output.print_note(f"this is the newest whose id ends in {execution_id[-8:]}; not all older ones were looked at")
    if options.as_json:
        output.print_json(details)
    else:
        _print_execution(details)
    return 0


def _print_execution(details: Json) -> None:
    fields = {
        "id": details["id"],
        "function": f"{visible_line(details['functionName'])}  {details['functionId']}",
        "revision": details["revision"] or "-",
        "status": output.status_text(details["status"]),
        "started": output.when(details["startedAt"]),
        "took": output.duration(details),
        "input": output.compact(details["input"]),
        "output": output.compact(details["output"]),
    }
    output.print_fields(fields)
    if details["errorMessage"]:
        output.print_text(details["errorMessage"], "red")
    if details["logs"]:
        output.print_line(output.styled("logs", "bold"))
        output.print_text(details["logs"].rstrip("\n"))


def _read_given(given: str) -> str:
    """The JSON object that was given. Where there is none, raises UsageError if it was typed, CommandFailed if read."""
    if given == "@":
        raise UsageError("no file is named after the @")
    if given == "-":
        what, text = "standard input", streams.read_input()
    elif given.startswith("@"):
        what, text = given[1:], streams.read_file(given[1:])
    else:
        what, text = "the input", given
    if (problem := _problem_with(text)) is not None:
        raise (UsageError if what == "the input" else CommandFailed)(f"{what} {problem}")
    return text.strip()


def _problem_with(text: str) -> str | None:
    """What keeps a text from being an input, if anything does."""
    if not text.strip():
        return "is empty: an input is a JSON object, and {} when it is left out"
    try:
        value = exact_json.parse(text)
    except ValueError as error:
        return f"is not valid JSON: {error}"
    return None if isinstance(value, dict) else f"is {exact_json.kind(value)}, not a JSON object"


def _time(text: str) -> str:
    """A time with its offset, in the API's spelling."""
    with suppress(ValueError):
        time = datetime.fromisoformat(text.upper())
        if time.tzinfo is not None:
            return time.isoformat()
    raise ArgumentTypeError(f"must be a time such as 2026-11-21T09:30:00Z; it is {text[:100]!r}")


def _row(execution: Json, wide: bool) -> list[str]:
    return [
        execution["id"] if wide else short(execution["id"]),
        execution["functionName"],
        execution["status"],
        output.when(execution["startedAt"]),
        output.duration(execution),
        (execution["errorMessage"] or "").split("\n")[0],
    ]
