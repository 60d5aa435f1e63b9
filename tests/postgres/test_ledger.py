"""Whatever goes wrong with the writes of an execution, its row ends with the right outcome and never stays RUNNING."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio

from projectnil.bootstrap.connections import RECORD_CONNECTIONS
from projectnil.domain.errors import INTERRUPTED, ExecutionInDoubt, PlatformUnavailable
from projectnil.domain.ids import ExecutionIds, FunctionId, first_id_at, moment_of, new_node_id
from projectnil.flows import ledger as ledger_module
from projectnil.flows.ledger import Ledger
from projectnil.flows.troubles import Troubles
from projectnil.postgres.coalescer import _STUCK_AFTER_S, MOST_WRITERS
from projectnil.postgres.connections import KeptConnections, Pool, opened_pool
from projectnil.postgres.executions import FinishedExecution, NewExecution
from tests.support.postgres import make_ready, until_waiting
from tests.support.waiting import until

FULL_DISK = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE UPDATE ON executions FOR EACH ROW EXECUTE FUNCTION full_disk()
"""

INSERT = "INSERT INTO executions"


@pytest_asyncio.fixture(loop_scope="session")
async def upkeep_pool(database_url: str) -> AsyncIterator[Pool]:
    async with opened_pool(database_url, 2) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def ledger(pool: Pool, upkeep_pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that loses its patience quickly."""
    monkeypatch.setattr(ledger_module, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(ledger_module, "_RETRY_S", 0.05)
    made = Ledger(pool, upkeep_pool, new_node_id(), lease_s=60, troubles=Troubles())
    await made.renew_lease()
    return made


@pytest_asyncio.fixture(loop_scope="session")
async def function_id(pool: Pool) -> FunctionId:
    return await make_ready(pool)


def running(function_id: FunctionId) -> NewExecution:
    return NewExecution(ExecutionIds().new(), function_id, 1, "f", False, "{}")


def completed(new: NewExecution) -> FinishedExecution:
    return FinishedExecution(new.id, '{"a": 1}', None, None)


@asynccontextmanager
async def locked(pool: Pool) -> AsyncIterator[None]:
    """While the block runs, inserts of executions wait in the server."""
    async with pool.acquire() as holder:
        held = holder.transaction()
        await held.start()
        await holder.execute("LOCK TABLE functions IN EXCLUSIVE MODE")
        yield
        await held.rollback()


async def outcomes(pool: Pool) -> list[tuple[str, str | None]]:
    rows = await pool.fetch("SELECT status, error_message FROM executions")
    return [(row["status"], row["error_message"]) for row in rows]


async def cut(pool: Pool, containing: str) -> None:
    """Cut the connections that wait in a statement, from the server's side, once there are some."""
    for pid in await until_waiting(pool, containing):
        await pool.execute("SELECT pg_terminate_backend($1)", pid)


async def test_an_outcome_that_a_full_disk_refuses_is_recorded_when_there_is_room(
    pool: Pool, ledger: Ledger, function_id: FunctionId
) -> None:
    new = running(function_id)
    assert await ledger.begin(new) is not None
    await pool.execute(FULL_DISK)
    with pytest.raises(ExecutionInDoubt, match=r"could not be recorded yet.*unless the database has lost"):
        await ledger.finish(completed(new))
    assert await outcomes(pool) == [("RUNNING", None)]
    await pool.execute("DROP TRIGGER full_disk ON executions")
    await ledger.renew_lease()
    assert await outcomes(pool) == [("COMPLETED", None)]


async def test_with_an_outcome_unrecorded_the_lease_is_left_to_lapse(
    pool: Pool, ledger: Ledger, function_id: FunctionId
) -> None:
    new = running(function_id)
    await ledger.begin(new)
    await pool.execute(FULL_DISK)
    with pytest.raises(PlatformUnavailable):
        await ledger.finish(completed(new))
    await ledger.end_lease()
    assert await pool.fetchval("SELECT count(*) FROM nodes") == 1
    await pool.execute("DROP TRIGGER full_disk ON executions")
    await ledger.renew_lease()
    await ledger.end_lease()
    assert await pool.fetchval("SELECT count(*) FROM nodes") == 0


async def test_an_insert_that_commits_after_its_word_was_lost_does_not_stay_running(
    pool: Pool, ledger: Ledger, function_id: FunctionId, database_url: str
) -> None:
    # The insert waits in the server; the client gives up; then the insert goes on and commits.
    async with locked(pool):
        beginning = asyncio.create_task(ledger.begin(running(function_id)))
        await until_waiting(pool, INSERT)
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
        await ledger.renew_lease()
    for _ in range(100):
        if await outcomes(pool):
            break
        await asyncio.sleep(0.02)
    await ledger.renew_lease()
    assert await outcomes(pool) == [("FAILED", INTERRUPTED)]


async def test_an_insert_whose_connection_breaks_is_the_platforms_failure(
    pool: Pool, ledger: Ledger, function_id: FunctionId
) -> None:
    async with locked(pool):
        beginning = asyncio.create_task(ledger.begin(running(function_id)))
        await cut(pool, "INSERT INTO executions")
        with pytest.raises(PlatformUnavailable, match="the database is not available"):
            await beginning
    await ledger.renew_lease()
    assert [status for status, _ in await outcomes(pool)] in ([], ["FAILED"])


async def test_an_outcome_whose_acknowledgement_was_lost_is_recognised(
    pool: Pool, ledger: Ledger, function_id: FunctionId
) -> None:
    new = running(function_id)
    await ledger.begin(new)
    # As if an earlier try had been committed and its connection lost before the answer.
    await pool.execute(
        "UPDATE executions SET status = 'COMPLETED', output = '{\"a\": 1}', completed_at = now() WHERE id = $1", new.id
    )
    assert await ledger.finish(completed(new)) is not None
    assert await outcomes(pool) == [("COMPLETED", None)]


async def test_an_outcome_that_another_node_decided_is_not_ours(
    pool: Pool, ledger: Ledger, function_id: FunctionId
) -> None:
    new = running(function_id)
    await ledger.begin(new)
    await pool.execute("UPDATE executions SET status = 'FAILED', error_message = $1", INTERRUPTED)
    assert await ledger.finish(completed(new)) is None
    assert await outcomes(pool) == [("FAILED", INTERRUPTED)]


async def test_an_execution_that_nobody_finished_becomes_interrupted(
    pool: Pool, ledger: Ledger, function_id: FunctionId
) -> None:
    new = running(function_id)
    await ledger.begin(new)
    ledger.abandon(new.id)
    await ledger.renew_lease()
    assert await outcomes(pool) == [("FAILED", INTERRUPTED)]


async def test_abandoning_what_has_its_outcome_changes_nothing(
    pool: Pool, ledger: Ledger, function_id: FunctionId
) -> None:
    new = running(function_id)
    await ledger.begin(new)
    await ledger.finish(completed(new))
    ledger.abandon(new.id)
    await ledger.renew_lease()
    assert await outcomes(pool) == [("COMPLETED", None)]


async def test_executions_without_a_partition_get_one(pool: Pool, ledger: Ledger, function_id: FunctionId) -> None:
    await pool.execute("SELECT drop_execution_partitions(now() + interval '100 days')")
    assert await pool.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'executions'::regclass") == 0
    assert await ledger.begin(running(function_id)) is not None


async def test_a_look_at_what_a_write_left_has_a_connection_while_every_writer_is_stuck(
    pool: Pool, upkeep_pool: Pool, database_url: str, function_id: FunctionId
) -> None:
    async with opened_pool(database_url, RECORD_CONNECTIONS) as record_pool:
        ledger = Ledger(record_pool, upkeep_pool, new_node_id(), lease_s=60, troubles=Troubles())
        await ledger.renew_lease()
        new = running(function_id)
        await ledger.begin(new)
        await pool.execute("UPDATE executions SET status = 'COMPLETED', output = '{\"a\": 1}', completed_at = now()")
        async with asyncio.TaskGroup() as stuck, locked(pool):
            for writers in range(1, MOST_WRITERS):
                stuck.create_task(ledger.begin(running(function_id)))
                await until_waiting(pool, INSERT, writers)
            await asyncio.sleep(_STUCK_AFTER_S)  # now another takes over again
            finishing = asyncio.create_task(ledger.finish(completed(new)))
            await asyncio.sleep(0)  # it is handed in,
            await asyncio.sleep(0)  # the last writer has taken it,
            stuck.create_task(ledger.begin(running(function_id)))  # and gets stuck at the next one
            async with asyncio.timeout(30):
                assert await finishing is not None
            await until_waiting(pool, INSERT, MOST_WRITERS)


async def test_connections_that_are_kept_at_hand_go_back_one_by_one_as_they_fall_idle(pool: Pool) -> None:
    kept = KeptConnections(pool)
    async with kept.acquire(), kept.acquire(), kept.acquire():
        pass
    assert in_use(pool) == 3
    async with asyncio.timeout(30):
        while in_use(pool) > 1:
            async with kept.acquire() as conn:  # one of them goes on being used
                await conn.execute("SELECT 1")
    await until("the last one goes back", lambda: in_use(pool) == 0)


def in_use(pool: Pool) -> int:
    return pool.get_size() - pool.get_idle_size()


async def test_ids_carry_the_databases_time_whatever_this_machines_clock_says(
    pool: Pool, upkeep_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = time.time_ns()
    for ahead in (timedelta(hours=1), timedelta(hours=-1)):
        set_to_ns = now_ns + int(ahead.total_seconds()) * 1_000_000_000
        monkeypatch.setattr(time, "time_ns", lambda set_to_ns=set_to_ns: set_to_ns)
        ledger = Ledger(pool, upkeep_pool, new_node_id(), lease_s=60, troubles=Troubles())
        assert abs(moment_of(ledger.new_id()) - datetime.now(UTC)) > timedelta(minutes=30)
        await ledger.renew_lease()
        made = moment_of(ledger.new_id())
        database_time = await pool.fetchval("SELECT clock_timestamp()")
        assert database_time - timedelta(minutes=1) < made <= database_time


async def test_what_other_nodes_are_told_to_look_at_begins_before_the_smallest_id_in_flight(
    ledger: Ledger, pool: Pool, function_id: FunctionId
) -> None:
    # As after a clock that was set back: what began first has the larger id.
    first, second = running(function_id), running(function_id)
    first = msgspec.structs.replace(first, id=first_id_at(moment_of(second.id) + timedelta(hours=1)))
    await ledger.begin(first)
    await ledger.begin(second)
    await ledger.renew_lease()
    oldest = await pool.fetchval("SELECT oldest_execution_id::text FROM nodes")
    assert oldest < second.id < first.id


COUNTED_DELETES = """
CREATE TABLE deletes (n integer);
CREATE FUNCTION count_delete() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO deletes VALUES (1); RETURN NULL; END $$;
CREATE TRIGGER count_delete AFTER DELETE ON executions FOR EACH STATEMENT EXECUTE FUNCTION count_delete()
"""


async def test_many_that_cannot_begin_are_withdrawn_together(
    pool: Pool, ledger: Ledger, function_id: FunctionId
) -> None:
    rows = [running(function_id) for _ in range(200)]
    await asyncio.gather(*(ledger.begin(row) for row in rows))
    await pool.execute(COUNTED_DELETES)
    assert await asyncio.gather(*(ledger.withdraw(row.id) for row in rows)) == [True] * 200
    assert await outcomes(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM deletes") < 10
    await ledger.end_lease()  # nothing is in flight
    assert await pool.fetchval("SELECT count(*) FROM nodes") == 0


async def test_one_that_has_an_outcome_cannot_be_withdrawn(pool: Pool, ledger: Ledger, function_id: FunctionId) -> None:
    new = running(function_id)
    await ledger.begin(new)
    await ledger.finish(completed(new))
    assert not await ledger.withdraw(new.id)
    assert await outcomes(pool) == [("COMPLETED", None)]
