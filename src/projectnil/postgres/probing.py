"""Can the server store anything?"""

from projectnil.postgres.connections import Connection

_CREATE = "CREATE TEMPORARY TABLE write_probe (filler bytea STORAGE EXTERNAL) ON COMMIT DROP"
# More than a few pages, which the server might find room for in files that it has already.
_FILL = "INSERT INTO write_probe VALUES (decode(repeat('00', 256 * 1024), 'hex'))"


async def write(conn: Connection) -> None:
    """Store something that needs room on the disk, commit, and leave nothing behind. Raises what the server says."""
    async with conn.transaction():
        await conn.execute(_CREATE)
        await conn.execute(_FILL)
