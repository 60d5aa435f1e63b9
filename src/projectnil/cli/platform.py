"""The commands that run the platform, whole or in parts. Each imports what it needs when it runs."""

import asyncio
import contextlib
import os
import signal
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

from projectnil.cli import output
from projectnil.cli.completers import files, offer
from projectnil.cli.failures import CommandFailed, UsageError
from projectnil.config import Settings, read_settings, unknown_variables
from projectnil.domain.errors import InvalidInput, PlatformError

_OPTIONS = {
    "--host": "the address to listen on (default: 127.0.0.1)",
    "--port": "the port to listen on, 0 for a free one (default: 8080)",
    "--data-dir": "where the data is (default: .projectnil)",
    "--database-url": "postgresql://...; or PROJECTNIL_DATABASE_URL",
    "--workers": "api processes (default: 1)",
}
_EMBEDDED = "; without it the embedded Postgres is used"


def serve_arguments(parser: ArgumentParser) -> None:
    _add(parser, "--host", "--port", "--data-dir", "--workers")
    parser.add_argument("--database-url", help=_OPTIONS["--database-url"] + _EMBEDDED)


def serve(options: Namespace) -> int:
    """Prints one line on standard output when the platform is ready."""
    from projectnil.bootstrap.logs import configure_logs  # noqa: PLC0415
    from projectnil.bootstrap.parts import run_to_exit_code  # noqa: PLC0415
    from projectnil.bootstrap.serve import serve as serve_platform  # noqa: PLC0415
    from projectnil.processes import SHORT_SLICES_NS, hide_from_siblings, take_slices  # noqa: PLC0415

    with _stopping_in_order():
        settings = _settings(options)
        configure_logs(settings, "serve")
        hide_from_siblings()
        take_slices(SHORT_SLICES_NS)  # also for the embedded Postgres, which is its child
        return run_to_exit_code(serve_platform(settings, _say_ready), "serve")


def api_arguments(parser: ArgumentParser) -> None:
    _add(parser, "--host", "--port", "--data-dir", "--database-url")


def api(options: Namespace) -> int:
    """Against a database that was migrated."""
    from projectnil.bootstrap.parts import run_part  # noqa: PLC0415
    from projectnil.bootstrap.sockets import listen, url_of  # noqa: PLC0415

    with _stopping_in_order():
        settings = _with_database(_settings(options))
        listener = listen(settings.host, settings.port)
        url = url_of(listener)
        return run_part("api", settings, listener, lambda: _say_ready(url))


def compiler_arguments(parser: ArgumentParser) -> None:
    _add(parser, "--data-dir", "--database-url")


def compiler(options: Namespace) -> int:
    """Against a database that was migrated."""
    from projectnil.bootstrap.parts import run_part  # noqa: PLC0415

    with _stopping_in_order():
        settings = _with_database(_settings(options))
        return run_part("compiler", settings, None, lambda: print("the compiler is ready", flush=True))


def migrate_arguments(parser: ArgumentParser) -> None:
    parser.description = (
        "Bring the database's schema up to date. Safe to run at any time, and from many places at once."
    )
    _add(parser, "--data-dir")
    parser.add_argument("--database-url", help=_OPTIONS["--database-url"] + _EMBEDDED)


def migrate(options: Namespace) -> int:
    from projectnil.bootstrap.logs import configure_logs  # noqa: PLC0415
    from projectnil.bootstrap.tasks import migrate_once  # noqa: PLC0415

    with _stopping_in_order():
        settings = _settings(options)
        configure_logs(settings, "migrate")
        applied = asyncio.run(migrate_once(settings))
    _print_each("applied", applied, "the database is up to date")
    return 0


def prune_arguments(parser: ArgumentParser) -> None:
    parser.description = "Drop the weekly partitions of executions that hold nothing younger than the given age."
    parser.add_argument("--older-than", required=True, metavar="AGE", help="in days or weeks, such as 30d or 8w")
    _add(parser, "--data-dir")
    parser.add_argument("--database-url", help=_OPTIONS["--database-url"] + _EMBEDDED)


def prune(options: Namespace) -> int:
    from projectnil.bootstrap.logs import configure_logs  # noqa: PLC0415
    from projectnil.bootstrap.tasks import parse_age, prune_once  # noqa: PLC0415

    try:
        age = parse_age(options.older_than)
    except InvalidInput as mistake:
        raise UsageError(str(mistake)) from None
    with _stopping_in_order():
        settings = _settings(options)
        configure_logs(settings, "prune")
        dropped = asyncio.run(prune_once(settings, age))
    _print_each("dropped", dropped, f"no partition is wholly older than {options.older_than}")
    return 0


@contextlib.contextmanager
def _stopping_in_order() -> Iterator[None]:
    """Ctrl-C is an exception in here, so that what was started is stopped; so is what the platform refuses."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except PlatformError as error:
        raise CommandFailed(str(error)) from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _print_each(done: str, names: list[str], otherwise: str) -> None:
    for name in names:
        print(f"{done} {name}")
    if not names:
        print(otherwise)


def _say_ready(url: str) -> None:
    # The platform runs, whether or not anybody reads that it does.
    with contextlib.suppress(OSError):
        print(f"projectnil is ready at {url}", flush=True)


def _add(parser: ArgumentParser, *names: str) -> None:
    types: dict[str, Callable[[str], object]] = {"--port": int, "--workers": int, "--data-dir": Path}
    for name in names:
        argument = parser.add_argument(name, type=types.get(name, str), help=_OPTIONS[name])
        if name == "--data-dir":
            offer(argument, files)


def _settings(options: Namespace) -> Settings:
    for name in unknown_variables(os.environ):
        output.print_note(f"pnil: unknown setting {name}; docs/configuration.md lists them all")
    overrides = {name: value for name, value in vars(options).items() if name in Settings.__struct_fields__}
    return read_settings(os.environ, **overrides)


def _with_database(settings: Settings) -> Settings:
    if settings.database_url is None:
        raise CommandFailed("which database? give --database-url or PROJECTNIL_DATABASE_URL")
    return settings
