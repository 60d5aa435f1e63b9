"""The invariants of the specification are constraints: no code can break them."""

import asyncpg
import pytest

from projectnil.postgres.connections import Pool

BROKEN = [
    ("functions", "(name, language, source, status) VALUES ('f', 'x', 's', 'READY')", "functions_ready_has_binary"),
    ("functions", "(name, language, source, status) VALUES ('f', 'x', 's', 'FAILED')", "functions_failed_has_error"),
    ("functions", "(name, language, source) VALUES ('', 'x', 's')", "functions_name_length"),
    ("functions", "(name, language, source) VALUES (repeat('x', 256), 'x', 's')", "functions_name_length"),
    ("executions", "(function_id, status) VALUES ($1, 'FAILED')", "executions_failed_has_error"),
    (
        "executions",
        "(function_id, status, error_message) VALUES ($1, 'COMPLETED', 'x')",
        "executions_completed_has_no_error",
    ),
]


@pytest.mark.parametrize(("table", "row", "constraint"), BROKEN)
async def test_a_row_that_breaks_an_invariant_is_refused(pool: Pool, table: str, row: str, constraint: str) -> None:
    function_id = await pool.fetchval(
        "INSERT INTO functions (name, language, source) VALUES ('f', 'assemblyscript', 's') RETURNING id"
    )
    arguments = [function_id] if "$1" in row else []
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await pool.execute(f"INSERT INTO {table} {row}", *arguments)
    assert caught.value.constraint_name == constraint


async def test_ids_are_of_version_7_by_default_and_sort_by_time(pool: Pool) -> None:
    insert = "INSERT INTO functions (name, language, source) VALUES ('f', 'assemblyscript', 's') RETURNING id"
    made = [await pool.fetchval(insert) for _ in range(20)]
    assert made == sorted(made)
    assert {identifier.version for identifier in made} == {7}
    assert (await pool.fetchval("INSERT INTO executions (function_id) VALUES ($1) RETURNING id", made[0])).version == 7


async def test_statuses_are_enums_with_the_specified_values(pool: Pool) -> None:
    assert await pool.fetchval("SELECT enum_range(NULL::function_status)::text") == "{PENDING,COMPILING,READY,FAILED}"
    statuses = await pool.fetchval("SELECT enum_range(NULL::execution_status)::text")
    assert statuses == "{PENDING,RUNNING,COMPLETED,FAILED}"


async def test_deleting_a_function_deletes_its_executions(pool: Pool) -> None:
    function_id = await pool.fetchval(
        "INSERT INTO functions (name, language, source) VALUES ('f', 'assemblyscript', 's') RETURNING id"
    )
    await pool.execute("INSERT INTO executions (function_id) SELECT $1 FROM generate_series(1, 5)", function_id)
    await pool.execute("DELETE FROM functions WHERE id = $1", function_id)
    assert await pool.fetchval("SELECT count(*) FROM executions") == 0
