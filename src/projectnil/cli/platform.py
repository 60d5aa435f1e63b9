"""The commands that run the platform, whole or in parts."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from projectnil.cli import output
from projectnil.cli.client import CommandFailed
from projectnil.config import Settings, read_settings, unknown_variables

Host = Annotated[str | None, typer.Option(help=r"the address to listen on  \[default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(help=r"the port to listen on, 0 for a free one  \[default: 8080]")]
DataDir = Annotated[Path | None, typer.Option(help=r"where the data is  \[default: .projectnil]")]
DatabaseUrl = Annotated[str | None, typer.Option(help="postgresql://...; without it the embedded Postgres is used")]
NeededDatabaseUrl = Annotated[str | None, typer.Option(help="postgresql://...; or PROJECTNIL_DATABASE_URL")]


def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    workers: Annotated[int | None, typer.Option(help=r"api processes  \[default: 1]")] = None,
) -> None:
    """Run the whole platform; prints one line on standard output when it is ready."""
    from projectnil.bootstrap.logs import configure_logs  # noqa: PLC0415 # keeps the client commands quick
    from projectnil.bootstrap.parts import run_to_exit_code  # noqa: PLC0415
    from projectnil.bootstrap.serve import serve as serve_platform  # noqa: PLC0415
    from projectnil.processes import SHORT_SLICES_NS, hide_from_siblings, take_slices  # noqa: PLC0415

    settings = _settings(host=host, port=port, data_dir=data_dir, database_url=database_url, workers=workers)
    configure_logs(settings, "serve")
    hide_from_siblings()
    take_slices(SHORT_SLICES_NS)  # also for the embedded Postgres, which is its child
    work = serve_platform(settings, _say_ready)
    raise typer.Exit(run_to_exit_code(work, "serve"))


def api(host: Host = None, port: Port = None, data_dir: DataDir = None, database_url: NeededDatabaseUrl = None) -> None:
    """Run one api process against a database that was migrated."""
    from projectnil.bootstrap.parts import run_part  # noqa: PLC0415
    from projectnil.bootstrap.sockets import listen, url_of  # noqa: PLC0415

    settings = _with_database(_settings(host=host, port=port, data_dir=data_dir, database_url=database_url))
    listener = listen(settings.host, settings.port)
    url = url_of(listener)
    raise typer.Exit(run_part("api", settings, listener, lambda: _say_ready(url)))


def compiler(data_dir: DataDir = None, database_url: NeededDatabaseUrl = None) -> None:
    """Run one compiler process against a database that was migrated."""
    from projectnil.bootstrap.parts import run_part  # noqa: PLC0415

    settings = _with_database(_settings(data_dir=data_dir, database_url=database_url))
    raise typer.Exit(run_part("compiler", settings, None, lambda: print("the compiler is ready", flush=True)))


def migrate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the database's schema up to date. Safe to run at any time, and from many places at once."""
    from projectnil.bootstrap.logs import configure_logs  # noqa: PLC0415
    from projectnil.bootstrap.tasks import migrate_once  # noqa: PLC0415

    settings = _settings(data_dir=data_dir, database_url=database_url)
    configure_logs(settings, "migrate")
    applied = asyncio.run(migrate_once(settings))
    for changeset in applied:
        print(f"applied {changeset}")
    if not applied:
        print("the database is up to date")


def prune(
    older_than: Annotated[str, typer.Option(help="an age in days or weeks, such as 30d or 8w")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Drop the weekly partitions of executions that hold nothing younger than the given age."""
    from projectnil.bootstrap.logs import configure_logs  # noqa: PLC0415
    from projectnil.bootstrap.tasks import parse_age, prune_once  # noqa: PLC0415

    settings = _settings(data_dir=data_dir, database_url=database_url)
    configure_logs(settings, "prune")
    dropped = asyncio.run(prune_once(settings, parse_age(older_than)))
    for partition in dropped:
        print(f"dropped {partition}")
    if not dropped:
        print(f"no partition is wholly older than {older_than}")


def _say_ready(url: str) -> None:
    # The platform runs, whether or not anybody reads that it does.
    with contextlib.suppress(OSError):
        print(f"projectnil is ready at {url}", flush=True)


def _settings(**overrides: object) -> Settings:
    for name in unknown_variables(os.environ):
        output.err.print(f"pnil: {name} is no setting of projectnil; docs/configuration.md lists them", style="yellow")
    return read_settings(os.environ, **overrides)


def _with_database(settings: Settings) -> Settings:
    if settings.database_url is None:
        raise CommandFailed("which database? give --database-url or PROJECTNIL_DATABASE_URL")
    return settings
