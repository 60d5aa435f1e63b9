"""Work on the database that is done once: migrate, prune."""

import contextlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta

from projectnil.bootstrap.data_dir import is_in_use, locked
from projectnil.bootstrap.migration import migrate_database
from projectnil.config import Settings
from projectnil.domain.errors import InvalidInput, PlatformUnavailable
from projectnil.flows import retention
from projectnil.postgres.connections import opened_pool
from projectnil.postgres.embedded import EmbeddedPostgres
from projectnil.postgres.errors import ANY_ERROR, LOCK_TAKEN

_AGE = re.compile(r"(?P<number>[1-9][0-9]{0,4})(?P<unit>[dw])")


async def migrate_once(settings: Settings) -> list[str]:
    """Bring the schema up to date; returns the ids of the changesets applied. Raises PlatformUnavailable."""
    async with _database(settings) as database_url:
        return await migrate_database(database_url, settings.database_wait_s)


async def prune_once(settings: Settings, older_than: timedelta) -> list[str]:
    """Drop old partitions; returns their names. Raises PlatformUnavailable."""
    async with _database(settings) as database_url, opened_pool(database_url, 1) as pool:
        return await retention.prune(pool, older_than)


def parse_age(text: str) -> timedelta:
    """`30d` or `8w`. Raises InvalidInput."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise InvalidInput(f"must be a number of days or weeks, such as 30d or 8w; it is {text!r}", "--older-than")
    number = int(match["number"])
    return timedelta(weeks=number) if match["unit"] == "w" else timedelta(days=number)


@contextlib.asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[str]:
    """As `_server`. What the database refuses becomes PlatformUnavailable."""
    try:
        async with _server(settings) as database_url:
            yield database_url
    except LOCK_TAKEN as error:
        raise PlatformUnavailable(
            "the table executions is in use by another transaction, such as a dump of the database; try again after it"
        ) from error
    except ANY_ERROR as error:
        raise PlatformUnavailable(
            f"the database refused: {error}; may this user do it, and is the schema up to date ('pnil migrate')?"
        ) from error


@contextlib.asynccontextmanager
async def _server(settings: Settings) -> AsyncIterator[str]:
    """The given database; or the embedded one, which a running `pnil serve` has started, or which is started now."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    if is_in_use(settings.data_dir):
        yield embedded.url
        return
    with locked(settings.data_dir):
        try:
            await embedded.start()
            yield embedded.url
        finally:
            await embedded.stop()
