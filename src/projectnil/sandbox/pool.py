"""The sandbox processes of one api process: fed, grown under long-running guests, shrunk again, replaced when lost."""

import asyncio
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from projectnil.domain.errors import Overloaded, PlatformUnavailable
from projectnil.domain.executions import Completed, Failed
from projectnil.domain.functions import ModuleSha256
from projectnil.domain.guest_errors import GuestTimedOut
from projectnil.domain.limits import Limits
from projectnil.sandbox.admission import ADMISSION_WAIT_S, Admission, Ticket, give_up
from projectnil.sandbox.child import START_TIMEOUT_S, NotBegun, ProcessLost, ProcessOverdue, SandboxProcess
from projectnil.sandbox.code_cache import ModuleFile
from projectnil.sandbox.forking import ForkServer
from projectnil.sandbox.line import Line, Place
from projectnil.sandbox.modules import LoadWasm, Modules, Translation, Wanted
from projectnil.sandbox.priority import nice_among
from projectnil.sandbox.protocol import CannotRun, Reply, Role, Run, Starved

# So many guests are given to a process at once, so that it need not wait for the next one.
DEPTH = 8
# Nothing more is given to a process whose guest has run longer than this: it may take long.
BRISK_S = 0.005
# A waiter this old, with nothing but long guests before it, is worth another process.
LONG_WAIT_S = 0.02
# The process's own clock comes first; a process that misses its time by this much is killed.
KILL_GRACE_S = 3.0
_ENOUGH_TO_KEEP_ONE = 4
_MOST_RESPAWN_DELAY_S = 5.0

_log = structlog.get_logger()


class PoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """available: can a guest run now, or after waiting its turn? problem: why not, or what went wrong last.

    cache_problem: why functions that are new to this process cannot be run.
    """

    available: bool
    processes: int
    busy: int
    waiting: int
    max_processes: int
    problem: str | None = None
    cache_problem: str | None = None


class SandboxPool:
    """Runs guests in processes of its own. Belongs to one event loop, whose thread must outlive the pool:
    the processes die with the thread that started them."""

    def __init__(
        self, limits: Limits, module_cache_dir: Path, *, processes: int, max_processes: int, idle_s: float
    ) -> None:
        """processes: kept at all times. max_processes: at most. idle_s: how long a spare one may idle."""
        self._limits = limits
        self._fork_server = ForkServer()
        self._module_cache_dir = str(module_cache_dir)
        self._modules = Modules(module_cache_dir, limits, self._fork_server)
        self._fewest = processes
        self._most = max_processes
        self._idle_s = idle_s
        self._processors = len(os.sched_getaffinity(0))
        self._enough = max(processes, os.cpu_count() or 1)
        self._all: set[SandboxProcess] = set()
        self._leaving: set[SandboxProcess] = set()
        self._idle: deque[SandboxProcess] = deque()  # the most recently used at the right
        # One function's long guests leave a process to the others, where there are enough.
        self._most_of_one = max_processes - 1 if max_processes >= _ENOUGH_TO_KEEP_ONE else max_processes
        self._admission = Admission(self._queued, self._free, self._overloaded, self._most_of_one)
        self._slots: Line[SandboxProcess] = Line(self._admission.inside)  # executions waiting for a process
        self._starting = 0  # with those that are to start after a pause
        self._coming = 0  # those that have begun to start
        self._failed_starts = 0
        self._problem: str | None = None
        self._is_stopping = False
        self._quiet = asyncio.Event()  # no guest runs; looked at when stopping
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen: set[tuple[SandboxProcess, int]] = set()  # what was under way when growth was last considered
        self._growth: asyncio.TimerHandle | None = None
        self._shrinking: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Open the module cache and start the first processes.

        Raises PlatformUnavailable when the cache is not safe to use or a process does not come up.
        """
        self._loop = asyncio.get_running_loop()
        self._modules.open()
        starts = (self._start_process() for _ in range(self._fewest))
        failures = [failure for failure in await asyncio.gather(*starts, return_exceptions=True) if failure]
        if failures:
            await self.stop(0)
            raise failures[0]

    async def stop(self, grace_s: float) -> None:
        """Turn away who waits, give running guests up to grace_s seconds, then end every process. Safe to repeat."""
        self._is_stopping = True
        for timer in (self._growth, self._shrinking):
            if timer is not None:
                timer.cancel()
        self._turn_everyone_away()
        await self._until_quiet(grace_s)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._modules.close()
        processes = [*self._all, *self._leaving]
        for process in processes:
            process.kill()
        await asyncio.gather(*(process.ended() for process in processes))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fork_server.close()

    async def ensure_module(self, sha256: ModuleSha256, load_wasm: LoadWasm) -> Translation:
        """The machine code of a module, made from `await load_wasm()` if it is not there yet.

        Returns GuestBrokeAbi when the module cannot run here. Raises PlatformUnavailable, and what load_wasm raises.
        Callers who want the same module at the same time share one translation.
        """
        return await self._modules.ensure(sha256, load_wasm)

    async def remove_unwanted_modules(self, wanted: Wanted) -> list[ModuleSha256]:
        """See Modules.remove_unwanted."""
        return await self._modules.remove_unwanted(wanted)

    async def admit(self, function: str = "") -> Ticket:
        """Return when an execution may begin. Call it before recording the execution, and `run`, or `withdraw`, after.

        function: whose execution it is; those of one function wait behind each other. Raises Overloaded when every
        process is held by a long-running guest and none comes free within a second.
        """
        self._refuse_if_stopping()
        return await self._admission.enter(function)

    def withdraw(self, ticket: Ticket) -> None:
        """The one that was admitted with this ticket will not come to run."""
        self._admission.withdraw(ticket)
        self._admission.let_in()

    async def run(
        self, module: ModuleFile, input_json: bytes, function: str = "", ticket: Ticket | None = None
    ) -> Completed | Failed:
        """Run the guest. input_json: JSON text in UTF-8, checked already. function, ticket: as `admit` took and gave.

        Raises PlatformUnavailable when the sandbox was lost, or the machine code unusable; Overloaded when no process
        came free within a second, and the guest never began. Cancelling it kills the process of a guest that has begun.
        """
        request = Run(module.code_path, module.wasm_path, input_json)
        since = self._loop.time()
        self._admission.begin(function, ticket)
        try:
            while True:
                process = await self._take(function, since)
                try:
                    reply = await self._ask(process, module, request, function)
                except NotBegun:
                    self._give_back(process)
                else:
                    break
            self._admission.finished(function, process.took_s)
            self._give_back(process)
        finally:
            self._admission.end(function)
        return self._outcome(module, reply)

    async def _ask(self, process: SandboxProcess, module: ModuleFile, request: Run, function: str) -> Reply:
        reply = process.ask(request, self._limits.execution_timeout_s, function, KILL_GRACE_S)
        try:
            return await reply
        except ProcessOverdue as error:
            if process.is_slow and error.was_running:
                # Its guest ran through its time, and its own clock did not come to end it.
                return Failed(GuestTimedOut(self._limits.execution_timeout_s), logs="")
            raise PlatformUnavailable(f"the sandbox process {process.pid} did not answer and was killed") from error
        except ProcessLost as error:
            if module.is_snapshot:
                self._modules.discard(module)  # perhaps it was the snapshot's doing
            raise PlatformUnavailable(
                f"the sandbox process {process.pid} was lost before the function finished"
            ) from error
        except NotBegun:
            raise
        except BaseException:
            if process.is_under_way(reply):
                process.kill()
            else:
                self._give_back(process)
            raise

    def status(self) -> PoolStatus:
        """For /health. Counts of this moment."""
        busy = len(self._all) - len(self._idle)
        return PoolStatus(
            available=bool(self._all) and not self._is_stopping,
            processes=len(self._all),
            busy=busy,
            waiting=self._slots.length + len(self._admission),
            max_processes=self._most,
            problem=self._problem,
            cache_problem=self._modules.cache_problem(),
        )

    def process_ids(self) -> frozenset[int]:
        """The processes that run guests at this moment, or wait for one."""
        return frozenset(process.pid for process in self._all)

    def _outcome(self, module: ModuleFile, reply: Reply) -> Completed | Failed:
        match reply:
            case Completed() | Failed():
                return reply
            case CannotRun(problem, code_is_bad):
                if code_is_bad or module.is_snapshot:
                    self._modules.discard(module)
                raise PlatformUnavailable(f"the sandbox could not run the module: {problem}")
            case Starved(time_s):
                raise PlatformUnavailable(
                    f"the function was kept from running: its process was stopped, or hardly got a processor in the "
                    f"{time_s:g} s of its limit"
                )
            case _:
                raise PlatformUnavailable("the sandbox gave an answer of the wrong kind")

    def _free(self) -> int:
        """How many processes are idle, or may yet be started."""
        return len(self._idle) + self._most - len(self._all)

    def _overloaded(self) -> Overloaded:
        return Overloaded(
            f"all {self._most} sandbox processes are busy with long-running functions; try again in a moment, or allow "
            f"more of them (PROJECTNIL_SANDBOX_MAX_PROCESSES)"
        )

    def _refuse_if_stopping(self) -> None:
        if self._is_stopping:
            raise PlatformUnavailable("the sandbox pool is stopping")

    # Handing out processes

    async def _take(self, function: str, since: float) -> SandboxProcess:
        """A process to give a guest to; `_give_back` it. since: when its caller came.

        Raises Overloaded when none is free, or on its way, a second after that.
        """
        self._refuse_if_stopping()
        process = self._free_process() if self._may_begin_at_once(function) else None
        if process is not None:
            process.assign(function)
            return process
        waiter: Place[SandboxProcess] = Place(function, since, self._loop.create_future())
        self._slots.add(waiter)
        self._plan_growth()
        timer = self._loop.call_at(since + ADMISSION_WAIT_S, self._look_after, waiter)
        try:
            return await waiter.future
        except BaseException:
            if waiter in self._slots:
                self._slots.remove(waiter)
            elif waiter.future.done() and not waiter.future.cancelled() and not waiter.future.exception():
                self._give_back(waiter.future.result())  # it came in the moment the caller went away
            raise
        finally:
            timer.cancel()

    def _look_after(self, waiter: Place[SandboxProcess]) -> None:
        """It has waited its time: it is told so, unless a process is on its way, and the last one came up."""
        if waiter.future.done():
            return
        now = self._loop.time()
        if self._coming and not self._failed_starts and now < waiter.since + START_TIMEOUT_S:
            self._loop.call_at(now + LONG_WAIT_S, self._look_after, waiter)
        else:
            give_up(waiter.future, self._overloaded())

    def _queued(self) -> dict[str, int]:
        return self._slots.counts(self._may_have_another()) if self._slots.length else {}

    def _may_begin_at_once(self, function: str) -> bool:
        """Is it this one's turn, with none before it?"""
        if not self._slots.length and self._admission.is_quick(function):
            is_full = len(self._all) >= self._most
            if not is_full or function not in self._long_held_by():  # without counting what each function holds
                return True
        may_have_another = self._may_have_another()
        return may_have_another(function) and self._slots.first(may_have_another) is None

    def _may_have_another(self) -> Callable[[str], bool]:
        """Of which functions, as things are: one whose guests take long, or may do so, does not get every process.

        One that is known to be quick may have the last one too, unless a guest of it has one for longer than that: the
        word that they take long is on its way.
        """
        is_quick, most_of_one = self._admission.is_quick, self._most_of_one
        holding: tuple[Counter[str], Counter[str]] | None = None

        def may_have_another(function: str) -> bool:
            nonlocal holding
            if is_quick(function) and len(self._all) < self._most:
                return True
            if holding is None:  # only now, as nearly all are quick
                holding = self._holding()
            held, long_held = holding
            return held[function] < most_of_one or (is_quick(function) and not long_held[function])

        return may_have_another

    def _holding(self) -> tuple[Counter[str], Counter[str]]:
        """How many processes each function holds, and how many of them for longer than a brisk guest does."""
        held = Counter(process.function for process in self._all if process.assigned)
        return held, Counter(self._long_held_by())

    def _long_held_by(self) -> Iterator[str]:
        """The function of each process whose guest has it for longer than a brisk one does."""
        brisk_since = self._loop.time() - BRISK_S
        for process in self._all:
            if process.assigned and (process.is_slow or process.begun_at < brisk_since):
                yield process.function

    def _free_process(self) -> SandboxProcess | None:
        """An idle process, or the least loaded of those that are brisk; None when there is neither."""
        while self._idle:
            process = self._idle.pop()
            if not process.is_lost:
                return process
        now = self._loop.time()
        brisk = [
            each for each in self._all if each.assigned < DEPTH and not each.is_slow and now - each.begun_at < BRISK_S
        ]
        return min(brisk, key=_load, default=None)

    def _give_back(self, process: SandboxProcess) -> None:
        process.assigned -= 1
        self._offer(process)

    def _offer(self, process: SandboxProcess) -> None:
        """The process can take a guest, or one more."""
        if process.is_lost:
            return
        if not process.assigned:
            process.idle_since = self._loop.time()
            self._idle.append(process)
        self._serve_waiters()
        self._admission.let_in()
        if self._is_stopping:
            self._note_quiet()
        if self._shrinking is None and len(self._all) > self._fewest:
            self._shrinking = self._loop.call_later(self._idle_s, self._shrink)

    def _serve_waiters(self) -> None:
        while self._slots.length and (waiter := self._slots.first(self._may_have_another())) is not None:
            process = self._free_process()
            if process is None:
                return
            self._slots.remove(waiter)
            if not waiter.future.done():
                process.assign(waiter.function)
                waiter.future.set_result(process)
            elif not process.assigned:
                self._idle.append(process)

    # Size

    def _plan_growth(self) -> None:
        if self._growth is None and not self._is_stopping and self._size() < self._most:
            self._seen = self._under_way()
            self._growth = self._loop.call_later(LONG_WAIT_S, self._grow)

    def _grow(self) -> None:
        self._growth = None
        if not self._slots.length or self._is_stopping:
            return
        # Seen twice at the same guest, a process is stuck. The others move, and more of them than there are CPUs
        # would only slow each other down. (A clock would blame them for the delays of this event loop.)
        stuck = self._seen & self._under_way()
        if len(self._all) - len(stuck) < self._enough:
            now = self._loop.time()
            long_waiters = sum(now - waiter.since >= LONG_WAIT_S for waiter in self._slots)
            # At most twice as many at once, so that a burst does not start a process for each of its callers.
            wanted = min(long_waiters - self._starting, self._most - self._size(), max(1, len(self._all)))
            for _ in range(wanted):
                self._start_in_background()
        self._plan_growth()

    def _keep_some_brisk(self, slow: SandboxProcess) -> None:
        """As many as there are at quiet times are ready for quick guests, whatever others run."""
        self._admission.takes_long(slow.function)
        if self._is_stopping:
            return
        self._share_priority()
        brisk = sum(not process.is_slow for process in self._all) + self._starting
        for _ in range(min(self._fewest - brisk, self._most - self._size())):
            self._start_in_background()

    def _share_priority(self) -> None:
        """One more guest takes long. A process that has given way further, beside guests that have ended, cannot take
        that back."""
        slow = [process for process in self._all if process.is_slow]
        nice = nice_among(len(slow), self._processors)
        for process in slow:
            process.give_way(nice)

    def _under_way(self) -> set[tuple[SandboxProcess, int]]:
        """The sequence number of the guest under way in each process."""
        return {(process, process.answered) for process in self._all if process.assigned}

    def _shrink(self) -> None:
        self._shrinking = None
        oldest_allowed = self._loop.time() - self._idle_s
        while len(self._all) > self._fewest and self._idle and self._idle[0].idle_since <= oldest_allowed + 0.001:
            process = self._idle.popleft()
            self._all.discard(process)
            self._leaving.add(process)
            process.kill()
        if len(self._all) > self._fewest and not self._is_stopping:
            self._shrinking = self._loop.call_later(max(self._idle_s / 4, 0.01), self._shrink)

    def _size(self) -> int:
        return len(self._all) + self._starting

    def _start_in_background(self, delay_s: float = 0.0) -> None:
        async def start() -> None:
            try:
                await asyncio.sleep(delay_s)
                await self._start_process()
            except PlatformUnavailable as error:
                self._failed_starts += 1
                self._problem = str(error)
                _log.error("sandbox.start_failed", error=str(error), attempt=self._failed_starts)
            finally:
                self._starting -= 1
            self._replace_lost()

        self._starting += 1
        task = asyncio.create_task(start(), name="start a sandbox process")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_process(self) -> None:
        self._coming += 1
        try:
            process = await SandboxProcess.start(
                self._fork_server,
                Role.EXECUTOR,
                self._limits,
                self._module_cache_dir,
                self._forget,
                self._keep_some_brisk,
            )
        finally:
            self._coming -= 1
        if process.is_lost:
            raise PlatformUnavailable("a sandbox process ended as soon as it was ready")
        if process.unhardened:
            _log.warning("sandbox.unhardened", refused=process.unhardened)
        self._failed_starts = 0
        self._problem = None
        self._all.add(process)
        self._offer(process)
        if self._slots.length:
            self._plan_growth()

    def _forget(self, process: SandboxProcess) -> None:
        """A process is gone, whether we ended it or not."""
        if process in self._idle:
            self._idle.remove(process)
        was_wanted = process in self._all
        self._all.discard(process)
        self._leaving.add(process)
        task = asyncio.ensure_future(self._bury(process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._is_stopping:
            self._note_quiet()
        elif was_wanted:
            if not process.has_left:
                _log.warning("sandbox.lost", pid=process.pid)
            self._replace_lost()
            if self._slots.length:
                self._plan_growth()
            self._admission.let_in()

    async def _bury(self, process: SandboxProcess) -> None:
        await process.ended()
        self._leaving.discard(process)

    def _replace_lost(self) -> None:
        if self._is_stopping:
            return
        for _ in range(self._fewest - self._size()):
            delay_s = min(0.1 * 2**self._failed_starts, _MOST_RESPAWN_DELAY_S) if self._failed_starts else 0.0
            self._start_in_background(delay_s)

    # Stopping

    def _turn_everyone_away(self) -> None:
        stopping = PlatformUnavailable("the sandbox pool is stopping")
        for waiter in list(self._slots):
            self._slots.remove(waiter)
            give_up(waiter.future, stopping)
        self._admission.turn_away(stopping)

    async def _until_quiet(self, grace_s: float) -> None:
        self._note_quiet()
        try:
            async with asyncio.timeout(grace_s):
                await self._quiet.wait()
        except TimeoutError:
            return

    def _note_quiet(self) -> None:
        if not any(process.assigned for process in self._all):
            self._quiet.set()


def _load(process: SandboxProcess) -> int:
    return process.assigned
