"""The weekly partitions of `executions`, and the one of adopted rows, where there are any."""

from datetime import datetime, timedelta

from projectnil.postgres.connections import WAIT_LITTLE, Connection

_ADOPTED = "SELECT to_regclass('executions_adopted') IS NOT NULL"
_ENSURE = "SELECT {}($1, $2)"
_ENSURE_AHEAD = "SELECT {}(now(), now() + $1::interval)"
_DROP_ADOPTED = "SELECT drop_adopted_executions(now() - $1::interval)"
_DROP = "SELECT drop_execution_partitions(now() - $1::interval)"


async def ensure(conn: Connection, earliest: datetime, latest: datetime) -> int:
    """Make the partitions for ids from `earliest` to `latest` that do not exist; returns how many were made."""
    made: int = await conn.fetchval(_ENSURE.format(await _function_that_ensures(conn)), earliest, latest)
    return made


async def ensure_ahead(conn: Connection, ahead: timedelta) -> int:
    """As `ensure`, from now on, by the database's clock. Raises LOCK_TAKEN when others use the table for too long."""
    await conn.execute(WAIT_LITTLE)
    made: int = await conn.fetchval(_ENSURE_AHEAD.format(await _function_that_ensures(conn)), ahead)
    return made


async def _function_that_ensures(conn: Connection) -> str:
    adopted = await conn.fetchval(_ADOPTED)
    return "ensure_partitions_beside_adopted" if adopted else "ensure_execution_partitions"


async def drop_older_than(conn: Connection, age: timedelta) -> list[str]:
    """Drop the partitions that hold nothing younger than `age`; returns their names. Raises LOCK_TAKEN as well."""
    await conn.execute(WAIT_LITTLE)
    dropped = [row[0] for row in await conn.fetch(_DROP, age)]
    if await conn.fetchval(_ADOPTED):
        dropped += [row[0] for row in await conn.fetch(_DROP_ADOPTED, age)]
    return dropped
