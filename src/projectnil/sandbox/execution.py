"""One execution: a module and an input in, an outcome out."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias

from wasmtime import Engine

from projectnil.domain.executions import Completed, Failed
from projectnil.domain.guest_errors import GuestError, GuestExited, GuestOutOfMemory, GuestTimedOut
from projectnil.domain.limits import Limits
from projectnil.sandbox.abi import pass_input, take_output
from projectnil.sandbox.capi import Guest, Trapped, TrapReport
from projectnil.sandbox.deadline import Deadline, WaitClock
from projectnil.sandbox.engine import CannotLoad, LoadedModule, ModuleShelf
from projectnil.sandbox.failure import GuestFailure
from projectnil.sandbox.fingerprint import TABLE_ELEMENTS, TABLES
from projectnil.sandbox.journal import Journal
from projectnil.sandbox.protocol import Starved
from projectnil.sandbox.traps import explain_trap, located, offsets_of, stack_text, with_place_of
from projectnil.sandbox.wasm_lines import user_frames

# What looking for the line of a failure may take, whatever its module is like; where that does not do, the line is left
# out. In CPU time, as a guest that took long has made its process give way; and in wall time past the guest's limit,
# since the api kills a process that is pool.KILL_GRACE_S late.
_EXPLAIN_CPU_S = 1.0
_EXPLAIN_GRACE_S = 2.0

# Called in the clock's thread, with the outcome of the guest under way; ends the process.
OnOverdue: TypeAlias = Callable[[Failed | Starved], NoReturn]


class Executor:
    """Runs guests, one at a time, each in a store and an instance of its own."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        on_slow: Callable[[float], None],
        on_overdue: OnOverdue,
        wait_clock: WaitClock = None,
    ) -> None:
        """on_slow, wait_clock: see Deadline."""
        self._limits = limits
        self._on_overdue = on_overdue
        self._journal = Journal(limits.log_bytes)
        self._failure: GuestError  # of the guest that failed last, as far as it is known
        self._shelf = ModuleShelf(engine, lambda: self._journal)
        self._deadline = Deadline(on_slow, wait_clock)

    def run(self, code_path: str, wasm_path: str, input_json: bytes) -> Completed | Failed:
        """Raises engine.CannotLoad and capi.EngineFault: the platform's failures, not the guest's."""
        module = self._shelf.get(code_path, wasm_path)
        journal = self._journal = Journal(self._limits.log_bytes)
        try:
            output = self._run(module, input_json)
        except Trapped as trapped:
            error = self._explain(trapped.report, wasm_path)
            return Failed(error, journal.text())
        except GuestFailure as failure:
            return Failed(failure.error, journal.text())
        return Completed(output, journal.text())

    def _run(self, module: LoadedModule, input_json: bytes) -> bytes:
        limits = self._limits
        # Wasmtime reports this as a plain error, not as a trap with a code.
        if module.memory_bytes > limits.memory_bytes:
            raise GuestFailure(GuestOutOfMemory(limits.memory_bytes))
        guest = Guest(self._shelf.address, limits.memory_bytes, TABLE_ELEMENTS, TABLES)
        try:
            self._deadline.begin(limits.execution_timeout_s, self._time_is_up)
            guest.instantiate(module.prepared, module.memory_nth)
            pointer = guest.call(module.handle_nth, pass_input(guest, module, input_json))
            # On the guest's time: how long it takes is the guest's doing.
            return take_output(guest, pointer, limits.output_bytes)
        finally:
            self._deadline.end()
            guest.close()

    def _time_is_up(self, had_its_time: bool) -> NoReturn:
        timeout_s = self._limits.execution_timeout_s
        self._on_overdue(Failed(GuestTimedOut(timeout_s), self._journal.text()) if had_its_time else Starved(timeout_s))

    def _explain(self, report: TrapReport, wasm_path: str) -> GuestError:
        """Not on the guest's time: it has ended, and what its module is like must not make a timeout of its failure.

        The clock goes on for those that wait behind it, and for this: what takes too long is left out.
        """
        stopped_by = self._journal.stopped_by
        if isinstance(stopped_by, GuestExited):
            return stopped_by
        self._failure = stopped_by or explain_trap(report, b"", self._limits)
        remaining_s = self._limits.execution_timeout_s - self._journal.elapsed_ms() / 1000
        self._deadline.begin(max(remaining_s, 0.0) + _EXPLAIN_GRACE_S, self._explaining_takes_long, _EXPLAIN_CPU_S)
        try:
            return self._explain_by_the_module(report, wasm_path)
        finally:
            self._deadline.end()

    def _explaining_takes_long(self, _had_its_time: bool) -> NoReturn:
        self._on_overdue(Failed(self._failure, self._journal.text()))

    def _explain_by_the_module(self, report: TrapReport, wasm_path: str) -> GuestError:
        """The stack goes into the log. Only here are the module's bytes read: a success needs none."""
        try:
            wasm = Path(wasm_path).read_bytes()
        except OSError as error:
            raise CannotLoad(f"{Path(wasm_path).name}: {error.strerror}") from None
        failure = self._failure = self._journal.stopped_by or explain_trap(report, wasm, self._limits)
        frames = with_place_of(failure, user_frames(wasm, offsets_of(report, wasm)))
        self._journal.stack = stack_text(frames, report.is_cut)
        return located(failure, frames)
