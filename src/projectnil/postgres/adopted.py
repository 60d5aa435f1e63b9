"""Executions of the system that was here before: their ids have no time in them, so they are listed by their places.

See docs/decisions/031-adoption.md. A database that was never adopted has none.
"""

from collections.abc import Mapping

import asyncpg
import msgspec

from projectnil.domain.executions import ExecutionFilter
from projectnil.postgres.connections import Connection

SUMMARY_COLUMNS = (
    "id::text, function_id::text, (SELECT name FROM functions WHERE functions.id = function_id) AS function_name, "
    "revision, status, error_message, created_at, started_at, completed_at"
)
# They cost more than others to look at.
_LOOK_AT = 20_000
_PLACE = "id_place(id, created_at)"
_ANY = "SELECT to_regclass('executions_adopted') IS NOT NULL"
_PAGE = """
SELECT {columns}, place::text, matches, nth
FROM (
    SELECT *, {matching} AS matches
    FROM (
        SELECT *, {place} AS place, row_number() OVER (ORDER BY {place} DESC) AS nth
        FROM executions
        WHERE uuid_extract_version(id) IS DISTINCT FROM 7 AND {within}
        ORDER BY {place} DESC LIMIT {look_at}
    ) AS executions
) AS executions
WHERE matches OR nth = {look_at}
ORDER BY executions.place DESC LIMIT {most}
"""


class Rows(msgspec.Struct, frozen=True):
    """rows: the newest first. looked_to: the place where the search gave up for now, None when it is through."""

    rows: list[asyncpg.Record]
    looked_to: str | None


async def list_page(conn: Connection, wanted: ExecutionFilter, *, before: str | None, most: int, look_at: int) -> Rows:
    """Up to `most` executions older than the place `before`, of the `look_at` that are next in line, or of 20,000."""
    if not await conn.fetchval(_ANY):  # of its own: in a statement with the rest it would be planned as if there were
        return Rows([], None)
    within = {f"{_PLACE} < {{}}": before, "function_id = {}": wanted.function_id}
    matching = {
        "status = {}::execution_status": wanted.status,
        "created_at >= {}": wanted.since,
        "created_at < {}": wanted.until,
        "strpos(error_message, {}) > 0": wanted.error,
        "right(id::text, 8) = {}": wanted.short_id,
    }
    look_at = min(look_at, _LOOK_AT)
    arguments: list[object] = []
    sql = _PAGE.format(
        columns=SUMMARY_COLUMNS,
        place=_PLACE,
        within=_conditions(within, arguments),
        matching=f"coalesce({_conditions(matching, arguments)}, false)",
        look_at=look_at,
        most=most,
    )
    rows = await conn.fetch(sql, *arguments)
    looked_to = rows[-1]["place"] if rows and rows[-1]["nth"] == look_at and len(rows) < most else None
    return Rows([row for row in rows if row["matches"]], looked_to)


def _conditions(asked: Mapping[str, object], arguments: list[object]) -> str:
    """Those with a value, which is added to the arguments."""
    conditions = []
    for condition, value in asked.items():
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(f"${len(arguments)}"))
    return " AND ".join(conditions) or "true"
