"""The weekly partitions of `executions`."""

from datetime import datetime, timedelta

from projectnil.postgres.connections import Connection

_ENSURE = "SELECT ensure_execution_partitions($1, $2)"
_ENSURE_AHEAD = "SELECT ensure_execution_partitions(now(), now() + $1::interval)"
_DROP = "SELECT drop_execution_partitions(now() - $1::interval)"


async def ensure(conn: Connection, earliest: datetime, latest: datetime) -> int:
    """Make the partitions for ids from `earliest` to `latest` that do not exist; returns how many were made."""
    made: int = await conn.fetchval(_ENSURE, earliest, latest)
    return made


async def ensure_ahead(conn: Connection, ahead: timedelta) -> int:
    """As `ensure`, from now on, by the database's clock."""
    made: int = await conn.fetchval(_ENSURE_AHEAD, ahead)
    return made


async def drop_older_than(conn: Connection, age: timedelta) -> list[str]:
    """Drop the partitions that hold nothing younger than `age`; returns their names."""
    return [row[0] for row in await conn.fetch(_DROP, age)]
