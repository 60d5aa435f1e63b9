"""`pnil`"""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from projectnil import __version__
from projectnil.cli import functions, health, output, platform, streams
from projectnil.cli.client import CommandFailed
from projectnil.domain.errors import PlatformError

app = typer.Typer(
    name="pnil",
    help="A self-hosted Function-as-a-Service: source in, WebAssembly inside, every run recorded in Postgres.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)

PLATFORM: tuple[Callable[..., None], ...] = (
    platform.serve,
    platform.api,
    platform.compiler,
    platform.migrate,
    platform.prune,
    health.health,
)
FUNCTIONS: tuple[Callable[..., None], ...] = (
    functions.deploy,
    functions.invoke,
    functions.show,
    functions.executions,
    functions.execution,
    functions.delete,
)
for command in PLATFORM:
    app.command(rich_help_panel="Platform")(command)
app.command("list", rich_help_panel="Functions")(functions.list_functions)
for command in FUNCTIONS:
    app.command(rich_help_panel="Functions")(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"projectnil {__version__}")
        raise typer.Exit


@app.callback()
def pnil(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """A self-hosted Function-as-a-Service: source in, WebAssembly inside, every run recorded in Postgres."""


def run() -> None:
    """The console script. A failure is one line on standard error, and exit code 1."""
    streams.prepare()
    try:
        app()
    except (CommandFailed, PlatformError) as failure:
        output.print_failure(f"pnil: {failure}")
    except UnicodeEncodeError:
        output.print_failure("pnil: an argument is not text in UTF-8")
    except BrokenPipeError:
        streams.give_up_output()
    except OSError as failure:
        output.print_failure(f"pnil: {failure}")
        streams.give_up_output()
    else:
        return
    sys.exit(1)


if __name__ == "__main__":
    run()
