"""Flows 1 and 2, the api's first half: a function and its compilation job are stored together, or not at all."""

import structlog

from projectnil.domain.compilation import JOBS_QUEUE, CompilationJob
from projectnil.domain.errors import FunctionNotFound
from projectnil.domain.functions import Function, NewFunction
from projectnil.domain.ids import FunctionId
from projectnil.postgres import functions, queues
from projectnil.postgres.connections import Connection, Pool, transaction

log = structlog.get_logger()


async def register(pool: Pool, new: NewFunction) -> Function:
    """Store the function as PENDING and queue its compilation."""
    async with transaction(pool) as conn:
        function = await functions.insert(conn, new)
        await _publish_job(conn, function)
    log.info("function.created", functionId=function.id, name=function.name, language=function.language)
    _log_published(function)
    return function


async def update(pool: Pool, function_id: FunctionId, new: NewFunction) -> Function:
    """Replace what the user said about a function; only another source or language compiles it anew.

    Raises FunctionNotFound.
    """
    async with transaction(pool) as conn:
        current = await functions.lock(conn, function_id)
        if current is None:
            raise FunctionNotFound(function_id)
        if (current.source, current.language) == (new.source, new.language):
            return await functions.rename(conn, function_id, new)
        function = await functions.replace_source(conn, function_id, new)
        await _publish_job(conn, function)
    _log_published(function)
    return function


async def delete(pool: Pool, function_id: FunctionId) -> None:
    """Remove a function and its executions. Raises FunctionNotFound."""
    async with transaction(pool) as conn:
        deleted = await functions.delete(conn, function_id)
    if not deleted:
        raise FunctionNotFound(function_id)
    log.info("function.deleted", functionId=function_id)


async def _publish_job(conn: Connection, function: Function) -> None:
    job = CompilationJob(
        function_id=function.id,
        language=function.language,
        source=function.source,
        revision=function.revision,
    )
    await queues.send(conn, JOBS_QUEUE, job)


def _log_published(function: Function) -> None:
    log.info("compilation.job.published", functionId=function.id, revision=function.revision)
