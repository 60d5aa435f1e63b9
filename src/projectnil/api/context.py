"""What the handlers work with."""

import msgspec
from starlette.requests import Request

from projectnil.api.memory import HOLDING, Holding, TransferMemory
from projectnil.config import Settings
from projectnil.domain.limits import Limits
from projectnil.flows.execution import Executor
from projectnil.flows.troubles import Troubles
from projectnil.postgres.connections import Pool
from projectnil.sandbox.pool import SandboxPool

CONTEXT = "projectnil.context"


class ApiContext(msgspec.Struct, frozen=True):
    """The parts of the platform that one api process has. page_pool: for lists of executions."""

    settings: Settings
    pool: Pool
    page_pool: Pool
    sandbox: SandboxPool
    executor: Executor
    troubles: Troubles
    memory: TransferMemory

    @property
    def limits(self) -> Limits:
        return self.settings.limits


def context_of(request: Request) -> ApiContext:
    """The parts the application was made with."""
    context: ApiContext = request.scope[CONTEXT]
    return context


def holding_of(request: Request) -> Holding:
    """What a large request holds in memory, until it is answered."""
    scope = request.scope
    if HOLDING not in scope:
        scope[HOLDING] = Holding(scope[CONTEXT].memory)
    holding: Holding = scope[HOLDING]
    return holding
