"""A function's source becomes a job in the queue of the compilers."""

import structlog

from projectnil.domain.compilation import JOBS_QUEUE, CompilationJob, MessageHeaders
from projectnil.domain.functions import Function
from projectnil.postgres import queues
from projectnil.postgres.connections import Connection

log = structlog.get_logger()


async def publish(conn: Connection, function: Function) -> None:
    """Queue the compilation of the source that `function` has."""
    job = CompilationJob(function_id=function.id, language=function.language, source=function.source)
    await queues.send(conn, JOBS_QUEUE, job, MessageHeaders(revision=function.revision))


def log_published(function: Function) -> None:
    """To be said once the job is committed."""
    log.info("compilation.job.published", functionId=function.id, revision=function.revision)
