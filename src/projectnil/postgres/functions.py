"""The table `functions`. A transition names the states it may leave, so a late message never moves a row backwards."""

import asyncpg
import msgspec

from projectnil.domain.functions import (
    LISTED_ERROR_CHARACTERS,
    Compilation,
    Function,
    FunctionFilter,
    FunctionStatus,
    FunctionSummary,
    ModuleSha256,
    NewFunction,
    listed_error,
)
from projectnil.domain.ids import FunctionId
from projectnil.postgres.connections import Connection

_COLUMNS = """
id::text, name, description, language, source, status, compile_error, revision, created_at, updated_at,
(SELECT CASE WHEN costs.revision = functions.revision THEN to_jsonb(costs)
             ELSE to_jsonb(costs) - ARRAY['duration_ms', 'cpu_ms', 'peak_memory_bytes'] END
 FROM compile_costs AS costs WHERE costs.function_id = functions.id) AS compilation
"""
_SUMMARY_COLUMNS = (
    "id::text, name, description, language, status, "
    f"left(compile_error, {LISTED_ERROR_CHARACTERS + 1}) AS compile_error, revision, created_at, updated_at"
)

_INSERT = f"INSERT INTO functions (name, description, language, source) VALUES ($1, $2, $3, $4) RETURNING {_COLUMNS}"
_GET = f"SELECT {_COLUMNS} FROM functions WHERE id = $1"
_LOCK = f"SELECT {_COLUMNS} FROM functions WHERE id = $1 FOR NO KEY UPDATE"
_LOCK_NAME = "SELECT pg_advisory_xact_lock(hashtextextended('projectnil.function.' || $1, 0))"
_NAMED = "SELECT id::text, count(*) OVER () AS total FROM functions WHERE name = $1 ORDER BY functions.id DESC LIMIT $2"
# Newest first. The conditions are those that are asked for, since its plan is made once.
_LIST = f"""
SELECT {_SUMMARY_COLUMNS} FROM functions WHERE {{conditions}} ORDER BY id_place(functions.id, created_at) DESC LIMIT $1
"""
_RENAME = f"""
UPDATE functions SET name = $2, description = $3, updated_at = clock_timestamp() WHERE id = $1 RETURNING {_COLUMNS}
"""
_REPLACE_SOURCE = f"""
-- A new source starts the function's life again.
UPDATE functions
SET name = $2, description = $3, language = $4, source = $5, revision = revision + 1, status = 'PENDING',
    wasm_binary = NULL, compile_error = NULL, updated_at = clock_timestamp()
WHERE id = $1
RETURNING {_COLUMNS}
"""
_RESTART = f"""
-- The same source again.
UPDATE functions
SET name = $2, description = $3, status = 'PENDING', compile_error = NULL, updated_at = clock_timestamp()
WHERE id = $1
RETURNING {_COLUMNS}
"""
_DELETE = "DELETE FROM functions WHERE id = $1 RETURNING id"
_MARK_COMPILING = """
UPDATE functions SET status = 'COMPILING', updated_at = clock_timestamp()
WHERE id = $1 AND revision = coalesce($2, revision) AND status IN ('PENDING', 'COMPILING')
RETURNING id
"""
_MARK_READY = """
UPDATE functions
SET status = 'READY', wasm_binary = $3, compile_error = NULL, updated_at = clock_timestamp()
WHERE id = $1 AND revision = $2 AND status IN ('PENDING', 'COMPILING')
RETURNING id
"""
_MARK_FAILED = """
UPDATE functions
SET status = 'FAILED', wasm_binary = NULL, compile_error = $3, updated_at = clock_timestamp()
WHERE id = $1 AND revision = $2 AND status IN ('PENDING', 'COMPILING')
RETURNING id
"""
_AWAITS = """
-- Holds the row until the transaction ends, so that it cannot be deleted or changed meanwhile.
SELECT revision = coalesce($2, revision) AND status IN ('PENDING', 'COMPILING') AS awaits FROM functions
WHERE id = $1
FOR SHARE
"""
_GET_READY = "SELECT name, status, revision, wasm_sha256 FROM functions WHERE id = $1"
_WANTED_MODULES = "SELECT DISTINCT wasm_sha256 FROM functions WHERE wasm_sha256 = ANY ($1::text[])"
_GET_MODULE = "SELECT wasm_sha256, wasm_binary FROM functions WHERE id = $1 AND wasm_binary IS NOT NULL"

# A function may have millions of executions to take with it.
_DELETE_TIMEOUT_S = 600


class Runnable(msgspec.Struct, frozen=True):
    """What it takes to run a function: which revision it is, and of which module (None unless READY)."""

    name: str
    status: FunctionStatus
    revision: int
    sha256: ModuleSha256 | None


class Module(msgspec.Struct, frozen=True):
    """A module and its name."""

    sha256: ModuleSha256
    wasm: bytes


async def insert(conn: Connection, new: NewFunction) -> Function:
    """Store a function as PENDING, at revision 1."""
    row = await conn.fetchrow(_INSERT, new.name, new.description, new.language, new.source)
    return _function(row)


async def get(conn: Connection, function_id: FunctionId) -> Function | None:
    row = await conn.fetchrow(_GET, function_id)
    return _function(row) if row else None


async def lock(conn: Connection, function_id: FunctionId) -> Function | None:
    """As `get`, and the row cannot be changed by others until the transaction ends."""
    row = await conn.fetchrow(_LOCK, function_id)
    return _function(row) if row else None


async def lock_name(conn: Connection, name: str) -> None:
    """Lock the name against other callers of this function until the transaction ends."""
    await conn.execute(_LOCK_NAME, name)


async def ids_of_name(conn: Connection, name: str, most: int) -> tuple[list[FunctionId], int]:
    """The functions of a name, the newest first and up to `most` of them, and how many there are in all."""
    rows = await conn.fetch(_NAMED, name, most)
    return [row["id"] for row in rows], rows[0]["total"] if rows else 0


async def list_page(
    conn: Connection, wanted: FunctionFilter, *, before: str | None, most: int
) -> list[FunctionSummary]:
    """Up to `most` functions, newest first, older than the place `before`."""
    possible = {
        "id_place(id, created_at) < {}": before,
        "name = {}": wanted.name,
        "status = {}": wanted.status,
        "right(id::text, 8) = {}": wanted.short_id,
    }
    asked = {condition: value for condition, value in possible.items() if value is not None}
    conditions = [condition.format(f"${number}") for number, condition in enumerate(asked, 2)]
    rows = await conn.fetch(_LIST.format(conditions=" AND ".join(conditions) or "true"), most, *asked.values())
    return [_summary(row) for row in rows]


async def rename(conn: Connection, function_id: FunctionId, new: NewFunction) -> Function:
    """Change name and description; the row must be locked."""
    return _function(await conn.fetchrow(_RENAME, function_id, new.name, new.description))


async def replace_source(conn: Connection, function_id: FunctionId, new: NewFunction) -> Function:
    """Change everything, back to PENDING, revision + 1; the row must be locked."""
    row = await conn.fetchrow(_REPLACE_SOURCE, function_id, new.name, new.description, new.language, new.source)
    return _function(row)


async def delete(conn: Connection, function_id: FunctionId) -> bool:
    """Remove a function and its executions; False when there is none. Needs a transaction, and may take long."""
    await conn.execute(f"SET LOCAL statement_timeout = '{_DELETE_TIMEOUT_S}s'")
    return await conn.fetchval(_DELETE, function_id, timeout=_DELETE_TIMEOUT_S) is not None


async def restart(conn: Connection, function_id: FunctionId, new: NewFunction) -> Function:
    """Back to PENDING with the source that it has; the row must be locked."""
    return _function(await conn.fetchrow(_RESTART, function_id, new.name, new.description))


async def mark_compiling(conn: Connection, function_id: FunctionId, revision: int | None) -> bool:
    """False when the function is gone, changed, or already has its result. revision None: whichever it has."""
    return await conn.fetchval(_MARK_COMPILING, function_id, revision) is not None


async def awaits_result(conn: Connection, function_id: FunctionId, revision: int | None) -> bool | None:
    """Whether a result for this revision would still count; the row is held until the transaction ends.

    revision None: whichever it has. None when there is no such function.
    """
    awaits: bool | None = await conn.fetchval(_AWAITS, function_id, revision)
    return awaits


async def mark_ready(conn: Connection, function_id: FunctionId, revision: int, wasm: bytes) -> bool:
    """False when the result no longer counts."""
    return await conn.fetchval(_MARK_READY, function_id, revision, wasm) is not None


async def mark_failed(conn: Connection, function_id: FunctionId, revision: int, error: str) -> bool:
    """False when the result no longer counts."""
    return await conn.fetchval(_MARK_FAILED, function_id, revision, error) is not None


async def get_runnable(conn: Connection, function_id: FunctionId) -> Runnable | None:
    row = await conn.fetchrow(_GET_READY, function_id)
    return Runnable(row["name"], FunctionStatus(row["status"]), row["revision"], row["wasm_sha256"]) if row else None


async def get_module(conn: Connection, function_id: FunctionId) -> Module | None:
    """The module that the function has right now, with its name."""
    row = await conn.fetchrow(_GET_MODULE, function_id)
    return Module(*row) if row else None


def _summary(row: asyncpg.Record) -> FunctionSummary:
    return msgspec.convert({**row, "compile_error": listed_error(row["compile_error"])}, FunctionSummary)


def _function(row: asyncpg.Record | None) -> Function:
    if row is None:
        raise LookupError("the row that was locked is gone")
    costs = row["compilation"]
    fields = {**row, "compilation": None if costs is None else msgspec.json.decode(costs, type=Compilation)}
    return msgspec.convert(fields, Function)


async def wanted_modules(conn: Connection, known: list[ModuleSha256]) -> set[ModuleSha256]:
    """Those of `known` that some function has."""
    return {row[0] for row in await conn.fetch(_WANTED_MODULES, known)}
