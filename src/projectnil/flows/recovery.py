"""Recovery: what a dead process left RUNNING becomes FAILED, on whichever node notices its lapsed lease."""

import structlog

from projectnil.domain.errors import INTERRUPTED
from projectnil.domain.ids import ExecutionId, FunctionId, NodeId
from projectnil.postgres import executions, nodes
from projectnil.postgres.connections import Pool, transaction

log = structlog.get_logger()

# A lapsed node is watched for this long, in case it was only asleep and starts an execution before it notices.
_FORGET_AFTER_S = 60.0
# Its next execution may have an id from before it fell asleep.
_OVERLAP_S = _FORGET_AFTER_S + 30.0


async def recover(pool: Pool, node_id: NodeId) -> list[ExecutionId]:
    """Fail the executions of every other api process whose lease lapsed; returns them. node_id: who looks.

    A process never takes itself for dead: it may just have been kept from renewing for a while.
    """
    interrupted: list[tuple[ExecutionId, FunctionId]] = []
    async with transaction(pool) as conn:
        await nodes.delete_lapsed_compilers(conn)
        for node in await nodes.lock_lapsed(conn, node_id, _FORGET_AFTER_S):
            oldest = node.oldest_execution_id
            interrupted += await executions.interrupt(conn, node_id=node.id, oldest=oldest, message=INTERRUPTED)
            if node.forgotten:
                await nodes.delete(conn, node.id)
            else:
                await nodes.advance(conn, node.id, _OVERLAP_S)
    for execution_id, function_id in interrupted:
        log.warning("execution.interrupted", executionId=execution_id, functionId=function_id, error=INTERRUPTED)
    return [execution_id for execution_id, _ in interrupted]
