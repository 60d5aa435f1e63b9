"""The compiler service: woken by NOTIFY, polling as the fallback; ends with an error when the database is gone."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from projectnil.compiler.pool import SPARES
from projectnil.compiler.toolchain import Toolchain
from projectnil.config import Settings
from projectnil.domain.compilation import JOBS_QUEUE, RESULTS_QUEUE
from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.ids import NodeId, new_node_id
from projectnil.domain.languages import Language
from projectnil.flows import compilation
from projectnil.flows.lanes import Lanes, Worker
from projectnil.postgres import nodes, queues, turns
from projectnil.postgres.connections import Connection, Pool
from projectnil.postgres.errors import CONNECTION_ERRORS
from projectnil.postgres.listening import Wakeup, listening

log = structlog.get_logger()

_POLL_S = 2.0


class CompilerService:
    """Serves the jobs of its toolchains' languages until it is told to stop."""

    def __init__(
        self, settings: Settings, pool: Pool, database_url: str, toolchains: Mapping[Language, Toolchain]
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._database_url = database_url
        self._toolchains = toolchains
        self._processes = settings.compiler_processes + SPARES
        self._stopping = False
        self._wakeups: list[Wakeup] = []

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Raises PlatformUnavailable when a queue is missing or the database is gone."""
        await self._verify_queues()
        node_id = new_node_id()
        wakeup = self._new_wakeup()
        try:
            async with listening(self._database_url, [JOBS_QUEUE], wakeup) as listener:
                await self._start_toolchains()
                await self._renew(node_id)
                on_ready()
                log.info("compiler.ready", languages=[language.value for language in self._toolchains])
                await self._serve(node_id, listener, wakeup)
            async with self._pool.acquire() as conn:
                await nodes.delete(conn, node_id)
        except* CONNECTION_ERRORS as errors:
            raise PlatformUnavailable(f"the database is gone: {errors.exceptions[0]}") from errors
        finally:
            await asyncio.gather(*(toolchain.stop() for toolchain in self._toolchains.values()))

    def stop(self) -> None:
        """Take no more jobs; `run` returns once those under way are answered."""
        self._stopping = True
        self._wake_all()

    async def _verify_queues(self) -> None:
        async with self._pool.acquire() as conn:
            missing = await queues.missing(conn, [JOBS_QUEUE, RESULTS_QUEUE])
            if missing:
                raise PlatformUnavailable(f"the queue {missing[0]} does not exist: run 'pnil migrate' first")
            await turns.drop_leftover(conn)
            if not await turns.has_triggers(conn):
                log.warning("queue.without_triggers", queue=JOBS_QUEUE)

    async def _start_toolchains(self) -> None:
        await asyncio.gather(*(toolchain.start() for toolchain in self._toolchains.values()))

    async def _renew(self, node_id: NodeId) -> None:
        languages = [language.value for language in self._toolchains]
        async with self._pool.acquire() as conn:
            await nodes.renew_compiler(conn, node_id, self._settings.lease_s, languages)

    async def _serve(self, node_id: NodeId, listener: Connection, notified: Wakeup) -> None:
        """Returns when stopped; raises what any of the loops raised."""
        async with asyncio.TaskGroup() as loops:
            workers = [
                loops.create_task(self._take_jobs(toolchain, Worker(lanes), self._new_wakeup()))
                for toolchain, lanes in ((toolchain, self._new_lanes()) for toolchain in self._toolchains.values())
                for _ in range(self._processes)
            ]
            workers.append(loops.create_task(self._answer_unserved(self._new_wakeup())))
            background = [
                loops.create_task(self._keep_lease(node_id)),
                loops.create_task(self._pass_on(listener, notified)),
            ]
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for task in background:
                task.cancel()

    def _new_lanes(self) -> Lanes:
        return Lanes(self._processes, self._settings.compile_slow_s, self._wake_all)

    def _wake_all(self) -> None:
        for wakeup in self._wakeups:
            wakeup.set()

    def _new_wakeup(self) -> Wakeup:
        wakeup = Wakeup()
        self._wakeups.append(wakeup)
        return wakeup

    async def _pass_on(self, listener: Connection, notified: Wakeup) -> None:
        """One notification wakes every worker."""
        while True:
            await notified.wait(_POLL_S)
            if listener.is_closed():
                raise PlatformUnavailable("the database is gone")
            for wakeup in self._wakeups:
                if wakeup is not notified:
                    wakeup.set()

    async def _take_jobs(self, toolchain: Toolchain, worker: Worker, wakeup: Wakeup) -> None:
        visibility_s, max_reads = self._settings.job_visibility_s, self._settings.compiler_max_reads
        while not self._stopping:
            if not await compilation.compile_next(
                self._pool, toolchain, visibility_s=visibility_s, max_reads=max_reads, worker=worker
            ):
                await wakeup.wait(_POLL_S)

    async def _answer_unserved(self, wakeup: Wakeup) -> None:
        while not self._stopping:
            if not await compilation.answer_unserved(
                self._pool, Language, visibility_s=self._settings.job_visibility_s
            ):
                await wakeup.wait(_POLL_S)

    async def _keep_lease(self, node_id: NodeId) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            await self._renew(node_id)
