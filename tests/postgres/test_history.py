"""Pages of past executions: every filter says exactly what it should, and none reads the whole table for it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest

from projectnil.domain.errors import ExecutionNotFound, ExecutionRunning
from projectnil.domain.executions import ExecutionFilter, ExecutionStatus
from projectnil.domain.ids import ExecutionId, ExecutionIds, FunctionId, first_id_at, new_node_id
from projectnil.flows import history as flow
from projectnil.postgres import nodes, partitions
from projectnil.postgres.connections import PLANNED_IN_ORDER, Pool, opened_pool
from projectnil.postgres.history import PageQuery, list_page
from tests.support.postgres import make_ready

NOW = datetime.now(UTC).replace(microsecond=0)
LAST_ID = ExecutionId("ffffffff-ffff-ffff-ffff-ffffffffffff")
COMPLETED, FAILED = ExecutionStatus.COMPLETED, ExecutionStatus.FAILED
RUNNING, PENDING = ExecutionStatus.RUNNING, ExecutionStatus.PENDING

_STORE = """
INSERT INTO executions (id, function_id, revision, status, error_message, created_at, started_at, completed_at)
VALUES ($1, $2, 3, $3, $4, $5, $6, $7)
"""


async def store(
    pool: Pool, function_id: FunctionId, status: ExecutionStatus, age_s: float, error: str | None = None
) -> ExecutionId:
    """A row as the platform leaves it, `age_s` old."""
    created_at = NOW - timedelta(seconds=age_s)
    started_at = None if status is PENDING else created_at
    completed_at = created_at + timedelta(microseconds=1_234_567) if status in (COMPLETED, FAILED) else None
    if status is FAILED:
        error = error or "abort: no luck in function.ts(1:2)"
    execution_id = ExecutionId(first_id_at(created_at))
    async with pool.acquire() as conn:
        await partitions.ensure(conn, created_at, created_at)
        await conn.execute(_STORE, execution_id, function_id, status.value, error, created_at, started_at, completed_at)
    return execution_id


async def ids(pool: Pool, *, before: ExecutionId | None = None, most: int = 10, **wanted: Any) -> list[ExecutionId]:
    async with pool.acquire() as conn:
        found = await list_page(conn, ExecutionFilter(**wanted), before=before, most=most)
    return [execution.id for execution in found.executions]


async def live_node(pool: Pool, oldest: ExecutionId) -> None:
    async with pool.acquire() as conn:
        await nodes.renew_api(conn, new_node_id(), 60, oldest)


async def test_pages_go_back_in_time_of_all_or_of_one_function(pool: Pool) -> None:
    one, other = await make_ready(pool), await make_ready(pool)
    ages = [(one, 1), (other, 2), (one, 3), (one, 40), (other, 50)]
    stored = [await store(pool, function_id, COMPLETED, days * 86_400) for function_id, days in ages]
    assert await ids(pool) == stored
    assert await ids(pool, before=stored[0], most=2) == stored[1:3]
    assert await ids(pool, function_id=one) == [stored[0], stored[2], stored[3]]
    assert await ids(pool, function_id=one, before=stored[2]) == [stored[3]]
    assert await ids(pool, function_id=FunctionId(ExecutionIds().new())) == []


async def test_an_item_names_its_function_its_revision_and_its_duration(pool: Pool) -> None:
    function_id = await make_ready(pool)
    await store(pool, function_id, COMPLETED, 10)
    await pool.execute("UPDATE functions SET name = 'renamed'")
    async with pool.acquire() as conn:
        (item,) = (await list_page(conn, ExecutionFilter(), before=None, most=5)).executions
    assert (item.function_name, item.revision, item.duration_ms) == ("renamed", 3, 1234.567)


async def test_every_status_is_found_and_no_other(pool: Pool) -> None:
    function_id, other = await make_ready(pool), await make_ready(pool)
    stored = {
        status: [await store(pool, each, status, age) for age, each in ((number, function_id), (number + 10, other))]
        for number, status in enumerate(ExecutionStatus)
    }
    await live_node(pool, stored[RUNNING][1])
    for status in ExecutionStatus:
        assert await ids(pool, status=status) == stored[status], status
        assert await ids(pool, status=status, function_id=other) == stored[status][1:], status


async def test_running_ones_are_looked_for_among_those_that_may_still_run(pool: Pool) -> None:
    function_id = await make_ready(pool)
    old, new = [await store(pool, function_id, RUNNING, age) for age in (7200, 10)]
    assert await ids(pool, status=RUNNING) == []
    await live_node(pool, new)
    assert await ids(pool, status=RUNNING) == [new]
    await live_node(pool, old)
    assert await ids(pool, status=RUNNING) == [new, old]


async def test_since_and_until_go_by_the_creation_time_to_the_microsecond(pool: Pool) -> None:
    function_id = await make_ready(pool)
    newest, middle, oldest = [await store(pool, function_id, COMPLETED, age) for age in (100, 200, 300)]
    # The id was made earlier than the row, by a clock that is behind.
    await pool.execute("UPDATE executions SET created_at = created_at + interval '1.5 s' WHERE id = $1", middle)
    moment = NOW - timedelta(seconds=198.5)
    tick = timedelta(microseconds=1)
    assert await ids(pool, since=moment) == [newest, middle]
    assert await ids(pool, since=moment + tick) == [newest]
    assert await ids(pool, until=moment) == [oldest]
    assert await ids(pool, until=moment + tick) == [middle, oldest]
    assert await ids(pool, since=moment, until=moment + tick) == [middle]
    assert await ids(pool, since=moment, until=moment + tick, function_id=function_id) == [middle]
    assert await ids(pool, since=moment, before=newest, function_id=function_id) == [middle]


@pytest.mark.parametrize("moment", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
async def test_any_moment_can_be_asked_for(pool: Pool, moment: datetime) -> None:
    execution_id = await store(pool, await make_ready(pool), COMPLETED, 10)
    past = moment < NOW
    assert await ids(pool, since=moment) == ([execution_id] if past else [])
    assert await ids(pool, until=moment) == ([] if past else [execution_id])


async def test_an_error_message_is_looked_for_among_failures_only(pool: Pool) -> None:
    function_id = await make_ready(pool)
    for number in range(10):
        await store(pool, function_id, FAILED, number)
    async with pool.acquire() as conn:
        wanted = ExecutionFilter(error="luck", status=COMPLETED)
        found = await list_page(conn, wanted, before=None, most=5, look_at=4, step=2)
    assert (found.executions, found.looked_to) == ([], None)


async def test_an_error_is_found_by_any_part_of_it_taken_literally(pool: Pool) -> None:
    function_id = await make_ready(pool)
    messages = ["abort: 50% of _x_", "trap: unreachable", "abort: 50 of axa"]
    stored = [await store(pool, function_id, FAILED, number, message) for number, message in enumerate(messages)]
    await store(pool, function_id, COMPLETED, 10)
    assert await ids(pool, error="abort: 50") == [stored[0], stored[2]]
    assert await ids(pool, error="50%") == [stored[0]]
    assert await ids(pool, error="_x_", function_id=function_id) == [stored[0]]
    assert await ids(pool, error="ABORT") == []
    assert await ids(pool, error="unreach", status=FAILED) == [stored[1]]
    assert await ids(pool, error="unreach", status=COMPLETED) == []


@pytest.mark.parametrize("of_function", [True, False])
async def test_a_search_goes_on_where_it_gave_up_and_finds_everything_once(pool: Pool, of_function: bool) -> None:
    function_id = await make_ready(pool)
    wanted = []
    for number in range(40):
        needle = number in (3, 19, 20, 38)
        row = await store(pool, function_id, FAILED, number, "a needle" if needle else "hay")
        wanted += [row] if needle else []
    found: list[ExecutionId] = []
    looked_to: str | None = None
    pages = 0
    search = ExecutionFilter(error="needle", function_id=function_id if of_function else None)
    async with pool.acquire() as conn:
        while looked_to is not None or not pages:
            page = await list_page(conn, search, before=looked_to, most=10, look_at=8, step=4)
            found += [execution.id for execution in page.executions]
            looked_to, pages = page.looked_to, pages + 1
    assert found == wanted
    assert pages == 6  # 8 rows each, and one to see that there are no more


async def test_a_full_page_ends_a_search(pool: Pool) -> None:
    function_id = await make_ready(pool)
    stored = [await store(pool, function_id, FAILED, number) for number in range(10)]
    async with pool.acquire() as conn:
        page = await list_page(conn, ExecutionFilter(status=FAILED), before=None, most=3, look_at=4, step=2)
    assert [execution.id for execution in page.executions] == stored[:3]


# A page of each kind reads few rows of a large table. The worst for a filter is what few rows satisfy, long ago.

_MANY = 20_000
_FILL = """
INSERT INTO executions (id, function_id, status, error_message, created_at, started_at, completed_at)
SELECT uuidv7(-age), $1, $2, $3, now() - age, now() - age, now() - age
FROM (SELECT interval '8 days' * (nth::float8 / $4::integer) + $5::interval AS age
      FROM generate_series(1, $4::integer) AS nth) AS ages
"""


async def fill(pool: Pool, function_id: FunctionId, status: ExecutionStatus, count: int, age: timedelta) -> None:
    error = "abort: always" if status is FAILED else None
    async with pool.acquire() as conn:
        await partitions.ensure(conn, NOW - timedelta(days=40), NOW)
        await conn.execute(_FILL, function_id, status.value, error, count, age)


class Read(NamedTuple):
    """What a page looks at. rows: of the table. blocks: of the table and its indexes."""

    rows: int
    blocks: int


async def read(url: str, step: int = 2000, **wanted: Any) -> Read:
    """Look at a page that is planned as the api plans it: once, for any arguments, which EXECUTE alone shows."""
    query = PageQuery(ExecutionFilter(**wanted), LAST_ID)
    types = ", ".join(_type_of(value) for value in query.arguments)
    arguments = ", ".join(_literal(value) for value in query.arguments)
    async with opened_pool(url, 1, PLANNED_IN_ORDER) as planning, planning.acquire() as conn:
        await conn.execute(f"PREPARE page ({types}) AS {query.sql(51, step)}")
        explained = await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE page ({arguments})")
        await conn.execute("DEALLOCATE page")
    plan = json.loads(explained)[0]["Plan"]
    rows = sum(int(node["Actual Rows"] * node["Actual Loops"]) + _removed(node) for node in _scans(plan))
    return Read(rows, plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _literal(argument: object) -> str:
    return f"'\\x{argument.hex()}'" if isinstance(argument, bytes) else f"'{argument}'"


def _type_of(argument: object) -> str:
    match argument:
        case datetime():
            return "timestamptz"
        case bytes():
            return "bytea"
        case str() if len(argument) == 36:
            return "uuid"
        case _:
            return "text"


def _scans(node: dict[str, Any]) -> list[dict[str, Any]]:
    own = [node] if node.get("Relation Name", "").startswith("executions") else []
    return own + [scan for below in node.get("Plans", []) for scan in _scans(below)]


def _removed(node: dict[str, Any]) -> int:
    return int(sum(count for name, count in node.items() if name.startswith("Rows Removed")))


async def test_no_filter_reads_more_than_its_page(pool: Pool, database_url: str) -> None:
    quiet, busy, failing = [await make_ready(pool) for _ in range(3)]
    await fill(pool, quiet, COMPLETED, 10, timedelta(days=20))
    await fill(pool, quiet, FAILED, 10, timedelta(days=20))
    await fill(pool, busy, COMPLETED, _MANY, timedelta(0))
    await fill(pool, failing, FAILED, _MANY, timedelta(0))
    await fill(pool, busy, FAILED, 3000, timedelta(0))
    await pool.execute("VACUUM ANALYZE executions")
    await live_node(pool, ExecutionIds().new())
    filters: list[dict[str, Any]] = [
        {},
        *({"function_id": function_id} for function_id in (quiet, busy, failing)),
        *({"status": status} for status in (FAILED, RUNNING, PENDING)),
        *({"status": FAILED, "function_id": function_id} for function_id in (quiet, busy, failing)),
        {"status": RUNNING, "function_id": busy},
        {"until": NOW - timedelta(days=10)},
        {"since": NOW - timedelta(days=21), "until": NOW - timedelta(days=18)},
        {"until": NOW - timedelta(days=10), "function_id": quiet},
        {"status": FAILED, "until": NOW - timedelta(days=10), "function_id": quiet},
        {"since": NOW - timedelta(days=4)},
        {"since": NOW - timedelta(days=4), "function_id": busy},
        {"since": NOW - timedelta(days=4), "until": NOW - timedelta(days=3), "function_id": busy},
        {"since": NOW - timedelta(days=4), "until": NOW - timedelta(days=3), "function_id": quiet},
        {"status": FAILED, "since": NOW - timedelta(days=4), "function_id": busy},
        {"status": COMPLETED, "function_id": busy},
        {"status": COMPLETED, "since": NOW - timedelta(days=4), "function_id": busy},
        {"error": "always"},
        {"error": "always", "function_id": busy},
    ]
    for wanted in filters:
        looked_at = await read(database_url, **wanted)
        assert looked_at.rows <= 200, wanted
        assert looked_at.blocks <= 600, wanted


async def test_a_search_without_hits_reads_no_more_than_its_bound(pool: Pool, database_url: str) -> None:
    failing = await make_ready(pool)
    await fill(pool, failing, FAILED, _MANY, timedelta(0))
    await pool.execute("VACUUM ANALYZE executions")
    never: tuple[dict[str, Any], ...] = ({"error": "never"}, {"status": COMPLETED}, {"status": COMPLETED, "since": NOW})
    for wanted in never:
        assert (await read(database_url, **wanted)).rows <= 2000, wanted
    by_short_id = await read(database_url, step=10_000, short_id="00000000")
    assert by_short_id.rows <= 10_001
    assert by_short_id.blocks <= 300, "the index of the ids is enough"


# Deleting


async def test_an_execution_that_has_ended_can_be_deleted_and_one_that_runs_cannot(pool: Pool) -> None:
    function_id = await make_ready(pool)
    for number, status in enumerate((COMPLETED, FAILED, PENDING)):
        execution_id = await store(pool, function_id, status, number)
        await flow.delete_execution(pool, execution_id)
        with pytest.raises(ExecutionNotFound):
            await flow.delete_execution(pool, execution_id)
    running = await store(pool, function_id, RUNNING, 10)
    with pytest.raises(ExecutionRunning, match=running):
        await flow.delete_execution(pool, running)
    assert msgspec.to_builtins((await flow.get_execution(pool, running)).status) == "RUNNING"


async def test_a_short_id_is_looked_for_among_so_many_rows_and_then_among_the_next(pool: Pool) -> None:
    function_id = await make_ready(pool)
    rows = [await store(pool, function_id, COMPLETED, number) for number in range(7)]
    # Ids that are made for a moment end alike.
    ending = "0badc0de"
    await pool.execute("UPDATE executions SET id = (left(id::text, 28) || $2)::uuid WHERE id = $1", rows[5], ending)
    search = ExecutionFilter(short_id=ending)
    async with pool.acquire() as conn:
        first = await list_page(conn, search, before=None, most=5, look_at=3, step=3)
        assert (first.executions, first.looked_to) == ([], rows[2])
        second = await list_page(conn, search, before=rows[2], most=5, look_at=3, step=3)
        assert [execution.id for execution in second.executions] == [rows[5][:28] + ending]
