"""Executions are recorded by many rows a statement, in weekly partitions, and recovered by leases."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from projectnil.domain.errors import INTERRUPTED
from projectnil.domain.executions import ExecutionStatus
from projectnil.domain.ids import (
    ExecutionId,
    ExecutionIds,
    FunctionId,
    NodeId,
    first_id_at,
    new_node_id,
)
from projectnil.flows import recovery, retention
from projectnil.postgres import executions, functions, nodes, partitions
from projectnil.postgres.coalescer import Coalescer
from projectnil.postgres.connections import Connection, Pool, transaction
from projectnil.postgres.executions import FinishedExecution, NewExecution, WithdrawnExecution, Write
from tests.support.postgres import make_ready, until_waiting


async def own_flushes(conn: Connection) -> int:
    """How often the process behind this connection has flushed the write-ahead log."""
    await conn.execute("SELECT pg_stat_force_next_flush()")
    count: int = await conn.fetchval(
        "SELECT coalesce(sum(fsyncs), 0)::integer FROM pg_stat_get_backend_io(pg_backend_pid()) WHERE object = 'wal'"
    )
    return count


async def make_node(pool: Pool, lease_s: float = 60.0) -> NodeId:
    node_id = new_node_id()
    async with pool.acquire() as conn:
        await nodes.renew_api(conn, node_id, lease_s, first_id_at(datetime.now(UTC) - timedelta(minutes=1)))
    return node_id


async def record(pool: Pool, node_id: NodeId, *rows: Write) -> list[datetime | None]:
    async with pool.acquire() as conn:
        return await executions.record(conn, node_id, rows)


start = record


def running(function_id: FunctionId, revision: int = 1) -> NewExecution:
    return NewExecution(ExecutionIds().new(), function_id, revision, "f", False, '{"a": 1}')


def completed(execution_id: ExecutionId, output: str = '{"b": 2}') -> FinishedExecution:
    return FinishedExecution(execution_id, output, None, None)


async def test_each_row_is_stored_only_if_its_function_still_is_what_the_caller_saw(pool: Pool) -> None:
    good, pending = await make_ready(pool), await make_ready(pool)
    await pool.execute("UPDATE functions SET status = 'PENDING', wasm_binary = NULL WHERE id = $1", pending)
    rows = [running(good), running(good, revision=2), running(pending), running(FunctionId(str(UUID(int=0))))]
    stored = await start(pool, await make_node(pool), *rows)
    assert [created_at is not None for created_at in stored] == [True, False, False, False]
    assert await pool.fetchval("SELECT array_agg(id::text) FROM executions") == [rows[0].id]


async def test_beginnings_and_outcomes_share_a_statement(pool: Pool) -> None:
    function_id, node_id = await make_ready(pool), await make_node(pool)
    earlier, gone, new, outdated = (
        running(function_id),
        running(function_id),
        running(function_id),
        running(function_id, revision=2),
    )
    await start(pool, node_id, earlier)
    async with pool.acquire() as conn:
        rows: list[NewExecution | FinishedExecution] = [new, completed(earlier.id), outdated, completed(gone.id)]
        moments = await executions.record(conn, node_id, rows)
    assert [moment is not None for moment in moments] == [True, True, False, False]
    stored = await pool.fetch("SELECT id::text, status FROM executions ORDER BY status")
    assert [tuple(row) for row in stored] == [(new.id, "RUNNING"), (earlier.id, "COMPLETED")]


async def test_only_a_commit_with_an_outcome_waits_for_the_disk(pool: Pool) -> None:
    function_id, node_id = await make_ready(pool), await make_node(pool)
    first, second = running(function_id), running(function_id)

    async with pool.acquire() as conn:

        async def flushes(*rows: NewExecution | FinishedExecution) -> int:
            before = await own_flushes(conn)
            await executions.record(conn, node_id, rows)
            return await own_flushes(conn) - before

        assert await flushes(first) == 0
        assert await flushes(completed(first.id), second) == 1
        assert await flushes(completed(second.id)) == 1


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("ends", [False, True])
async def test_executions_that_never_began_go_with_whatever_else_is_written(
    pool: Pool, begins: bool, ends: bool
) -> None:
    function_id, node_id = await make_ready(pool), await make_node(pool)
    withdrawn, done, ended, begun = [running(function_id) for _ in range(4)]
    await start(pool, node_id, withdrawn, done, ended)
    await record(pool, node_id, completed(done.id))
    others: list[Write] = [*[completed(ended.id)] * ends, *[begun] * begins]
    gone = [WithdrawnExecution(each.id) for each in (withdrawn, done)]
    moments = await record(pool, node_id, gone[0], *others, gone[1])
    # One that has an outcome stays.
    assert [moment is not None for moment in moments] == [True, *(True for _ in others), False]
    left = {row["id"]: row["status"] for row in await pool.fetch("SELECT id::text, status FROM executions")}
    expected = {done.id: "COMPLETED", ended.id: "COMPLETED" if ends else "RUNNING"}
    assert left == (expected | {begun.id: "RUNNING"} if begins else expected)
    assert await record(pool, node_id, gone[0]) == [None]


async def test_a_function_that_is_being_deleted_is_passed_over_and_not_waited_for(pool: Pool) -> None:
    going, staying, node_id = await make_ready(pool), await make_ready(pool), await make_node(pool)
    async with transaction(pool) as deleting:
        await functions.delete(deleting, going)
        rows = [running(going), running(staying)]
        stored = await asyncio.wait_for(start(pool, node_id, *rows), 30)
    assert [created_at is not None for created_at in stored] == [False, True]


async def test_a_write_that_is_stuck_behind_a_lock_holds_up_nobody_else(pool: Pool) -> None:
    function_id, node_id = await make_ready(pool), await make_node(pool)
    rows = [running(function_id) for _ in range(3)]
    await start(pool, node_id, *rows)

    async def record(conn: Connection, batch: Sequence[FinishedExecution]) -> list[datetime | None]:
        return await executions.record(conn, node_id, batch)

    coalescer: Coalescer[FinishedExecution, datetime | None] = Coalescer(pool, record, lambda _: 1)
    async with transaction(pool) as holder:
        await holder.execute("SELECT FROM executions WHERE id = $1 FOR UPDATE", rows[0].id)
        stuck = asyncio.create_task(coalescer.submit(completed(rows[0].id)))
        await until_waiting(pool, "UPDATE executions")
        for row in rows[1:]:
            assert await asyncio.wait_for(coalescer.submit(completed(row.id)), 30) is not None
        assert not stuck.done()
    assert await stuck is not None


async def test_a_node_that_was_forgotten_cannot_start_executions(pool: Pool) -> None:
    function_id = await make_ready(pool)
    assert await start(pool, new_node_id(), running(function_id)) == [None]


async def test_an_execution_is_finished_once_and_never_moves_back(pool: Pool) -> None:
    function_id, node_id = await make_ready(pool), await make_node(pool)
    new = running(function_id)
    await start(pool, node_id, new)
    failed = FinishedExecution(new.id, None, "late", None)
    async with pool.acquire() as conn:
        assert (await executions.record(conn, node_id, [completed(new.id)]))[0] is not None
        assert await executions.record(conn, node_id, [failed]) == [None]
        stored = await executions.get(conn, new.id)
    assert stored is not None
    assert (stored.status, stored.output, stored.error_message) == (ExecutionStatus.COMPLETED, '{"b": 2}', None)


async def test_completing_an_execution_is_a_heap_only_update(pool: Pool) -> None:
    function_id, node_id = await make_ready(pool), await make_node(pool)
    rows = [running(function_id) for _ in range(20)]
    await start(pool, node_id, *rows)
    async with pool.acquire() as conn:
        await executions.record(conn, node_id, [completed(row.id) for row in rows])
        await conn.execute("SELECT pg_stat_force_next_flush()")
        hot = await conn.fetchval(
            "SELECT sum(n_tup_hot_upd) FROM pg_stat_user_tables WHERE relname LIKE 'executions_%'"
        )
    assert hot == 20


async def test_one_row_that_postgres_cannot_hold_does_not_fail_the_others_of_its_batch(pool: Pool) -> None:
    function_id, node_id = await make_ready(pool), await make_node(pool)
    rows = [running(function_id) for _ in range(3)]
    await start(pool, node_id, *rows)

    async def finish(conn: Connection, batch: object) -> list[datetime | None]:
        return await executions.record(conn, node_id, batch)  # type: ignore[arg-type]

    coalescer: Coalescer[FinishedExecution, datetime | None] = Coalescer(pool, finish, lambda _: 1)
    outputs = ["1", '"\\u0000"', "3"]
    outcomes = await asyncio.gather(
        *(coalescer.submit(completed(row.id, output)) for row, output in zip(rows, outputs, strict=True)),
        return_exceptions=True,
    )
    assert [isinstance(outcome, datetime) for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1], asyncpg.DataError)


async def test_what_a_dead_node_left_running_fails_and_the_rest_is_untouched(pool: Pool) -> None:
    function_id, dead, alive = await make_ready(pool), await make_node(pool, lease_s=-1), await make_node(pool)
    left, finished, elsewhere = running(function_id), running(function_id), running(function_id)
    await start(pool, dead, left, finished)
    await start(pool, alive, elsewhere)
    async with pool.acquire() as conn:
        await executions.record(conn, dead, [completed(finished.id)])
    assert await recovery.recover(pool, new_node_id()) == [left.id]
    rows = await pool.fetch("SELECT id::text, status, error_message FROM executions")
    assert {row["id"]: (row["status"], row["error_message"]) for row in rows} == {
        left.id: ("FAILED", INTERRUPTED),
        finished.id: ("COMPLETED", None),
        elsewhere.id: ("RUNNING", None),
    }
    assert await recovery.recover(pool, new_node_id()) == []


async def test_a_node_never_takes_itself_for_dead(pool: Pool) -> None:
    function_id, slow = await make_ready(pool), await make_node(pool, lease_s=-1)
    await start(pool, slow, running(function_id))
    assert await recovery.recover(pool, slow) == []
    assert len(await recovery.recover(pool, new_node_id())) == 1


async def test_a_node_taken_for_dead_is_watched_until_it_is_forgotten(pool: Pool) -> None:
    function_id, asleep = await make_ready(pool), await make_node(pool, lease_s=-1)
    await recovery.recover(pool, new_node_id())
    late = running(function_id)
    await start(pool, asleep, late)
    assert await recovery.recover(pool, new_node_id()) == [late.id]
    await pool.execute("UPDATE nodes SET lease_expires_at = now() - interval '2 minutes'")
    await recovery.recover(pool, new_node_id())
    assert await pool.fetchval("SELECT count(*) FROM nodes") == 0


async def test_partitions_are_made_ahead_and_inserting_without_one_is_an_error(pool: Pool) -> None:
    await retention.ensure_partitions(pool)
    assert await retention.ensure_partitions(pool) == 0
    function_id = await make_ready(pool)
    far = first_id_at(datetime.now(UTC) + timedelta(weeks=3))
    await pool.execute("INSERT INTO executions (id, function_id) VALUES ($1, $2)", far, function_id)
    beyond = first_id_at(datetime.now(UTC) + timedelta(weeks=20))
    with pytest.raises(asyncpg.CheckViolationError, match="no partition"):
        await pool.execute("INSERT INTO executions (id, function_id) VALUES ($1, $2)", beyond, function_id)


async def test_pruning_drops_whole_partitions_and_nothing_younger(pool: Pool) -> None:
    function_id, now = await make_ready(pool), datetime.now(UTC)
    ages = [timedelta(days=days) for days in (0, 10, 29, 40, 100)]
    async with pool.acquire() as conn:
        for age in ages:
            await partitions.ensure(conn, now - age, now - age)
            await conn.execute(
                "INSERT INTO executions (id, function_id) VALUES ($1, $2)", first_id_at(now - age), function_id
            )
    dropped = await retention.prune(pool, timedelta(days=30))
    assert len(dropped) == 2
    left = await pool.fetch("SELECT id::text FROM executions ORDER BY executions.id DESC")
    assert [row["id"] for row in left] == [first_id_at(now - age) for age in ages[:3]]


async def test_two_processes_make_the_same_partitions_at_once(pool: Pool) -> None:
    latest = datetime.now(UTC) + timedelta(weeks=30)

    async def ensure() -> None:
        async with pool.acquire() as conn:
            await partitions.ensure(conn, datetime.now(UTC), latest)

    await asyncio.gather(*(ensure() for _ in range(6)))
    assert await pool.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'executions'::regclass") >= 31
