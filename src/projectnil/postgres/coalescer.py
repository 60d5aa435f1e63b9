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
_TRIES_AFTER_DEADLOCK = 5


class Coalescer(Generic[Row, Answer]):
    """Writes rows through `write`, which stores all of them in one statement and answers each, or stores none."""

    def __init__(
        self,
        pool: Pool,
        write: Callable[[Connection, Sequence[Row]], Awaitable[list[Answer]]],
        writers: int = 1,
    ) -> None:
        self._pool = pool
        self._write = write
        self._free_writers = writers
        self._waiting: list[tuple[Row, asyncio.Future[Answer]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, row: Row) -> Answer:
        """Store one row; returns its answer once it is committed. Raises what the write of this row raised."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        if self._free_writers:
            self._free_writers -= 1
            task = asyncio.create_task(self._write_until_empty())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _write_until_empty(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST_ROWS], self._waiting[_MOST_ROWS:]
                await self._write_batch(batch)
        finally:
            self._free_writers += 1

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
