"""Flows 1 and 2, the api's first half: a function and its compilation job are stored together, or not at all."""

import structlog

from projectnil.domain.errors import FunctionNameNotFound, FunctionNotFound
from projectnil.domain.functions import Function, FunctionStatus, NewFunction
from projectnil.domain.ids import FunctionId
from projectnil.flows import jobs, names
from projectnil.postgres import functions, queues
from projectnil.postgres.connections import Connection, Pool, transaction

log = structlog.get_logger()


async def register(pool: Pool, new: NewFunction) -> Function:
    """Store the function as PENDING and queue its compilation."""
    async with transaction(pool) as conn:
        function = await _insert(conn, new)
    _log_created(function)
    return function


async def update(pool: Pool, function_id: FunctionId, new: NewFunction) -> Function:
    """Replace what the user said about a function, and compile it unless it is READY, or on its way, with that source.

    Raises FunctionNotFound.
    """
    async with transaction(pool) as conn:
        current = await functions.lock(conn, function_id)
        if current is None:
            raise FunctionNotFound(function_id)
        function, has_job = await _change(conn, current, new)
    if has_job:
        jobs.log_published(function)
    return function


async def put(pool: Pool, new: NewFunction) -> tuple[Function, bool]:
    """Update the only function of this name, or register the first; returns it, and whether it is new.

    Of several that do so at once, one registers it. Raises FunctionNameShared.
    """
    async with transaction(pool) as conn:
        await functions.lock_name(conn, new.name)
        current = await names.lock(conn, new.name)
        if current is None:
            function, has_job = await _insert(conn, new), True
        else:
            function, has_job = await _change(conn, current, new)
    if current is None:
        _log_created(function)
    elif has_job:
        jobs.log_published(function)
    return function, current is None


async def _needs_no_job(conn: Connection, function: Function) -> bool:
    if not function.awaits_result:
        return function.status is FunctionStatus.READY
    return await queues.has_job_or_result(conn, function.id, function.revision)


async def delete(pool: Pool, function_id: FunctionId) -> None:
    """Remove a function, its executions and every message about it. Raises FunctionNotFound."""
    async with transaction(pool) as conn:
        if await functions.lock(conn, function_id) is None:
            raise FunctionNotFound(function_id)
        await _delete(conn, function_id)
    log.info("function.deleted", functionId=function_id)


async def delete_named(pool: Pool, name: str) -> None:
    """As `delete`, of the only function of this name. Raises FunctionNameNotFound, FunctionNameShared."""
    async with transaction(pool) as conn:
        function = await names.lock(conn, name)
        if function is None:
            raise FunctionNameNotFound(name)
        await _delete(conn, function.id)
    log.info("function.deleted", functionId=function.id)


async def _delete(conn: Connection, function_id: FunctionId) -> None:
    # The messages first: a compiler that reads one takes its locks in this order.
    await queues.delete_of_function(conn, function_id)
    await functions.delete(conn, function_id)


async def _insert(conn: Connection, new: NewFunction) -> Function:
    function = await functions.insert(conn, new)
    await jobs.publish(conn, function)
    return function


async def _change(conn: Connection, current: Function, new: NewFunction) -> tuple[Function, bool]:
    """current: the row, locked. Returns what became of it, and whether there is a job for it."""
    if (current.source, current.language) != (new.source, new.language):
        function = await functions.replace_source(conn, current.id, new)
    elif await _needs_no_job(conn, current):
        return await functions.rename(conn, current.id, new), False
    else:
        function = await functions.restart(conn, current.id, new)
    await jobs.publish(conn, function)
    return function, True


def _log_created(function: Function) -> None:
    log.info("function.created", functionId=function.id, name=function.name, language=function.language)
    jobs.log_published(function)
