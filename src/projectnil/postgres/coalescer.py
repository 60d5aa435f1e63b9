"""Gathers the rows of concurrent requests into one statement and one commit.

Nobody waits for a timer: a row that comes while no write is under way is written at once, and the rows that come
during a write make up the next one. Nobody is answered before the commit of their row.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from projectnil.postgres.connections import Connection, Pool
from projectnil.postgres.errors import ROW_ERRORS, TRY_AGAIN

Row = TypeVar("Row")
Answer = TypeVar("Answer")

_MOST_ROWS = 256
_MOST_BYTES = 8 * 1024 * 1024
_TRIES_AFTER_DEADLOCK = 5


class Coalescer(Generic[Row, Answer]):
    """Writes rows through `write`, which stores all of them in one statement and answers each, or stores none."""

    def __init__(
        self,
        pool: Pool,
        write: Callable[[Connection, Sequence[Row]], Awaitable[list[Answer]]],
        size_bytes: Callable[[Row], int],
    ) -> None:
        """size_bytes: how much a row weighs; a statement carries only so much, unless one row alone is more."""
        self._pool = pool
        self._write = write
        self._size_bytes = size_bytes
        self._is_writing = False
        self._waiting: list[tuple[Row, asyncio.Future[Answer]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, row: Row) -> Answer:
        """Store one row; returns its answer once it is committed. Raises what the write of this row raised."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        if not self._is_writing:
            self._is_writing = True
            task = asyncio.create_task(self._write_until_empty())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _write_until_empty(self) -> None:
        try:
            while self._waiting:
                await self._write_batch(self._next_batch())
        finally:
            self._is_writing = False

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
                async with self._pool.acquire() as conn:
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
