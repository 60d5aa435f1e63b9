"""What a caller wants to execute, and what is known of it: looked up once, and remembered.

A memory may be outdated at any time, for other nodes change functions too. So it is only where to begin: the insert of
an execution checks all of it, and refuses what no longer holds.
"""

from collections import OrderedDict

import msgspec

from projectnil.domain.errors import FunctionNotFound, FunctionNotReady
from projectnil.domain.functions import FunctionStatus
from projectnil.domain.ids import FunctionId
from projectnil.flows import names
from projectnil.postgres import functions
from projectnil.postgres.connections import Connection, Pool
from projectnil.postgres.functions import Runnable

_REMEMBERED = 10_000


class ById(msgspec.Struct, frozen=True):
    id: FunctionId


class ByName(msgspec.Struct, frozen=True):
    name: str


Target = ById | ByName


class Targets:
    """The READY functions that were executed lately, by id and by name."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._runnables: OrderedDict[FunctionId, Runnable] = OrderedDict()
        self._ids: OrderedDict[str, FunctionId] = OrderedDict()

    async def look(self, target: Target) -> tuple[FunctionId, Runnable]:
        """The function and what runs, perhaps of before.

        Raises FunctionNotFound, FunctionNotReady, and for a name FunctionNameShared: never because of a memory.
        """
        function_id = target.id if isinstance(target, ById) else self._ids.get(target.name)
        runnable = self._runnables.get(function_id) if function_id is not None else None
        if function_id is not None and runnable is not None:
            self._runnables.move_to_end(function_id)
            return function_id, runnable
        async with self._pool.acquire() as conn:
            function_id, runnable = await _fetch(conn, target)
        self._remember(target, function_id, runnable)
        return function_id, runnable

    def forget(self, target: Target, function_id: FunctionId) -> None:
        """Look it up the next time."""
        self._runnables.pop(function_id, None)
        if isinstance(target, ByName):
            self._ids.pop(target.name, None)

    def _remember(self, target: Target, function_id: FunctionId, runnable: Runnable) -> None:
        self._runnables[function_id] = runnable
        if len(self._runnables) > _REMEMBERED:
            self._runnables.popitem(last=False)
        if isinstance(target, ByName):
            self._ids[target.name] = function_id
            if len(self._ids) > _REMEMBERED:
                self._ids.popitem(last=False)


async def _fetch(conn: Connection, target: Target) -> tuple[FunctionId, Runnable]:
    function_id = target.id if isinstance(target, ById) else await names.find(conn, target.name)
    runnable = await functions.get_runnable(conn, function_id)
    if runnable is None:
        raise FunctionNotFound(function_id)
    if runnable.status is not FunctionStatus.READY:
        raise FunctionNotReady(function_id, runnable.status.value)
    return function_id, runnable
