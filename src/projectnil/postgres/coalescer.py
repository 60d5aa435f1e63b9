"""Gathers the rows of concurrent requests into one statement and one commit.

No row waits for a timer: one that comes while no write is under way is written at once, and the rows that come
during a write make up the next one. A write that is stuck, behind a lock say, holds up its own rows only: another
takes over. Replies are sent after the commit of their row.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from projectnil.postgres.connections import Connection, KeptConnections, Pool
from projectnil.postgres.errors import ROW_ERRORS, TRY_AGAIN

Row = TypeVar("Row")
Answer = TypeVar("Answer")

_MOST_ROWS = 256
_MOST_BYTES = 8 * 1024 * 1024
_TRIES_AFTER_DEADLOCK = 5
# A write that takes longer is stuck.
_STUCK_AFTER_S = 0.25
MOST_WRITERS = 4


class Coalescer(Generic[Row, Answer]):
    """Writes rows through `write`, which stores all of them in one statement and answers each, or stores none."""

    def __init__(
        self,
        pool: Pool,
        write: Callable[[Connection, Sequence[Row]], Awaitable[list[Answer]]],
        size_bytes: Callable[[Row], int],
    ) -> None:
        """size_bytes: how much a row weighs; a statement carries only so much, unless one row alone is more."""
        self._connections = KeptConnections(pool)
        self._write = write
        self._size_bytes = size_bytes
        self._waiting: list[tuple[Row, asyncio.Future[Answer]]] = []
        self._writer: object | None = None
        self._writers: dict[object, asyncio.Task[None]] = {}  # with those that are stuck

    async def submit(self, row: Row) -> Answer:
        """Store one row; returns its answer once it is committed. Raises what the write of this row raised."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        self._write_soon()
        return await future

    def _write_soon(self) -> None:
        if self._waiting and self._writer is None and len(self._writers) < MOST_WRITERS:
            writer = self._writer = object()
            self._writers[writer] = asyncio.create_task(self._write_until_empty(writer))

    async def _write_until_empty(self, writer: object) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting and self._writer is writer:
                timer = loop.call_later(_STUCK_AFTER_S, self._replace_writer)
                try:
                    await self._write_batch(self._next_batch())
                finally:
                    timer.cancel()
        finally:
            del self._writers[writer]
            if self._writer in (writer, None):
                self._replace_writer()

    def _replace_writer(self) -> None:
        self._writer = None
        self._write_soon()

    def _next_batch(self) -> list[tuple[Row, asyncio.Future[Answer]]]:
        size_bytes = 0
        count = 0
        for row, _ in self._waiting[:_MOST_ROWS]:
            size_bytes += self._size_bytes(row)
            if count and size_bytes > _MOST_BYTES:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _write_batch(self, batch: list[tuple[Row, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._write_rows([row for row, _ in batch])
        except ROW_ERRORS as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            # One row that Postgres cannot hold must not fail the others.
            for single in batch:
                await self._write_batch([single])
        except BaseException as error:
            _fail(batch, error)
            if not isinstance(error, Exception):
                raise
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def _write_rows(self, rows: list[Row]) -> list[Answer]:
        for tries_left in reversed(range(_TRIES_AFTER_DEADLOCK)):
            try:
                async with self._connections.acquire() as conn:
                    return await self._write(conn, rows)
            except TRY_AGAIN:
                # A batch locks rows of many functions; deleting one of them locks the same rows in another order.
                if not tries_left:
                    raise
        raise AssertionError("unreachable")


def _fail(batch: list[tuple[Row, asyncio.Future[Answer]]], error: BaseException) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
