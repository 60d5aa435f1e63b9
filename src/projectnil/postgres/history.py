"""Pages of executions, newest first, by what their reader asks for.

A condition is met by an index, or by looking at rows one after the other. One request looks at a bounded number of
rows; the next goes on from there.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from projectnil.domain.executions import ExecutionFilter, ExecutionStatus, ExecutionSummary
from projectnil.domain.ids import ExecutionId, first_id_at, is_version_7
from projectnil.postgres import adopted
from projectnil.postgres.adopted import SUMMARY_COLUMNS
from projectnil.postgres.connections import Connection

_LOOK_AT = 100_000
# Statement by statement, each small enough to be planned as one that will end soon.
_STEP = 2_000
# Ids are read from an index, without their rows.
_LOOK_AT_IDS = 1_000_000
_STEP_OF_IDS = 50_000

# Limits stand in the text: a plan for an unknown limit is one for all rows.
_PAGE = """
SELECT {columns}, true AS matches, NULL AS nth
FROM (SELECT * FROM executions WHERE {within} ORDER BY {order} LIMIT {most}) AS executions
ORDER BY executions.id DESC
"""
# The last row that is looked at comes along even if it is not wanted: the next statement goes on from there, so that a
# row that comes or goes meanwhile is neither shown twice nor left out.
_SEARCH = """
SELECT {columns}, matches, nth
FROM (
    SELECT *, {matching} AS matches
    FROM (
        SELECT *, row_number() OVER (ORDER BY {order}) AS nth
        FROM executions WHERE {within} ORDER BY {order} LIMIT {step}
    ) AS executions
) AS executions
WHERE matches OR nth = {step}
ORDER BY {order} LIMIT {most}
"""
# No index has the last digits of an id, since every execution would pay for it. Rows are read once their ids match.
_SEARCH_BY_SHORT_ID = """
SELECT {columns}, is_near AND {matching} AS matches, nth
FROM (
    SELECT executions.id AS near, {short_id} AS is_near, row_number() OVER (ORDER BY {order}) AS nth
    FROM executions WHERE {within} ORDER BY {order} LIMIT {step}
) AS ids, LATERAL (SELECT * FROM executions WHERE executions.id = near OFFSET 0) AS executions
WHERE is_near OR nth = {step}
ORDER BY near DESC LIMIT {most}
"""
_ORDER = "executions.id DESC"  # ids sort by time
# For one function, as a range of one: only the index of both columns has this order. After `function_id = ...` the ids
# alone would do, and a page of a function that has not run for long might read all that the others ran since.
_ORDER_OF_FUNCTION = "executions.function_id DESC, executions.id DESC"
# Adopted executions have random ids. Few are between these two, and all others are listed by `adopted`.
_CLOCKS_AHEAD = timedelta(days=365)
_BEFORE_THE_FIRST = first_id_at(datetime(2020, 1, 1, tzinfo=UTC))
# What lives, or died a moment ago, says how old its oldest execution is.
_RUNNING = "id >= (SELECT oldest_execution_id FROM nodes ORDER BY oldest_execution_id LIMIT 1)"
# The predicates of the indexes in 008-history.sql.
_PENDING = "started_at IS NULL"
_FAILED = "error_message >= ''"
_FAILED_OF_FUNCTION = "error_message IS NOT NULL"
# An id has the time of its api process, made before the row, and `created_at` that of the database.
_WRITTEN_WITHIN = timedelta(seconds=60)
_CLOCKS_DIFFER = timedelta(seconds=10)
# Between them an id can name any moment, and the margins too.
_EARLIEST, _LATEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class Found(msgspec.Struct, frozen=True):
    """executions: the newest first. looked_to: the place where the search gave up for now, None when it is through."""

    executions: list[ExecutionSummary]
    looked_to: str | None


async def list_page(
    conn: Connection,
    wanted: ExecutionFilter,
    *,
    before: str | None,
    most: int,
    look_at: int | None = None,
    step: int | None = None,
) -> Found:
    """Up to `most` executions older than the place `before`; fewer when `look_at` rows have no more of them.

    step: how many rows one statement looks at.
    """
    look_at = look_at or (_LOOK_AT if wanted.short_id is None else _LOOK_AT_IDS)
    step = step or (_STEP if wanted.short_id is None else _STEP_OF_IDS)
    if wanted.error is not None and wanted.status not in (None, ExecutionStatus.FAILED):
        return Found([], None)
    found: list[ExecutionSummary] = []
    looked_to = before
    if before is None or is_version_7(before):
        newest = first_id_at(datetime.now(UTC) + _CLOCKS_AHEAD)
        looked_to = min(before or newest, newest)
        for _ in range(0, look_at, step):
            query = PageQuery(wanted, ExecutionId(looked_to or newest))
            rows = await conn.fetch(query.sql(most, step), *query.arguments)
            found += [_summary(row) for row in rows if row["matches"] and is_version_7(row["id"])]
            looked_to = _goes_on_at(rows, most, step)
            if looked_to is None or len(found) >= most:
                break
        if looked_to is not None or len(found) >= most:
            return Found(found[:most], looked_to)
    older = await adopted.list_page(conn, wanted, before=looked_to, most=most - len(found), look_at=look_at)
    return Found([*found, *map(_summary, older.rows)], older.looked_to)


def _goes_on_at(rows: Sequence[asyncpg.Record], most: int, step: int) -> str | None:
    """Where the next statement begins; None when there is nothing more, or only what has no time in its id."""
    if not rows or (rows[-1]["nth"] != step and len(rows) < most) or rows[-1]["id"] < _BEFORE_THE_FIRST:
        return None
    last: str = rows[-1]["id"]
    return last


class PageQuery:
    """A statement for a page. arguments: those of its text."""

    def __init__(self, wanted: ExecutionFilter, before: ExecutionId) -> None:
        self.arguments: list[object] = []
        self._before = self._argument(before)
        self._matching: list[str] = []
        # There are few that are RUNNING or PENDING, whatever their function.
        few = wanted.status in (ExecutionStatus.RUNNING, ExecutionStatus.PENDING)
        function_id = None if few else wanted.function_id
        self._of_function = None if function_id is None else self._argument(function_id)
        if few and wanted.function_id is not None:
            self._matching.append(f"function_id = {self._argument(wanted.function_id)}")
        self._within = self._bounds(wanted.since, wanted.until)
        self._add_status(wanted.status)
        self._add_times(wanted.since, wanted.until)
        self._add_error(wanted.error)
        self._short_id = None
        if wanted.short_id is not None:
            # As bytes, since making text of a million ids takes a second.
            self._short_id = f"substring(uuid_send(id) FROM 13) = {self._argument(bytes.fromhex(wanted.short_id))}"

    def sql(self, most: int, step: int) -> str:
        parts = {
            "columns": SUMMARY_COLUMNS,
            "within": " AND ".join(self._within),
            "matching": " AND ".join(self._matching) or "true",
            "short_id": self._short_id,
            "order": _ORDER if self._of_function is None else _ORDER_OF_FUNCTION,
            "most": most,
            "step": step,
        }
        if self._short_id is not None:
            return _SEARCH_BY_SHORT_ID.format(**parts)
        return (_SEARCH if self._matching else _PAGE).format(**parts)

    def _bounds(self, since: datetime | None, until: datetime | None) -> list[str]:
        """What ids the page lies between."""
        if until is not None:
            last = self._argument(first_id_at(_bounded(until) + _CLOCKS_DIFFER))
            self._before = f"least({self._before}::uuid, {last}::uuid)"
        conditions = [f"id < {self._before}"]
        if self._of_function is not None:
            conditions.append(f"function_id >= {self._of_function} AND function_id <= {self._of_function}")
        if since is not None:
            first = self._argument(first_id_at(_bounded(since) - _WRITTEN_WITHIN))
            # For the planner, an array is no second bound of a range, of which it would expect next to nothing.
            conditions.append(f"id >= ANY (ARRAY[{first}::uuid])")
        return conditions

    def _add_status(self, status: ExecutionStatus | None) -> None:
        if status is None:
            return
        self._matching.append(f"status = '{status.value}'")
        match status:
            case ExecutionStatus.FAILED:
                self._add_failed()
            case ExecutionStatus.RUNNING:
                self._within.append(_RUNNING)
            case ExecutionStatus.PENDING:
                self._within.append(_PENDING)

    def _add_times(self, since: datetime | None, until: datetime | None) -> None:
        if since is not None:
            self._matching.append(f"created_at >= {self._argument(since)}")
        if until is not None:
            self._matching.append(f"created_at < {self._argument(until)}")

    def _add_error(self, error: str | None) -> None:
        if error is not None:
            self._matching.append(f"strpos(error_message, {self._argument(error)}) > 0")
            self._add_failed()

    def _add_failed(self) -> None:
        self._within.append(_FAILED if self._of_function is None else _FAILED_OF_FUNCTION)

    def _argument(self, value: object) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}"


def _summary(row: asyncpg.Record) -> ExecutionSummary:
    return msgspec.convert(dict(row), ExecutionSummary)


def _bounded(moment: datetime) -> datetime:
    return min(max(moment, _EARLIEST), _LATEST)
