"""Reading what there is: functions and their modules."""

from projectnil.domain.errors import FunctionNotFound, FunctionNotReady
from projectnil.domain.functions import Function, FunctionFilter, FunctionSummary, ModuleSha256
from projectnil.domain.ids import FunctionId
from projectnil.flows import names
from projectnil.postgres import functions
from projectnil.postgres.connections import Pool
from projectnil.postgres.functions import Module


async def get_function(pool: Pool, function_id: FunctionId) -> Function:
    """Raises FunctionNotFound."""
    async with pool.acquire() as conn:
        function = await functions.get(conn, function_id)
    if function is None:
        raise FunctionNotFound(function_id)
    return function


async def get_function_named(pool: Pool, name: str) -> Function:
    """Raises FunctionNameNotFound, FunctionNameShared."""
    async with pool.acquire() as conn:
        return await names.get(conn, name)


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


async def list_functions(pool: Pool, wanted: FunctionFilter, *, before: str | None, most: int) -> list[FunctionSummary]:
    """Newest first, older than the place `before` (see `place_of`)."""
    async with pool.acquire() as conn:
        return await functions.list_page(conn, wanted, before=before, most=most)
