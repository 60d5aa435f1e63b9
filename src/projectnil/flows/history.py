"""Past executions: listed, searched, shown, deleted."""

import structlog

from projectnil.domain.errors import ExecutionNotFound, ExecutionRunning, FunctionNotFound
from projectnil.domain.executions import Execution, ExecutionFilter
from projectnil.domain.ids import ExecutionId, FunctionId
from projectnil.postgres import executions, functions, history
from projectnil.postgres.connections import Pool
from projectnil.postgres.history import Found

log = structlog.get_logger()


async def get_execution(pool: Pool, execution_id: ExecutionId) -> Execution:
    """Raises ExecutionNotFound."""
    async with pool.acquire() as conn:
        execution = await executions.get(conn, execution_id)
    if execution is None:
        raise ExecutionNotFound(execution_id)
    return execution


async def list_executions(pool: Pool, wanted: ExecutionFilter, *, before: str | None, most: int) -> Found:
    """Newest first, older than the place `before` (see `place_of`)."""
    async with pool.acquire() as conn:
        return await history.list_page(conn, wanted, before=before, most=most)


async def list_executions_of(
    pool: Pool, function_id: FunctionId, wanted: ExecutionFilter, *, before: str | None, most: int
) -> Found:
    """As `list_executions`, of a function that must exist. Raises FunctionNotFound."""
    async with pool.acquire() as conn:
        found = await history.list_page(conn, wanted, before=before, most=most)
        if not found.executions and await functions.get_runnable(conn, function_id) is None:
            raise FunctionNotFound(function_id)
    return found


async def delete_execution(pool: Pool, execution_id: ExecutionId) -> None:
    """Remove one from the history. Raises ExecutionNotFound, ExecutionRunning."""
    async with pool.acquire() as conn:
        deleted = await executions.delete(conn, execution_id)
        status = None if deleted else await executions.get_status(conn, execution_id)
    if not deleted:
        raise ExecutionNotFound(execution_id) if status is None else ExecutionRunning(execution_id)
    log.info("execution.deleted", executionId=execution_id)
