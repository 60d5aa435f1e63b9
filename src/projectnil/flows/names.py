"""Functions by their names, which need not be unique: a name means a function while no other has it."""

from projectnil.domain.errors import FunctionNameNotFound, FunctionNameShared, Overloaded
from projectnil.domain.functions import Function
from projectnil.domain.ids import FunctionId
from projectnil.postgres import functions
from projectnil.postgres.connections import Connection

_IDS_SHOWN = 100
_LOOKS_AT_A_CHANGING_NAME = 5


async def find(conn: Connection, name: str) -> FunctionId:
    """The only function of this name. Raises FunctionNameNotFound, FunctionNameShared."""
    function_id = await _find(conn, name)
    if function_id is None:
        raise FunctionNameNotFound(name)
    return function_id


async def get(conn: Connection, name: str) -> Function:
    """All of the only function of this name. Raises FunctionNameNotFound, FunctionNameShared."""
    function = await functions.get(conn, await find(conn, name))
    if function is None:  # deleted between the two looks
        raise FunctionNameNotFound(name)
    return function


async def lock(conn: Connection, name: str) -> Function | None:
    """As `get`, held until the transaction ends; None when no function has the name. Raises FunctionNameShared."""
    for _ in range(_LOOKS_AT_A_CHANGING_NAME):
        function_id = await _find(conn, name)
        if function_id is None:
            return None
        function = await functions.lock(conn, function_id)
        if function is not None and function.name == name:
            return function
    raise Overloaded(f"functions named {name!r} come and go too fast")


async def _find(conn: Connection, name: str) -> FunctionId | None:
    ids, total = await functions.ids_of_name(conn, name, _IDS_SHOWN)
    if total > 1:
        raise FunctionNameShared(name, ids, total)
    return ids[0] if ids else None
