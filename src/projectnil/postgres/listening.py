"""Waking on NOTIFY."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from projectnil.postgres.connections import Connection, connect


class Wakeup:
    """Set by a notification; waiting for it also ends after a while, so that a lost one only delays."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self, *_: object) -> None:
        """Accepts whatever a listener is called with."""
        self._event.set()

    async def wait(self, at_most_s: float) -> None:
        """Return at the next notification, or one that came since the last wait, or after `at_most_s`."""
        try:
            await asyncio.wait_for(self._event.wait(), at_most_s)
        except TimeoutError:
            return
        finally:
            self._event.clear()


@asynccontextmanager
async def listening(database_url: str, channels: Iterable[str], wakeup: Wakeup) -> AsyncIterator[Connection]:
    """A connection of its own that sets `wakeup` at every notification, and when the connection is lost.

    Raises PlatformUnavailable when it cannot connect.
    """
    conn = await connect(database_url)
    try:
        conn.add_termination_listener(wakeup.set)
        for channel in channels:
            await conn.add_listener(channel, wakeup.set)
        yield conn
    finally:
        conn.terminate()
