"""`pnil migrate` on the schema of the system that projectnil comes from: its rows stay, and all works on them."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from projectnil.domain.executions import ExecutionFilter, ExecutionStatus
from projectnil.domain.functions import FunctionFilter, FunctionStatus, NewFunction
from projectnil.domain.ids import FunctionId, place_of
from projectnil.domain.languages import Language
from projectnil.flows import catalog, compilation, history, registration, results, retention
from projectnil.postgres import partitions
from projectnil.postgres.connections import Connection, Pool, connect, opened_pool
from projectnil.postgres.migrations import runner
from projectnil.postgres.migrations.changelog import read_changelog
from projectnil.postgres.migrations.runner import migrate
from tests.support.fakes import WASM, FakeToolchain
from tests.support.postgres import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="session")

PREDECESSOR = (Path(__file__).parent / "predecessor.sql").read_text()
STATES = ("PENDING", "COMPILING", "READY", "FAILED")


@pytest_asyncio.fixture(loop_scope="session", params=["timestamptz", "timestamp"])
async def predecessor(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A database as that system leaves it, with a function in every state, its executions and messages under way."""
    async with cluster.database("template0") as url:
        conn = await connect(url)
        await runner._install_pgmq_sql_where_no_extension(conn)
        await conn.execute(PREDECESSOR.replace("timestamptz", request.param))
        await conn.close()
        yield url


async def adopt(url: str) -> list[str]:
    conn = await connect(url)
    try:
        return await migrate(conn)
    finally:
        await conn.close()


@pytest_asyncio.fixture(loop_scope="session")
async def adopted(predecessor: str) -> AsyncIterator[Pool]:
    await adopt(predecessor)
    async with opened_pool(predecessor, 4) as pool:
        yield pool


async def rows_of(conn: Connection | Pool, columns: str, table: str) -> list[str]:
    rows = await conn.fetch(f"SELECT to_jsonb(row)::text FROM (SELECT {columns} FROM {table} ORDER BY id) AS row")
    return [row[0] for row in rows]


async def test_every_row_is_there_after_adoption(predecessor: str) -> None:
    functions = "id, name, description, language, source, wasm_binary, status, compile_error"
    ended = "id, function_id, input, output, error_message, status"
    conn = await connect(predecessor)
    before = await rows_of(conn, functions, "functions")
    before_ended = await rows_of(conn, ended, "executions WHERE status IN ('COMPLETED', 'FAILED')")
    times = await conn.fetch("SELECT extract(epoch FROM created_at) FROM executions ORDER BY id")
    assert await migrate(conn) == [changeset.id for changeset in read_changelog()]
    assert await rows_of(conn, functions, "functions") == before
    ids = ", ".join(f"'{json.loads(row)['id']}'" for row in before_ended)
    assert await rows_of(conn, ended, f"executions WHERE id IN ({ids})") == before_ended
    assert await conn.fetch("SELECT extract(epoch FROM created_at) FROM executions ORDER BY id") == times
    assert await migrate(conn) == []
    await conn.close()


async def test_an_adopted_database_has_the_schema_of_a_new_one(predecessor: str, cluster: Cluster) -> None:
    await adopt(predecessor)
    async with cluster.database("template0") as new:
        await adopt(new)
        assert await columns(predecessor) == await columns(new)


async def test_an_adopted_database_rolls_back_its_last_files(predecessor: str) -> None:
    await adopt(predecessor)
    conn = await connect(predecessor)
    for changeset in reversed(read_changelog()):
        if changeset.file.startswith("projectnil/006-"):
            await conn.execute(changeset.rollback or "SELECT")
            await conn.execute("DELETE FROM databasechangelog WHERE id = $1", changeset.id)
    assert await conn.fetchval("SELECT to_regproc('id_place')") is None
    assert await conn.fetchval("SELECT count(*) FROM executions_adopted") > 0
    await migrate(conn)
    assert await conn.fetchval("SELECT to_regclass('executions_adopted_by_place')") is not None
    await conn.close()


async def columns(url: str) -> list[tuple[str, ...]]:
    conn = await connect(url)
    rows = await conn.fetch(
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name !~ '^executions_adopted' ORDER BY 1, ordinal_position"
    )
    await conn.close()
    return [tuple(row) for row in rows]


async def test_new_rows_get_ids_of_version_7(adopted: Pool) -> None:
    new = NewFunction(name="new", description=None, language=Language.ASSEMBLYSCRIPT, source="good")
    function = await registration.register(adopted, new)
    assert await adopted.fetchval("SELECT uuid_extract_version($1::uuid)", function.id) == 7
    assert await adopted.fetchval("SELECT count(*) FROM functions WHERE uuid_extract_version(id) = 4") == len(STATES)


async def test_what_ran_is_interrupted(adopted: Pool) -> None:
    rows = await adopted.fetch("SELECT error_message FROM executions WHERE input ->> 'was' IN ('PENDING', 'RUNNING')")
    assert [row[0] for row in rows] == ["interrupted: the platform stopped before it finished"] * 2
    assert await adopted.fetchval("SELECT count(*) FROM executions WHERE status IN ('PENDING', 'RUNNING')") == 0


async def test_what_waited_for_its_compiler_is_compiled(adopted: Pool) -> None:
    while await compilation.compile_next(adopted, FakeToolchain(), visibility_s=30, max_reads=3):
        pass
    await adopted.execute("UPDATE pgmq.q_compilation_results SET vt = now()")
    while await results.apply_next(adopted, visibility_s=30):
        pass
    rows = await adopted.fetch("SELECT name, status, wasm_binary FROM functions WHERE name IN ('PENDING', 'COMPILING')")
    assert {row["name"]: (row["status"], row["wasm_binary"]) for row in rows} == {
        "PENDING": ("READY", WASM + b"source of PENDING"),
        "COMPILING": ("READY", b"\0asm of COMPILING"),
    }


async def test_who_waits_for_a_job_that_is_not_there_or_cannot_be_read_goes_on(predecessor: str) -> None:
    conn = await connect(predecessor)
    await conn.execute(
        "INSERT INTO functions (name, language, source, status)"
        " SELECT name, 'assemblyscript', 'good', state::function_status"
        " FROM (VALUES ('no job', 'PENDING'), ('lost', 'COMPILING'), ('malformed', 'PENDING')) AS rows (name, state)"
    )
    await conn.execute(
        "SELECT pgmq.send('compilation_jobs', jsonb_build_object('functionId', id, 'source', 5))"
        " FROM functions WHERE name = 'malformed'"
    )
    await conn.close()
    await adopt(predecessor)
    async with opened_pool(predecessor, 4) as pool:
        while await compilation.compile_next(pool, FakeToolchain(), visibility_s=30, max_reads=3):
            pass
        while await compilation.answer_unserved(pool, Language, visibility_s=30):
            pass
        while await results.apply_next(pool, visibility_s=30):
            pass
        rows = await pool.fetch("SELECT name, status FROM functions WHERE name IN ('no job', 'lost', 'malformed')")
    assert dict(map(tuple, rows)) == {"no job": "READY", "lost": "READY", "malformed": "FAILED"}


async def test_functions_are_listed_by_age(adopted: Pool) -> None:
    found = await catalog.list_functions(adopted, FunctionFilter(), before=None, most=10)
    assert [function.name for function in found] == list(STATES)


async def test_functions_are_paged_by_age(adopted: Pool) -> None:
    new = NewFunction(name="new", description=None, language=Language.ASSEMBLYSCRIPT, source="good")
    await registration.register(adopted, new)
    seen: list[str] = []
    before = None
    while page := await catalog.list_functions(adopted, FunctionFilter(), before=before, most=1):
        seen.append(page[0].name)
        before = place_of(page[0].id, page[0].created_at)
    assert seen == ["new", *STATES]


async def test_executions_are_paged_by_age_whatever_is_asked(adopted: Pool) -> None:
    await retention.ensure_partitions(adopted)
    function_id = FunctionId(await adopted.fetchval("SELECT id::text FROM functions WHERE name = 'READY'"))
    # Newer ones, with ids of version 7; one old one by chance in a week that has a partition, one before all weeks.
    await adopted.execute(
        "INSERT INTO executions (function_id, status, output) SELECT $1, 'COMPLETED', '1' FROM generate_series(1, 30)",
        function_id,
    )
    # Hours apart: their ids have no random digits that would tell them apart within a millisecond.
    for moment, hours in (("now()", 3), ("'1990-01-01'::timestamptz", 4)):
        await adopted.execute(
            "INSERT INTO executions (id, function_id, status, output, created_at) SELECT"
            f" overlay(execution_id_bound({moment})::text placing '4' from 15)::uuid, $1, 'COMPLETED', '7',"
            f" now() - interval '30 days {hours} hours'",
            function_id,
        )
    for wanted, condition in (
        (ExecutionFilter(), "true"),
        (ExecutionFilter(function_id=function_id), "true"),
        (ExecutionFilter(status=ExecutionStatus.FAILED), "status = 'FAILED'"),
        (ExecutionFilter(error="trap"), "error_message LIKE '%trap%'"),
        (ExecutionFilter(until=datetime.now(UTC) - timedelta(days=1)), "created_at < now() - interval '1 day'"),
    ):
        rows = await adopted.fetch(
            f"SELECT id::text FROM executions WHERE {condition} ORDER BY id_place(id, created_at) DESC"
        )
        assert await pages(adopted, wanted) == [row["id"] for row in rows], wanted


async def pages(pool: Pool, wanted: ExecutionFilter) -> list[str]:
    """The ids, in pages of seven, as the API turns them."""
    seen: list[str] = []
    before: str | None = None
    while True:
        found = await history.list_executions(pool, wanted, before=before, most=8)
        seen += [execution.id for execution in found.executions[:7]]
        if len(found.executions) > 7:
            before = place_of(found.executions[6].id, found.executions[6].created_at)
        elif found.looked_to is not None:
            before = found.looked_to
        else:
            return seen


async def test_a_place_is_the_same_for_the_database(adopted: Pool) -> None:
    rows = await adopted.fetch("SELECT id::text, created_at, id_place(id, created_at)::text AS place FROM executions")
    for row in rows:
        assert place_of(row["id"], row["created_at"]) == row["place"]


async def test_new_partitions_take_the_rows_that_belong_there(adopted: Pool) -> None:
    function_id = await adopted.fetchval("SELECT id::text FROM functions WHERE name = 'READY'")
    # Random, and by chance in the week that is made next.
    await adopted.execute(
        "INSERT INTO executions (id, function_id, status, output)"
        " SELECT overlay(execution_id_bound(now())::text placing '4' from 15)::uuid, $1, 'COMPLETED', '7'",
        function_id,
    )
    before = await adopted.fetchval("SELECT count(*) FROM executions")
    assert await retention.ensure_partitions(adopted) == 5
    assert await retention.ensure_partitions(adopted) == 0
    assert await adopted.fetchval("SELECT count(*) FROM executions") == before
    where = "SELECT tableoid::regclass::text FROM executions WHERE output = '7'"
    assert (await adopted.fetchval(where)).startswith("executions_2")


async def test_a_new_week_looks_through_none_of_the_adopted_executions(adopted: Pool) -> None:
    await retention.ensure_partitions(adopted)
    async with adopted.acquire() as conn:
        before = await reads_of_adopted(conn)
        assert await partitions.ensure(conn, datetime.now(UTC), datetime.now(UTC) + timedelta(weeks=9)) == 5
        assert await reads_of_adopted(conn) == before


async def reads_of_adopted(conn: Connection) -> int:
    """How often the table was read from one end to the other."""
    await conn.execute("SELECT pg_stat_force_next_flush()")
    reads: int = await conn.fetchval("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'executions_adopted'")
    return reads


async def test_weeks_in_which_nobody_was_there_are_made_later(adopted: Pool) -> None:
    function_id = await adopted.fetchval("SELECT id::text FROM functions WHERE name = 'READY'")
    for weeks in (2, 8, 100):
        await adopted.execute(
            "INSERT INTO executions (id, function_id, status, output) SELECT overlay(execution_id_bound("
            "now() + make_interval(weeks => $2))::text placing '4' from 15)::uuid, $1, 'COMPLETED', '7'",
            function_id,
            weeks,
        )
    async with adopted.acquire() as conn:
        later = datetime.now(UTC) + timedelta(weeks=8)
        assert await partitions.ensure(conn, later, later) == 9
    rows = await adopted.fetch("SELECT tableoid::regclass::text FROM executions WHERE output = '7' ORDER BY id")
    assert [row[0][:12] for row in rows] == ["executions_2", "executions_2", "executions_a"]


async def test_adopted_executions_are_pruned_once_all_are_old(adopted: Pool) -> None:
    oldest: datetime = await adopted.fetchval("SELECT max(created_at) FROM executions")
    age = datetime.now(UTC) - oldest
    assert await retention.prune(adopted, age + timedelta(hours=1)) == []
    assert await retention.prune(adopted, age - timedelta(hours=1)) == [
        "executions_adopted",
        "executions_adopted_ahead",
    ]
    assert await adopted.fetchval("SELECT count(*) FROM executions") == 0


async def test_adopted_executions_are_kept_while_a_newer_one_is_among_them(adopted: Pool) -> None:
    # No partition of a week was made for it, so it is in the one of adopted rows.
    function_id = await adopted.fetchval("SELECT id::text FROM functions WHERE name = 'READY'")
    await adopted.execute(
        "INSERT INTO executions (id, function_id, status, output)"
        " SELECT overlay(overlay(execution_id_bound(now() - interval '1 hour')::text placing '7' from 15)"
        " placing '8' from 20)::uuid, $1, 'COMPLETED', '7'",
        function_id,
    )
    assert await retention.prune(adopted, timedelta(days=1)) == []
    where = "SELECT tableoid::regclass::text FROM executions WHERE output = '7'"
    assert (await adopted.fetchval(where)).startswith("executions_adopted")


async def test_deleting_an_adopted_function_takes_its_executions(adopted: Pool) -> None:
    function_id = FunctionId(await adopted.fetchval("SELECT id::text FROM functions WHERE name = 'READY'"))
    await registration.delete(adopted, function_id)
    assert await adopted.fetchval("SELECT count(*) FROM executions WHERE function_id = $1", function_id) == 0


async def test_the_same_source_again_compiles_an_adopted_function_without_a_job(adopted: Pool) -> None:
    await adopted.execute("SELECT pgmq.purge_queue('compilation_jobs')")
    [function] = await catalog.list_functions(adopted, FunctionFilter(name="PENDING"), before=None, most=1)
    source = (await catalog.get_function(adopted, function.id)).source
    new = NewFunction(name="PENDING", description=None, language=Language.ASSEMBLYSCRIPT, source=source)
    await registration.update(adopted, function.id, new)
    assert await compilation.compile_next(adopted, FakeToolchain(), visibility_s=30, max_reads=3)
    while await results.apply_next(adopted, visibility_s=30):
        pass
    assert (await catalog.get_function(adopted, function.id)).status is FunctionStatus.READY


async def test_a_table_of_somebody_elses_is_left_alone(cluster: Cluster) -> None:
    async with cluster.database("template0") as url:
        conn = await connect(url)
        await conn.execute("CREATE TABLE functions (id integer)")
        with pytest.raises(Exception, match='"functions" already exists'):
            await migrate(conn)
        assert await conn.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'projectnil%'") == 0
        await conn.close()
