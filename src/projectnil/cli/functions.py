"""The client commands."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from projectnil.cli import output, streams
from projectnil.cli.client import CommandFailed
from projectnil.cli.options import AsJson, Url, client_of

Json = dict[str, Any]

NameOrId = Annotated[str, typer.Argument(metavar="NAME|ID", help="a function's name, or its id")]

_LANGUAGES = {".ts": "assemblyscript"}
# A file of such a name is named after its folder.
_GENERIC_NAMES = ("function", "index", "main")


def deploy(
    file: Annotated[Path, typer.Argument(help="the source, in UTF-8")],
    name: Annotated[str | None, typer.Option(help="default: the file's name; an id updates that function")] = None,
    description: Annotated[str | None, typer.Option(help="kept as it is when left out")] = None,
    language: Annotated[str | None, typer.Option(help="default: by the file's ending")] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="do not wait for the compiler")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0, help="how long to wait, in seconds")] = 120.0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Create a function from FILE, or update the one of that name, and wait until it is compiled."""
    source = _read_source(file)
    with client_of(url) as client, output.spinner("compiling"):
        function = client.deploy(name or _name_of(file), description, language or _language_of(file), source)
        if not no_wait:
            function = client.wait_compiled(function, timeout_s)
    if as_json:
        output.print_json(function)
    elif function["status"] == "FAILED":
        output.print_failure(function["compileError"])
    else:
        state = f"{output.status_text(function['status'])}, revision {function['revision']}"
        output.out.print(f"{function['name']} is {state}  {function['id']}")
    if function["status"] == "FAILED":
        raise typer.Exit(1)


def invoke(
    function: NameOrId,
    input_json: Annotated[
        str, typer.Argument(metavar="[JSON|-]", help="the input, a JSON object; - reads standard input")
    ] = "{}",
    logs: Annotated[bool, typer.Option("--logs", help="show what the function logged, on standard error")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Run a function and print its output; exit with 1 if it fails."""
    given = streams.read_input() if input_json == "-" else input_json
    with client_of(url) as client:
        result = client.execute(client.find(function), given.strip() or "{}")
        recorded = client.get(f"/executions/{result.id}") if logs or result.failed else {}
    output.print_logs(recorded.get("logs"))
    if as_json:
        output.print_text(result.text)
    elif result.failed:
        output.print_failure(result.error_message or "")
    else:
        output.print_text(result.output)
    if result.failed:
        raise typer.Exit(1)


def list_functions(
    status: Annotated[str | None, typer.Option(help="only these: PENDING, COMPILING, READY, FAILED")] = None,
    limit: Annotated[int, typer.Option(help="how many at the most")] = 50,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List functions, the newest first."""
    with client_of(url) as client:
        functions = client.get("/functions", limit=limit, status=status)
    if as_json:
        output.print_json(functions)
        return
    columns = ("ID", "NAME", "STATUS", "LANGUAGE", "REVISION", "UPDATED")
    output.print_table(columns, [_function_row(function) for function in functions])


def show(function: NameOrId, url: Url = None, as_json: AsJson = False) -> None:
    """Show a function: its state, its compiler's message, its source."""
    with client_of(url) as client:
        details = client.show(client.find(function))
    if as_json:
        output.print_json(details)
        return
    fields = {
        "id": details["id"],
        "name": output.escape(details["name"]),
        "description": output.escape(details["description"] or "-"),
        "language": details["language"],
        "status": output.status_text(details["status"]),
        "revision": details["revision"],
        "created": output.when(details["createdAt"]),
        "updated": output.when(details["updatedAt"]),
    }
    output.print_fields(fields)
    if details["compileError"]:
        output.print_failure(details["compileError"])
    output.print_source(details["source"])


def executions(
    function: Annotated[str | None, typer.Argument(metavar="[NAME|ID]", help="only this function's")] = None,
    status: Annotated[str | None, typer.Option(help="only these: RUNNING, COMPLETED, FAILED")] = None,
    limit: Annotated[int, typer.Option(help="how many at the most")] = 20,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List executions, the newest first."""
    with client_of(url) as client:
        path = "/executions" if function is None else f"/functions/{client.find(function)}/executions"
        found = client.get(path, limit=limit, status=status)
    if as_json:
        output.print_json(found)
        return
    output.print_table(("ID", "STATUS", "STARTED", "TOOK", "ERROR"), [_execution_row(item) for item in found])


def execution(
    execution_id: Annotated[str, typer.Argument(metavar="ID")], url: Url = None, as_json: AsJson = False
) -> None:
    """Show an execution: its input, its output, what it logged."""
    with client_of(url) as client:
        details = client.get(f"/executions/{output.path_segment(execution_id)}")
    if as_json:
        output.print_json(details)
        return
    fields = {
        "id": details["id"],
        "function": details["functionId"],
        "status": output.status_text(details["status"]),
        "started": output.when(details["startedAt"]),
        "took": output.duration(details),
        "input": output.escape(output.compact(details["input"])),
        "output": output.escape(output.compact(details["output"])),
    }
    output.print_fields(fields)
    if details["errorMessage"]:
        output.print_failure(details["errorMessage"])
    if details["logs"]:
        output.out.print("[bold]logs[/]")
        output.out.print(output.escape(details["logs"].rstrip("\n")))


def delete(
    function: NameOrId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete a function and its executions."""
    with client_of(url) as client:
        function_id = client.find(function)
        if sys.stdin.isatty() and not yes and not as_json:
            typer.confirm(f"Delete {function} and all its executions?", abort=True)
        client.delete(function_id)
    if as_json:
        output.print_json({"id": function_id})
    else:
        output.out.print(f"deleted {function_id}")


def _read_source(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{file} is not UTF-8: {error.reason} at byte {error.start}") from None


def _name_of(file: Path) -> str:
    return file.absolute().parent.name if file.stem in _GENERIC_NAMES else file.stem


def _language_of(file: Path) -> str:
    language = _LANGUAGES.get(file.suffix)
    if language is None:
        known = ", ".join(f"{name} for {suffix}" for suffix, name in _LANGUAGES.items())
        raise CommandFailed(f"the language of {file} is not known by its ending ({known}); say it with --language")
    return language


def _function_row(function: Json) -> list[str]:
    return [
        function["id"],
        output.escape(function["name"]),
        output.status_text(function["status"]),
        function["language"],
        str(function["revision"]),
        output.when(function["updatedAt"]),
    ]


def _execution_row(execution: Json) -> list[str]:
    return [
        execution["id"],
        output.status_text(execution["status"]),
        output.when(execution["startedAt"]),
        output.duration(execution),
        output.escape((execution["errorMessage"] or "").split("\n")[0]),
    ]
