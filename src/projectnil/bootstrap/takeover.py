"""What another platform holds may be free in a moment: killed processes end one after the other, not at once."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from projectnil.domain.errors import PlatformUnavailable

Held = TypeVar("Held")

_PATIENCE_S = 3.0
_TRY_EVERY_S = 0.05


class InUse(PlatformUnavailable):
    """Another process holds it."""


async def taken_over(take: Callable[[], Held]) -> Held:
    """What `take` returns, which is tried again for a few seconds while it raises InUse; then that is raised."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _PATIENCE_S
    while True:
        try:
            return take()
        except InUse:
            if clock() > deadline:
                raise
        await asyncio.sleep(_TRY_EVERY_S)
