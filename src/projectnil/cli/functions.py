"""The commands about functions."""

import re
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from projectnil.cli import output, streams
from projectnil.cli.client import SHORT_ID_DIGITS, Client
from projectnil.cli.completers import files, function_names, offer
from projectnil.cli.failures import CommandFailed, UsageError
from projectnil.cli.options import add_common, add_function, add_list_options, client_of, filled
from projectnil.domain.text import visible_line

Json = dict[str, Any]

STATUSES = ("PENDING", "COMPILING", "READY", "FAILED")
_LANGUAGES = {".ts": "assemblyscript"}
# A file of such a name is named after its folder.
_GENERIC_NAMES = ("function", "index", "main")
_COLUMNS = (
    output.Column("ID", 9),
    output.Column("NAME", 8, fair=20, least=8),
    output.Column("STATUS", 7),
    output.Column("LANGUAGE", 1),
    output.Column("REVISION", 2),
    output.Column("UPDATED", 3),
    output.Column("ERROR", 6, fair=20, least=10),
)
# What asc puts before its words: `ERROR TS2304: Cannot find name 'x'.`
_CODE = re.compile(r"ERROR( [A-Z]+\d+)?: ")


def deploy_arguments(parser: ArgumentParser) -> None:
    source = "the source, in UTF-8; - reads standard input"
    offer(parser.add_argument("file", metavar="FILE|-", type=filled, help=source), files)
    name = "default: the file's name; an id updates that function"
    offer(parser.add_argument("--name", type=filled, help=name), function_names)
    parser.add_argument("--description", help="kept as it is when left out")
    language = parser.add_argument("--language", type=filled, help="default: by the file's ending")
    offer(language, lambda **_: _LANGUAGES.values())
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the compiler")
    parser.add_argument(
        "--timeout", type=float, default=120.0, metavar="SECONDS", help="how long to wait (default: %(default)g)"
    )
    add_common(parser)


def deploy(options: Namespace) -> int:
    name = options.name or _name_of(options.file)
    language = options.language or _language_of(options.file)
    source = streams.read_input() if options.file == "-" else streams.read_file(options.file)
    with client_of(options) as client, output.progress("compiling"):
        function = client.deploy(name, options.description, language, source)
        if not options.no_wait:
            function = client.wait_compiled(function, options.timeout)
    if options.as_json:
        output.print_json(function)
    elif function["status"] == "FAILED":
        output.print_failure(function["compileError"])
    else:
        state = f"{output.status_text(function['status'])}, revision {function['revision']}"
        output.print_line(f"{visible_line(function['name'])} is {state}  {function['id']}")
    return 1 if function["status"] == "FAILED" else 0


def list_functions_arguments(parser: ArgumentParser) -> None:
    add_list_options(parser, STATUSES, limit=50)
    add_common(parser)


def list_functions(options: Namespace) -> int:
    with client_of(options) as client:
        functions = client.get_many("/functions", options.limit, status=options.status)
    output.print_items(functions, _COLUMNS, _row, options)
    return 0


def show_arguments(parser: ArgumentParser) -> None:
    add_function(parser)
    add_common(parser)


def show(options: Namespace) -> int:
    with client_of(options) as client:
        details = client.show(client.find(options.function))
    if options.as_json:
        output.print_json(details)
        return 0
    fields = {
        "id": details["id"],
        "name": visible_line(details["name"]),
        "description": visible_line(details["description"] or "-"),
        "language": details["language"],
        "status": output.status_text(details["status"]),
        "revision": details["revision"],
        "created": output.when(details["createdAt"]),
        "updated": output.when(details["updatedAt"]),
        **_compilation(details.get("compilation")),
    }
    output.print_fields(fields)
    if details["compileError"]:
        sys.stdout.flush()
        output.print_failure(details["compileError"])
    output.print_text("\n" + details["source"])
    return 0


def _compilation(costs: Json | None) -> Json:
    """What its compilation has cost, in the words of `show`."""
    if costs is None:
        return {}
    tries = f"{costs['tries']} times, {output.milliseconds(costs['totalDurationMs'])} in all"
    if costs["durationMs"] is None:
        return {"compiled": tries}
    peak_mib = int(costs["peakMemoryBytes"]) // (1024 * 1024)
    cpu = output.milliseconds(costs["cpuMs"])
    took = f"{output.milliseconds(costs['durationMs'])}, {cpu} of CPU time, up to {peak_mib} MiB"
    return {"compiled": took if costs["tries"] == "1" else f"{took}; {tries}"}


def delete_arguments(parser: ArgumentParser) -> None:
    add_function(parser)
    add_yes(parser)
    add_common(parser)


def delete(options: Namespace) -> int:
    with client_of(options) as client:
        function_id = client.find(options.function)
        check_wanted(f"{_told(client, function_id)} and all its executions", options.yes)
        client.delete(f"/functions/{function_id}")
    output.print_deleted(function_id, as_json=options.as_json)
    return 0


def add_yes(parser: ArgumentParser) -> None:
    """`--yes`"""
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask; needed where there is no terminal")


def check_wanted(what: str, is_sure: bool) -> None:
    """Ask before something is deleted. Raises CommandFailed unless it is wanted."""
    if is_sure:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandFailed("nothing was deleted: there is no terminal to ask on, so --yes is needed")
    if not output.confirmed(f"Delete {what}?"):
        raise CommandFailed("nothing was deleted")


def short(identifier: str) -> str:
    """The end of an id, which every command takes for the whole. Its digits are random."""
    return identifier[-SHORT_ID_DIGITS:]


def _told(client: Client, function_id: str) -> str:
    return f"{visible_line(client.show(function_id)['name'])} ({short(function_id)})"


def _name_of(file: str) -> str:
    if file == "-":
        raise UsageError("a source from standard input has no name; give it one with --name")
    path = Path(file)
    return path.absolute().parent.name if path.stem in _GENERIC_NAMES else path.stem


def _language_of(file: str) -> str:
    if file == "-":
        return "assemblyscript"
    suffix = Path(file).suffix
    if suffix not in _LANGUAGES:
        supported = ", ".join(f"{suffix} ({name})" for suffix, name in _LANGUAGES.items())
        raise CommandFailed(f"unsupported file type {suffix or file}; supported: {supported}; or use --language")
    return _LANGUAGES[suffix]


def _row(function: Json, wide: bool) -> list[str]:
    return [
        function["id"] if wide else short(function["id"]),
        function["name"],
        function["status"],
        function["language"],
        str(function["revision"]),
        output.when(function["updatedAt"]),
        _in_one_line(function["compileError"] or ""),
    ]


def _in_one_line(message: str) -> str:
    """The compiler's first error, without its number. Warnings may come before it."""
    lines = [line.strip() for line in message.split("\n") if line.strip()]
    line = next((line for line in lines if _CODE.match(line)), lines[0] if lines else "")
    return _CODE.sub("", line, count=1)
