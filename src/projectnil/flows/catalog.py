"""Reading what there is: functions, their modules, executions."""

from projectnil.domain.errors import ExecutionNotFound, FunctionNotFound, FunctionNotReady
from projectnil.domain.executions import Execution, ExecutionStatus, ExecutionSummary
from projectnil.domain.functions import Function, FunctionStatus, FunctionSummary, ModuleSha256
from projectnil.domain.ids import ExecutionId, FunctionId
from projectnil.postgres import executions, functions
from projectnil.postgres.connections import Pool
from projectnil.postgres.functions import Module


async def get_function(pool: Pool, function_id: FunctionId) -> Function:
    """Raises FunctionNotFound."""
    async with pool.acquire() as conn:
        function = await functions.get(conn, function_id)
    if function is None:
        raise FunctionNotFound(function_id)
    return function


async def get_module_name(pool: Pool, function_id: FunctionId) -> ModuleSha256:
    """The SHA-256 of a READY function's module. Raises FunctionNotFound, FunctionNotReady."""
    async with pool.acquire() as conn:
        runnable = await functions.get_runnable(conn, function_id)
    if runnable is None:
        raise FunctionNotFound(function_id)
    if runnable.sha256 is None:
        raise FunctionNotReady(function_id, runnable.status.value)
    return runnable.sha256


async def get_module(pool: Pool, function_id: FunctionId) -> Module:
    """A READY function's module. Raises FunctionNotFound, FunctionNotReady."""
    async with pool.acquire() as conn:
        module = await functions.get_module(conn, function_id)
    if module is None:
        status = (await get_function(pool, function_id)).status
        raise FunctionNotReady(function_id, status.value)
    return module


async def list_functions(
    pool: Pool,
    *,
    before: FunctionId | None,
    name: str | None,
    status: FunctionStatus | None,
    short_id: str | None,
    most: int,
) -> list[FunctionSummary]:
    """Newest first, older than the id `before`."""
    async with pool.acquire() as conn:
        return await functions.list_page(conn, before=before, name=name, status=status, short_id=short_id, most=most)


async def get_execution(pool: Pool, execution_id: ExecutionId) -> Execution:
    """Raises ExecutionNotFound."""
    async with pool.acquire() as conn:
        execution = await executions.get(conn, execution_id)
    if execution is None:
        raise ExecutionNotFound(execution_id)
    return execution


async def list_executions(
    pool: Pool, *, before: ExecutionId | None, status: ExecutionStatus | None, most: int
) -> list[ExecutionSummary]:
    """Newest first, of all functions."""
    async with pool.acquire() as conn:
        return await executions.list_page(conn, function_id=None, before=before, status=status, most=most)


async def find_executions(
    pool: Pool, short_id: str, *, before: ExecutionId | None
) -> tuple[list[ExecutionSummary], ExecutionId | None]:
    """Executions whose id ends so, among many older than the id `before`; and where to go on, if there are more."""
    async with pool.acquire() as conn:
        return await executions.find_short(conn, short_id, before=before)


async def list_executions_of(
    pool: Pool, function_id: FunctionId, *, before: ExecutionId | None, status: ExecutionStatus | None, most: int
) -> list[ExecutionSummary]:
    """Newest first, of one function. Raises FunctionNotFound."""
    async with pool.acquire() as conn:
        page = await executions.list_page(conn, function_id=function_id, before=before, status=status, most=most)
        if not page and await functions.get_runnable(conn, function_id) is None:
            raise FunctionNotFound(function_id)
    return page
