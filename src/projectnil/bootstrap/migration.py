"""Bringing a database up to date."""

import structlog

from projectnil.postgres.connections import connect
from projectnil.postgres.migrations.runner import migrate

log = structlog.get_logger()


async def migrate_database(database_url: str) -> list[str]:
    """Apply what is missing; returns the ids of the changesets applied. Raises PlatformUnavailable."""
    conn = await connect(database_url)
    try:
        applied = await migrate(conn)
    finally:
        await conn.close()
    if applied:
        log.info("database.migrated", changesets=len(applied))
    return applied
