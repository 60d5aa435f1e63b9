"""Flows 1 and 2, the api's first half: a function and its compilation job are stored together, or not at all."""

import structlog

from projectnil.domain.errors import FunctionNotFound
from projectnil.domain.functions import Function, FunctionStatus, NewFunction
from projectnil.domain.ids import FunctionId
from projectnil.flows import jobs
from projectnil.postgres import functions, queues
from projectnil.postgres.connections import Connection, Pool, transaction

log = structlog.get_logger()


async def register(pool: Pool, new: NewFunction) -> Function:
    """Store the function as PENDING and queue its compilation."""
    async with transaction(pool) as conn:
        function = await functions.insert(conn, new)
        await jobs.publish(conn, function)
    log.info("function.created", functionId=function.id, name=function.name, language=function.language)
    jobs.log_published(function)
    return function


async def update(pool: Pool, function_id: FunctionId, new: NewFunction) -> Function:
    """Replace what the user said about a function, and compile it unless it is READY, or on its way, with that source.

    Raises FunctionNotFound.
    """
    async with transaction(pool) as conn:
        current = await functions.lock(conn, function_id)
        if current is None:
            raise FunctionNotFound(function_id)
        if (current.source, current.language) != (new.source, new.language):
            function = await functions.replace_source(conn, function_id, new)
        elif await _needs_no_job(conn, current):
            return await functions.rename(conn, function_id, new)
        else:
            function = await functions.restart(conn, function_id, new)
        await jobs.publish(conn, function)
    jobs.log_published(function)
    return function


async def _needs_no_job(conn: Connection, function: Function) -> bool:
    if not function.awaits_result:
        return function.status is FunctionStatus.READY
    return await queues.has_job_or_result(conn, function.id, function.revision)


async def delete(pool: Pool, function_id: FunctionId) -> None:
    """Remove a function, its executions and every message about it. Raises FunctionNotFound."""
    async with transaction(pool) as conn:
        if await functions.lock(conn, function_id) is None:
            raise FunctionNotFound(function_id)
        # The messages first: a compiler that reads one takes its locks in this order.
        await queues.delete_of_function(conn, function_id)
        await functions.delete(conn, function_id)
    log.info("function.deleted", functionId=function_id)
