import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from projectnil.domain.errors import Overloaded, PlatformUnavailable
from projectnil.domain.executions import Completed, Failed
from projectnil.domain.guest_errors import GuestOutOfMemory, GuestTimedOut, GuestTrapped
from projectnil.domain.limits import MIB, Limits
from projectnil.processes import LONG_SLICES_NS
from projectnil.sandbox import admission
from projectnil.sandbox import pool as pool_module
from projectnil.sandbox.admission import Ticket
from projectnil.sandbox.child import NotBegun, ProcessLost, ProcessOverdue, SandboxProcess
from projectnil.sandbox.code_cache import ModuleFile
from projectnil.sandbox.forking import ForkServer, ProcessHandle
from projectnil.sandbox.pool import DEPTH, KILL_GRACE_S, SandboxPool
from projectnil.sandbox.priority import LEAST_NICE
from projectnil.sandbox.protocol import Role, Run, decode_order, take_frames
from projectnil.sandbox.wasm_format import SectionId, unsigned_leb
from tests.sandbox.guests import LIMITS, MakePool, case_module, execute, prepare, translated, wat
from tests.support.platform import time_slice_ns
from tests.support.steps import steps_of
from tests.support.waiting import until

ECHO = case_module("echo")
SPINNER = case_module("infinite_loop")

# Returns how often it was called, as one digit: in a global, and in memory.
COUNTER = """
(module
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (data (i32.const 1016) "\\02\\00\\00\\00\\04\\00\\00\\000\\000\\00")
  (func (export "__new") (param i32 i32) (result i32) (i32.const 4096))
  (func (export "__pin") (param i32) (result i32) (local.get 0))
  (func (export "handle") (param i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store8 (i32.const 1024) (i32.add (i32.const 0x30) (global.get $calls)))
    (i32.store8 (i32.const 1026) (i32.add (i32.load8_u (i32.const 1026)) (i32.const 1)))
    (i32.const 1024)))
"""

# Looks for anything that is not as a new instance has it, in all of its memory (1.5 MiB: more than a place in the
# instance pool keeps resident), its global and its table; leaves all of it dirty, and more memory than it began with.
# Returns 0 when it found nothing, 1 otherwise. NTH makes it another module.
LITTERER = """
(module
  (memory (export "memory") 24)
  (table $table 8 funcref)
  (elem declare func $litter)
  (global $dirty (mut i32) (i32.const 0))
  (func $litter)
  (data (i32.const 16) "\\02\\00\\00\\00")
  (func (export "__new") (param i32 i32) (result i32) (i32.const 64))
  (func (export "__pin") (param i32) (result i32) (local.get 0))
  (func (export "handle") (param i32) (result i32)
    (local $at i32) (local $found i32)
    (local.set $found (i32.or (global.get $dirty) (i32.ne (memory.size) (i32.const 24))))
    (local.set $found (i32.or (local.get $found) (i32.eqz (ref.is_null (table.get $table (i32.const 3))))))
    (local.set $at (i32.const 1024))
    (loop $next
      (local.set $found (i32.or (local.get $found) (i64.ne (i64.load (local.get $at)) (i64.const 0))))
      (i64.store (local.get $at) (i64.const NTH))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
    (global.set $dirty (i32.const 1))
    (table.set $table (i32.const 3) (ref.func $litter))
    (memory.fill (i32.mul (memory.grow (i32.const 1)) (i32.const 65536)) (i32.const 7) (i32.const 65536))
    (i32.store16 (i32.const 20) (i32.add (i32.const 0x30) (local.get $found)))
    (i32.const 20)))
"""


def seconds(timeout_s: float) -> Limits:
    return Limits(execution_timeout_s=timeout_s, output_bytes=LIMITS.output_bytes)


def status_of(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def open_sockets(pid: int) -> int:
    descriptors = Path(f"/proc/{pid}/fd").iterdir()
    return sum(str(descriptor.readlink()).startswith("socket:") for descriptor in descriptors)


async def until_gone(pids: set[int] | frozenset[int], timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while any(psutil.pid_exists(pid) for pid in pids):  # noqa: ASYNC110 # nothing tells us but the process table
            await asyncio.sleep(0.01)


async def until_processes(pool: SandboxPool, count: int, timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while pool.status().processes != count or pool.status().busy:  # noqa: ASYNC110 # status() is a snapshot
            await asyncio.sleep(0.01)


@pytest.fixture
def patient_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait a minute to be admitted: a busy machine may need long for another process."""
    for place in (admission, pool_module):
        monkeypatch.setattr(place, "ADMISSION_WAIT_S", 60.0)


async def until_busy(pool: SandboxPool, count: int) -> None:
    await until(f"{count} processes are busy", lambda: pool.status().busy == count)


async def ready_module(pool: SandboxPool, wasm: bytes) -> ModuleFile:
    module = await prepare(pool, wasm)
    assert isinstance(module, ModuleFile)
    return module


async def test_every_execution_gets_an_instance_of_its_own(make_pool: MakePool) -> None:
    pool = await make_pool()
    outcomes = [await execute(pool, wat(COUNTER)) for _ in range(3)]
    assert outcomes == [Completed(b"11", logs="")] * 3


async def test_nothing_of_a_guest_is_left_to_those_after_it(make_pool: MakePool) -> None:
    pool = await make_pool()
    # More modules than the instance pool has places, so that places change hands.
    modules = [wat(LITTERER.replace("NTH", str(nth))) for nth in range(1, 21)]

    for module in [*modules, modules[0], modules[0], *modules, *modules]:
        assert await execute(pool, module) == Completed(b"0", "")


async def test_a_guest_that_fails_leaves_nothing_behind_for_the_next(make_pool: MakePool) -> None:
    pool = await make_pool(idle_s=0.1)
    for name in ("trap", "abort_with_message", "infinite_loop", "memory_bomb", "stack_overflow"):
        assert isinstance(await execute(pool, case_module(name)), Failed)
        assert await execute(pool, ECHO, b"[1]") == Completed(b"[1]", logs="")
    await until_processes(pool, 1)


async def test_inputs_and_outputs_of_megabytes_pass(make_pool: MakePool) -> None:
    pool = await make_pool(Limits())
    text = b'"' + b"x" * 900_000 + b'"'
    # The echo guest's memory is one page; AssemblyScript's grows.
    outcome = await execute(pool, case_module("assemblyscript_every_import"), text)
    assert isinstance(outcome, Completed)


async def test_the_deadline_is_kept_by_the_processs_own_clock(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(0.5))
    module = await ready_module(pool, SPINNER)
    await execute(pool, ECHO)  # so that the clock has watched an earlier execution
    began = time.monotonic()
    assert await pool.run(module, b"{}") == Failed(GuestTimedOut(0.5), logs="")
    assert 0.5 <= time.monotonic() - began < KILL_GRACE_S


async def test_an_execution_is_not_stopped_by_the_deadline_of_an_earlier_one(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(0.8))
    module = await ready_module(pool, ECHO)
    ends = time.monotonic() + 1.0
    while time.monotonic() < ends:
        assert await pool.run(module, b"{}") == Completed(b"{}", logs="")


async def test_the_pool_grows_under_spinning_guests_and_another_function_still_answers(
    make_pool: MakePool,
) -> None:
    pool = await make_pool(seconds(30.0), processes=2, max_processes=10)
    module, spinner = await ready_module(pool, ECHO), await ready_module(pool, SPINNER)
    spinners = [asyncio.create_task(pool.run(spinner, b"{}", "spinner")) for _ in range(8)]
    await until("eight guests spin", lambda: pool.status().busy >= 8 and not pool.status().waiting)
    await pool.admit("echo")
    assert await pool.run(module, b"{}", "echo") == Completed(b"{}", logs="")
    assert not any(spinner.done() for spinner in spinners)
    for task in spinners:
        task.cancel()


async def test_at_the_maximum_and_held_by_long_guests_the_pool_is_overloaded(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(30.0), processes=1, max_processes=2)
    spinner = await ready_module(pool, SPINNER)
    spinning = [asyncio.create_task(pool.run(spinner, b"{}")) for _ in range(2)]
    await until_busy(pool, 2)
    began = time.monotonic()
    with pytest.raises(Overloaded) as refused:
        await pool.admit()
    assert time.monotonic() - began > 0.9
    assert refused.value.retry_after_s >= 1
    assert pool.status().processes == 2
    for task in spinning:
        task.cancel()


async def test_who_was_admitted_and_never_comes_to_run_gives_the_place_back(make_pool: MakePool) -> None:
    pool = await make_pool(processes=1, max_processes=1)
    for _ in range(5):
        ticket = await pool.admit()
        waiting = asyncio.create_task(pool.admit())
        await asyncio.sleep(0)
        pool.withdraw(ticket)
        pool.withdraw(await asyncio.wait_for(waiting, 30))


@pytest.mark.usefixtures("patient_callers")
async def test_who_waits_at_the_maximum_is_admitted_when_a_guest_ends_in_time(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(0.8), processes=1, max_processes=1)
    await ready_module(pool, SPINNER)
    spinner = asyncio.create_task(execute(pool, SPINNER))
    await until_busy(pool, 1)
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")
    assert isinstance(await spinner, Failed)


@pytest.mark.usefixtures("patient_callers")
async def test_a_function_that_was_quick_until_now_leaves_a_process_to_others(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine the word of it comes late.
    monkeypatch.setattr(admission.Admission, "takes_long", lambda _admission, _function: None)
    pool = await make_pool(seconds(120.0), processes=2, max_processes=4)
    spinner, echo = await ready_module(pool, SPINNER), await ready_module(pool, ECHO)
    for function in ("crowd", "echo"):
        assert await pool.run(echo, b"{}", function) == Completed(b"{}", logs="")
    crowd = [asyncio.create_task(pool.run(spinner, b"{}", "crowd")) for _ in range(20)]
    await until("the pool is full", lambda: pool.status().processes == 4)
    for _ in range(20):
        async with asyncio.timeout(60):
            ticket = await pool.admit("echo")
            assert await pool.run(echo, b"{}", "echo", ticket) == Completed(b"{}", logs="")
    assert not any(task.done() for task in crowd)
    for task in crowd:
        task.cancel()


@pytest.mark.usefixtures("patient_callers")
async def test_processes_that_come_free_together_do_not_all_go_to_one_function(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await make_pool(seconds(120.0), processes=4, max_processes=4)
    spinner = await ready_module(pool, SPINNER)
    others = [asyncio.create_task(pool.run(spinner, b"{}", f"other {nth}")) for nth in range(4)]
    await until("they spin", lambda: all(process.is_slow for process in pool._all))
    crowd = [asyncio.create_task(pool.run(spinner, b"{}", "crowd")) for _ in range(8)]
    await until("they wait", lambda: pool.status().waiting == 8)
    monkeypatch.setattr(pool, "_start_in_background", lambda _delay_s=0.0: None)
    for task in others:
        task.cancel()
    await until("they are gone", lambda: not pool.status().processes)
    # Four that replace them are ready in one turn of the event loop.
    ready = [await SandboxProcess.start(pool._fork_server, Role.EXECUTOR, LIMITS, None, pool._forget) for _ in range(4)]
    pool._all.update(ready)
    for process in ready:
        pool._offer(process)
    assert pool.status().waiting == 5
    for task in crowd:
        task.cancel()


@pytest.mark.usefixtures("patient_callers")
async def test_what_it_costs_to_look_for_room_grows_with_the_functions_that_wait_and_not_with_their_square(
    make_pool: MakePool,
) -> None:
    pool = await make_pool(seconds(30.0), processes=2, max_processes=2)
    spinner, echo = await ready_module(pool, SPINNER), await ready_module(pool, ECHO)
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(pool.run(spinner, b"{}", nth)) for nth in "ab"]
    await until_busy(pool, 2)

    def waits(count: int) -> bool:
        return pool.status().waiting == count

    steps, gone = [], Ticket("gone", 0.0)
    for functions in (range(50), range(50, 200)):
        tasks += [asyncio.create_task(pool.run(echo, b"{}", f"in line {nth}")) for nth in functions]
        tasks += [asyncio.create_task(pool.admit(f"at the door {nth}")) for nth in functions]
        await until("they wait", partial(waits, 2 * functions.stop))
        steps.append(steps_of(partial(pool.withdraw, gone)))
    assert steps[1] < 6 * steps[0]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_many_short_executions_at_once_are_served_by_few_processes(make_pool: MakePool) -> None:
    pool = await make_pool(processes=2, max_processes=100)
    await ready_module(pool, ECHO)
    outcomes = await asyncio.gather(*(execute(pool, ECHO) for _ in range(400)))
    assert all(outcome == Completed(b"{}", logs="") for outcome in outcomes)
    assert pool.status().processes <= 16  # two or three, unless others keep the processors


async def test_what_waits_in_a_process_behind_a_slow_guest_is_handed_back_and_runs_elsewhere(
    make_pool: MakePool,
) -> None:
    pool = await make_pool(seconds(30.0), processes=1, max_processes=2)
    echo, spinner = await ready_module(pool, ECHO), await ready_module(pool, SPINNER)
    spinning = asyncio.create_task(pool.run(spinner, b"{}"))
    await asyncio.sleep(0)  # it is the first; the others are given to the same process
    behind = [asyncio.create_task(pool.run(echo, b"[%d]" % nth)) for nth in range(DEPTH + 2)]
    await asyncio.sleep(0)
    assert pool.status().waiting >= 3  # all of them where this process had to wait for a processor
    assert await asyncio.gather(*behind) == [Completed(b"[%d]" % nth, logs="") for nth in range(DEPTH + 2)]
    assert not spinning.done()
    spinning.cancel()


async def test_while_guests_spin_as_many_processes_are_ready_as_at_quiet_times(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(30.0), processes=2, max_processes=6)
    spinner = await ready_module(pool, SPINNER)
    spinning = [asyncio.create_task(pool.run(spinner, b"{}")) for _ in range(2)]
    await until("two of four are busy", lambda: (pool.status().processes, pool.status().busy) == (4, 2))
    for task in spinning:
        task.cancel()


async def test_a_guest_that_takes_long_gives_way_to_others_and_takes_its_process_with_it(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(1.0))
    spinner = await ready_module(pool, SPINNER)
    (first,) = pool.process_ids()
    process = psutil.Process(first)
    spinning = asyncio.create_task(pool.run(spinner, b"{}"))
    priorities = set()
    while not spinning.done():
        with suppress(psutil.NoSuchProcess):
            priorities.add(process.nice())
        assert all(psutil.Process(other).nice() == 0 for other in pool.process_ids() - {first})
        await asyncio.sleep(0.02)
    assert await spinning == Failed(GuestTimedOut(1.0), logs="")
    assert priorities == {0, LEAST_NICE} or priorities == {LEAST_NICE}
    await until_gone({first})
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")


async def test_the_more_guests_take_long_the_further_each_gives_way(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    pool = await make_pool(seconds(60.0), processes=1, max_processes=5)
    spinner = await ready_module(pool, SPINNER)

    def have_priorities(expected: list[int]) -> bool:
        return sorted(psutil.Process(pid).nice() for pid in pool.process_ids()) == expected

    spinning: list[asyncio.Task[Any]] = []
    for count, nice in ((1, 7), (2, 10), (4, 13)):
        spinning += [asyncio.create_task(pool.run(spinner, b"{}")) for _ in range(count - len(spinning))]
        expected = [0, *count * [nice]]  # and one that is ready
        await until(f"{count} share what one would get", partial(have_priorities, expected))
    for task in spinning:
        task.cancel()


async def test_a_process_is_not_told_a_priority_that_it_knows(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    orders: list[int] = []
    send = SandboxProcess._send

    def send_and_note(process: SandboxProcess, frames: bytearray) -> None:
        orders.extend(decode_order(body).nice for number, body in take_frames(bytearray(frames)) if number == 0)
        send(process, frames)

    monkeypatch.setattr(SandboxProcess, "_send", send_and_note)
    pool = await make_pool(seconds(60.0), processes=1, max_processes=5)
    spinner = await ready_module(pool, SPINNER)
    spinning: list[asyncio.Task[Any]] = []
    while len(spinning) < 3:
        spinning.append(asyncio.create_task(pool.run(spinner, b"{}")))
        await until("they are known", lambda: sum(process.is_slow for process in pool._all) == len(spinning))
    assert orders == [10, 10, 12, 12, 12]  # each of two, and then each of three; a single one knows
    pool._share_priority()
    assert len(orders) == 5
    for task in spinning:
        task.cancel()


@pytest.mark.skipif(time_slice_ns(os.getpid()) is None, reason="this kernel tells no slices (Linux 6.12 or later does)")
async def test_others_may_interrupt_a_guest_that_takes_long_but_not_the_next_one(make_pool: MakePool) -> None:
    pool = await make_pool(ROOMY)
    spinner, slow, quick = [await ready_module(pool, wasm) for wasm in (SPINNER, SLOW_ECHO, QUICK_ECHO)]
    (pid,) = pool.process_ids()
    for _ in range(5):
        await pool.run(slow, b"[1]")
        async with asyncio.timeout(60):
            # A guest that was kept from the processor for long may have long slices, too. The next one will not.
            while pid in pool.process_ids() and time_slice_ns(pid) == LONG_SLICES_NS:
                await pool.run(quick, b"[2]")
    pid = next(iter(pool.process_ids()))
    spinning = [asyncio.create_task(pool.run(spinner, b"{}")) for _ in pool.process_ids()]
    async with asyncio.timeout(60):
        while time_slice_ns(pid) != LONG_SLICES_NS:  # noqa: ASYNC110 # the kernel tells when asked
            await asyncio.sleep(0.01)
    for task in spinning:
        task.cancel()


async def test_when_the_fork_server_is_lost_the_pool_gets_another(make_pool: MakePool) -> None:
    pool = await make_pool()
    (pid,) = pool.process_ids()
    fork_server = psutil.Process(pid).parent()
    assert fork_server is not None
    fork_server.kill()
    await until_gone({pid})
    await until_processes(pool, 1)
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")


async def test_only_the_guest_under_way_is_lost_with_its_process(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(30.0))
    echo, spinner = await ready_module(pool, ECHO), await ready_module(pool, SPINNER)
    (pid,) = pool.process_ids()
    spinning = asyncio.create_task(pool.run(spinner, b"{}"))
    await asyncio.sleep(0)
    behind = [asyncio.create_task(pool.run(echo, b"{}")) for _ in range(3)]
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(PlatformUnavailable, match="was lost before the function finished"):
        await spinning
    assert await asyncio.gather(*behind) == [Completed(b"{}", logs="")] * 3


async def test_a_caller_that_goes_away_takes_no_process_from_the_guest_before_it(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(0.6))
    echo, spinner = await ready_module(pool, ECHO), await ready_module(pool, SPINNER)
    spinning = asyncio.create_task(pool.run(spinner, b"{}"))
    await asyncio.sleep(0)
    behind = asyncio.create_task(pool.run(echo, b"{}"))
    await asyncio.sleep(0)
    behind.cancel()
    assert await spinning == Failed(GuestTimedOut(0.6), logs="")
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")


# Returns its input, of up to 1 MiB, after so many turns of a loop; 25 million take some ten milliseconds.
ROOMY_ECHO = """
(module
  (memory (export "memory") 40)
  (func (export "__new") (param $size i32) (param i32) (result i32)
    (i32.store (i32.const 1020) (local.get $size))
    (i32.const 1024))
  (func (export "__pin") (param i32) (result i32) (local.get 0))
  (func (export "handle") (param $input i32) (result i32)
    (local $nth i32)
    (loop $again
      (br_if $again (i32.lt_u (local.tee $nth (i32.add (local.get $nth) (i32.const 1))) (i32.const TURNS))))
    (local.get $input)))
"""
SLOW_ECHO = wat(ROOMY_ECHO.replace("TURNS", "25000000"))
QUICK_ECHO = wat(ROOMY_ECHO.replace("TURNS", "1"))
ROOMY = Limits(execution_timeout_s=10.0, output_bytes=2 * MIB)


async def test_requests_that_are_on_their_way_when_others_are_handed_back_keep_their_own_replies(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    slow = await translated(tmp_path / "modules", fork_server, SLOW_ECHO, ROOMY)
    echo = await translated(tmp_path / "modules", fork_server, QUICK_ECHO, ROOMY)
    inputs = [(slow, b"[0]"), (echo, b"[1]"), (echo, b'["%s"]' % (b"2" * 900_000)), (echo, b"[3]")]
    for _ in range(5):
        process = await SandboxProcess.start(
            fork_server, Role.EXECUTOR, ROOMY, str(tmp_path / "modules"), lambda _: None
        )
        replies = [process.ask(Run(file.code_path, file.wasm_path, text), 10.0) for file, text in inputs]
        outcomes = await asyncio.gather(*replies, return_exceptions=True)
        process.kill()
        await process.ended()
        assert outcomes[0] == Completed(b"[0]", "")
        for outcome, (_, text) in zip(outcomes, inputs, strict=True):
            assert isinstance(outcome, NotBegun) or outcome == Completed(text, "")


async def test_among_slow_guests_and_large_inputs_everyone_gets_their_own_output(make_pool: MakePool) -> None:
    pool = await make_pool(ROOMY, processes=2, max_processes=4)
    slow, echo = await ready_module(pool, SLOW_ECHO), await ready_module(pool, QUICK_ECHO)

    async def call(caller: int) -> None:
        for nth in range(20):
            text = b'[%d,%d,"%s"]' % (caller, nth, b"x" * (300_000 if caller % 6 == 1 else 0))
            while True:
                try:
                    outcome = await pool.run(slow if caller % 6 == 0 else echo, text)
                    break
                except Overloaded:  # on a busy machine it may wait a second for its turn
                    continue
            assert outcome == Completed(text, "")

    await asyncio.gather(*(call(caller) for caller in range(24)))


# A sandbox process that a guest has taken over, with its replies to Prepare and to all that follows.
LIAR = """
import socket, sys
from projectnil.sandbox.protocol import Ready, Returned, encode_frame
sock = socket.socket(fileno=int(sys.argv[1]))
sock.recv(65536)
sock.sendall(encode_frame(Ready(), 1))
sock.recv(65536)
sock.sendall(eval(sys.argv[2]))
sock.recv(65536)
"""


class LyingForkServer(ForkServer):
    """Its processes are that program."""

    pid = 0

    def __init__(self, program: str, *arguments: str) -> None:
        super().__init__()
        self._program = program
        self._arguments = arguments

    async def fork(self, theirs: socket.socket) -> ProcessHandle:
        command = [sys.executable, "-c", self._program, str(theirs.fileno()), *self._arguments]
        self.liar = subprocess.Popen(command, pass_fds=(theirs.fileno(),))  # noqa: ASYNC220 # it starts at once
        return ProcessHandle(self.liar.pid)


# A sandbox process whose own clock has failed.
CLOCKLESS = """
import socket, sys, time
from projectnil.sandbox.protocol import Ready, encode_frame
sock = socket.socket(fileno=int(sys.argv[1]))
sock.recv(65536)
sock.sendall(encode_frame(Ready(), 1))
sock.recv(65536)
while True:
    time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize(("pause_s", "was_running"), [("0", True), ("3600", False)])
async def test_an_overdue_process_tells_whether_its_guest_was_running(pause_s: str, was_running: bool) -> None:
    fork_server = LyingForkServer(CLOCKLESS, pause_s)
    process = await SandboxProcess.start(fork_server, Role.EXECUTOR, LIMITS, None, lambda _: None)
    with pytest.raises(ProcessOverdue) as overdue:
        await process.ask(Run("code", "wasm", b"{}"), 0.5, grace_s=1.0)
    assert overdue.value.was_running == was_running
    await process.ended()
    fork_server.liar.wait()


async def test_a_process_that_answered_while_the_api_was_held_up_is_not_overdue(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    folder = tmp_path / "modules"
    echo = await translated(folder, fork_server, QUICK_ECHO, ROOMY)
    process = await SandboxProcess.start(fork_server, Role.EXECUTOR, ROOMY, str(folder), lambda _: None)
    text = b'"%s"' % (b"x" * 900_000)
    reply = process.ask(Run(echo.code_path, echo.wasm_path, text), 0.5, grace_s=60.0)
    while not select.select([process._socket], [], [], 0)[0]:  # noqa: ASYNC110 # the loop itself must not wait for it
        await asyncio.sleep(0)
    # The answer begins to be there, and takes several turns of the event loop to read.
    held_up_until = process.begun_at + 0.6
    while asyncio.get_running_loop().time() < held_up_until:
        time.sleep(0.1)  # noqa: ASYNC251
    assert await reply == Completed(text, logs="")
    process.kill()
    await process.ended()


@pytest.mark.parametrize(
    "lie",
    [
        "encode_frame(Returned([2]), 0)",  # it is under way
        "encode_frame(Returned([3]), 0)",  # it was never sent
        "encode_frame(Returned([4, 3]), 0)",
        "encode_frame(Ready(), 3)",  # another's answer
        "encode_frame(Ready(), 0)",
        "b'nonsense' * 100",
    ],
)
async def test_a_process_cannot_hand_back_or_answer_what_it_never_got(lie: str) -> None:
    fork_server = LyingForkServer(LIAR, lie)
    process = await SandboxProcess.start(fork_server, Role.EXECUTOR, LIMITS, None, lambda _: None)
    with pytest.raises(ProcessLost):
        await process.ask(Run("code", "wasm", b"{}"), 5.0)
    await process.ended()
    fork_server.liar.wait()


async def test_a_pool_that_grew_shrinks_again(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(30.0), processes=1, max_processes=4, idle_s=0.2)
    spinner = await ready_module(pool, SPINNER)
    spinners = [asyncio.create_task(pool.run(spinner, b"{}")) for _ in range(3)]
    await until("it grew", lambda: pool.status().processes > 1)
    for task in spinners:
        task.cancel()
    await until_processes(pool, 1)


async def test_a_process_killed_under_a_guest_is_the_platforms_failure_and_the_pool_recovers(
    make_pool: MakePool,
) -> None:
    pool = await make_pool(seconds(30.0))
    module = await ready_module(pool, SPINNER)
    (pid,) = pool.process_ids()
    running = asyncio.create_task(pool.run(module, b"{}"))
    await until_busy(pool, 1)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(PlatformUnavailable, match="was lost before the function finished"):
        await running
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")
    assert pid not in pool.process_ids()


async def test_a_process_killed_while_idle_is_replaced(make_pool: MakePool) -> None:
    pool = await make_pool()
    (pid,) = pool.process_ids()
    os.kill(pid, signal.SIGKILL)
    await until_gone({pid})
    await until_processes(pool, 1)
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")


async def test_who_waits_for_a_process_is_not_kept_by_starts_that_fail_again_and_again(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_server: ForkServer, _theirs: socket.socket) -> ProcessHandle:
        raise PlatformUnavailable("no more processes")

    pool = await make_pool(seconds(120.0), processes=2, max_processes=2)
    spinner = await ready_module(pool, SPINNER)
    monkeypatch.setattr(pool_module, "START_TIMEOUT_S", 3600.0)
    monkeypatch.setattr(ForkServer, "fork", refuse)
    os.kill(next(iter(pool.process_ids())), signal.SIGKILL)
    await until("a start failed", lambda: pool.status().problem is not None)
    spinning = asyncio.create_task(pool.run(spinner, b"{}"))
    await until_busy(pool, 1)
    async with asyncio.timeout(60):
        with pytest.raises(Overloaded):
            await pool.run(spinner, b"{}")
    assert not spinning.done()
    spinning.cancel()


async def test_a_process_that_stops_after_a_slow_guest_was_not_slow_at_the_next_one(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    slow = await translated(tmp_path / "modules", fork_server, wat(ROOMY_ECHO.replace("TURNS", "10000000")), ROOMY)
    quick = await translated(tmp_path / "modules", fork_server, QUICK_ECHO, ROOMY)
    seen: list[SandboxProcess] = []
    async with asyncio.timeout(60):
        while True:  # on a busy machine a guest may take so long that its process leaves
            process = await SandboxProcess.start(
                fork_server, Role.EXECUTOR, ROOMY, str(tmp_path / "modules"), lambda _: None, seen.append
            )
            await process.ask(Run(slow.code_path, slow.wasm_path, b"[1]"), 30.0)
            if process in seen and not process.is_lost:
                break
            process.kill()
            await process.ended()
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(ProcessOverdue):
        await process.ask(Run(quick.code_path, quick.wasm_path, b"[2]"), 0.5)
    await process.ended()
    assert not process.is_slow


# One that fails at once, with as much to read about its lines as is looked at.
LINES = b"\x10projectnil.lines" + b"\x01\x04a.ts\x00\x00" + unsigned_leb(261_000) + 261_000 * b"\x01\x00\x00\x00"
FAILING = """
(module
  (memory (export "memory") 1)
  (func (export "__new") (param i32 i32) (result i32) (i32.const 64))
  (func (export "__pin") (param i32) (result i32) (local.get 0))
  (func (export "handle") (param i32) (result i32) FAILURE))
"""


def failing(failure: str) -> bytes:
    return wat(FAILING.replace("FAILURE", failure)) + bytes([SectionId.CUSTOM]) + unsigned_leb(len(LINES)) + LINES


LABORIOUS = failing("(unreachable)")
# That its memory could not grow is told by its module alone.
FULL = failing("(if (i32.lt_s (memory.grow (i32.const 65535)) (i32.const 0)) (then unreachable)) (i32.const 64)")


async def test_looking_for_the_line_of_a_failure_is_not_on_the_guests_time(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(0.1))
    outcome = await execute(pool, LABORIOUS)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, GuestTrapped)


async def test_looking_for_the_line_of_a_failure_holds_up_no_other_guest(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(30.0), processes=1, max_processes=2)
    echo, laborious = await ready_module(pool, ECHO), await ready_module(pool, LABORIOUS)
    failing = asyncio.create_task(pool.run(laborious, b"{}"))
    await asyncio.sleep(0)  # it is the first; the others are given to the same process
    behind = [asyncio.create_task(pool.run(echo, b"{}")) for _ in range(3)]
    assert await asyncio.gather(*behind) == [Completed(b"{}", logs="")] * 3
    assert not failing.done()
    assert isinstance(await failing, Failed)


async def test_a_failure_is_told_in_full_although_its_process_was_kept_from_looking_into_it(
    make_pool: MakePool,
) -> None:
    pool = await make_pool(seconds(30.0))
    failing = asyncio.create_task(pool.run(await ready_module(pool, FULL), b"{}"))
    (pid,) = pool.process_ids()
    await until("it is known to take long", lambda: any(process.is_slow for process in pool._all) or failing.done())
    with suppress(ProcessLookupError):  # it looks for 0.8 s, and then leaves
        await stop_for(1.2, pid)
    outcome = await failing
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, GuestOutOfMemory)


async def test_a_process_that_does_not_answer_is_killed_and_no_guest_is_blamed(make_pool: MakePool) -> None:
    pool = await make_pool()
    module = await ready_module(pool, ECHO)
    (pid,) = pool.process_ids()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(PlatformUnavailable, match="did not answer and was killed"):
        await pool.run(module, b"{}")
    await until_gone({pid})
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")


async def until_known_as_slow(pool: SandboxPool) -> int:
    """Another process is started then; returns the one that is busy."""
    (pid,) = pool.process_ids()
    await until("its guest is known to take long", lambda: pool.status().processes == 2)
    return pid


async def stop_for(stop_s: float, pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(stop_s)
    os.kill(pid, signal.SIGCONT)


async def test_a_guest_whose_process_was_stopped_from_outside_is_not_blamed_for_it(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "KILL_GRACE_S", 0.5)
    pool = await make_pool(seconds(0.5))
    running = asyncio.create_task(pool.run(await ready_module(pool, SPINNER), b"{}"))
    os.kill(await until_known_as_slow(pool), signal.SIGSTOP)
    with pytest.raises(PlatformUnavailable, match="did not answer and was killed"):
        await running
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")


HOST_CALLER = wat("""
(module
  (import "env" "performance.now" (func $now (result f64)))
  (memory (export "memory") 1)
  (func (export "__new") (param i32 i32) (result i32) (i32.const 64))
  (func (export "__pin") (param i32) (result i32) (local.get 0))
  (func (export "handle") (param i32) (result i32)
    (loop $again (drop (call $now)) (br $again))
    (unreachable)))
""")


@pytest.mark.parametrize("guest", [SPINNER, HOST_CALLER], ids=["in its own code", "over a host call"])
async def test_a_guest_whose_process_was_stopped_for_a_while_is_not_blamed_for_it(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, guest: bytes
) -> None:
    monkeypatch.setattr(pool_module, "KILL_GRACE_S", 60.0)
    pool = await make_pool(seconds(1.0))
    running = asyncio.create_task(pool.run(await ready_module(pool, guest), b"{}"))
    await stop_for(1.2, await until_known_as_slow(pool))
    with pytest.raises(PlatformUnavailable, match="the function was kept from running"):
        await running
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")


@pytest.fixture
def busy_processor() -> Iterator[int]:
    """One that other programs want, too."""
    processor = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, [{processor}])\nwhile True: pass"
    others = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    yield processor
    for other in others:
        other.kill()
        other.wait()


def keep_to(pid: int, processor: int) -> None:
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, [processor])


async def test_an_endless_loop_over_a_host_call_is_the_guests_timeout_on_a_busy_processor(
    make_pool: MakePool, busy_processor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "KILL_GRACE_S", 60.0)
    pool = await make_pool(seconds(2.0))
    caller = await ready_module(pool, HOST_CALLER)
    (pid,) = pool.process_ids()
    keep_to(pid, busy_processor)
    assert await pool.run(caller, b"{}") == Failed(GuestTimedOut(2.0), logs="")


async def test_a_cancelled_execution_takes_its_process_with_it(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(10.0))
    module = await ready_module(pool, SPINNER)
    (pid,) = pool.process_ids()
    running = asyncio.create_task(pool.run(module, b"{}"))
    await until_busy(pool, 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until_gone({pid})
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")


async def test_a_caller_that_goes_away_while_waiting_leaves_the_pool_as_it_was(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(1.5), processes=1, max_processes=1)
    module = await ready_module(pool, SPINNER)
    running = asyncio.create_task(pool.run(module, b"{}"))
    waiting = asyncio.create_task(pool.run(module, b"{}"))
    await until("one waits", lambda: pool.status().waiting == 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert pool.status().waiting == 0
    assert isinstance(await running, Failed)
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")


async def test_stop_lets_a_running_guest_finish_within_its_grace(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(0.4))
    module = await ready_module(pool, SPINNER)
    running = asyncio.create_task(pool.run(module, b"{}"))
    await until_busy(pool, 1)
    await pool.stop(30.0)
    assert await running == Failed(GuestTimedOut(0.4), logs="")


async def test_stop_leaves_no_process_behind(make_pool: MakePool) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    pool = await make_pool(seconds(60.0), processes=2)
    module = await ready_module(pool, SPINNER)
    running = [asyncio.create_task(pool.run(module, b"{}")) for _ in range(6)]
    await until("they spin", lambda: pool.status().busy >= 2)
    await pool.stop(0.1)
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    for outcome in await asyncio.gather(*running, return_exceptions=True):
        assert isinstance(outcome, PlatformUnavailable)


async def test_after_stop_executions_are_refused(make_pool: MakePool) -> None:
    pool = await make_pool()
    module = await ready_module(pool, ECHO)
    await pool.stop(0)
    assert not pool.status().available
    with pytest.raises(PlatformUnavailable, match="stopping"):
        await pool.admit()
    with pytest.raises(PlatformUnavailable, match="stopping"):
        await pool.run(module, b"{}")


async def test_status_counts_processes_and_waiters(make_pool: MakePool) -> None:
    pool = await make_pool(seconds(30.0), processes=1, max_processes=1)
    module = await ready_module(pool, SPINNER)
    assert (pool.status().available, pool.status().processes, pool.status().busy) == (True, 1, 0)
    running = [asyncio.create_task(pool.run(module, b"{}")) for _ in range(3)]
    await until("one runs and two wait", lambda: (pool.status().busy, pool.status().waiting) == (1, 2))
    for task in running:
        task.cancel()


def test_the_pool_works_on_uvloop(tmp_path: Path) -> None:
    async def scenario() -> list[Completed | Failed]:
        pool = SandboxPool(LIMITS, tmp_path / "modules", processes=1, max_processes=3, idle_s=60.0)
        await pool.start()
        try:
            return [await execute(pool, ECHO), await execute(pool, SPINNER), await execute(pool, ECHO)]
        finally:
            await pool.stop(0)

    echo = Completed(b"{}", logs="")
    assert uvloop.run(scenario()) == [echo, Failed(GuestTimedOut(0.3), logs=""), echo]


PARENT = """
import asyncio, sys
from pathlib import Path
from projectnil.domain.limits import MIB, Limits
from projectnil.sandbox.pool import SandboxPool
from projectnil.sandbox.code_cache import ModuleFile
from tests.sandbox.guests import case_module, prepare
from tests.support.waiting import until

async def main():
    pool = SandboxPool(Limits(), Path(sys.argv[1]), processes=2, max_processes=2, idle_s=60)
    await pool.start()
    module = await prepare(pool, case_module("infinite_loop"))
    running = asyncio.create_task(pool.run(module, b"{}"))
    await until("a busy process", lambda: pool.status().busy == 1)
    print("pids", *pool.process_ids(), flush=True)
    await running

asyncio.run(main())
"""


async def test_sandbox_processes_end_when_the_api_is_killed_even_under_a_guest(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path / "modules"),
        stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert parent.stdout is not None
    while not (line := await parent.stdout.readline()).startswith(b"pids"):
        assert line, "it ended before it said which processes it has"
    pids = {int(pid) for pid in line.split()[1:]}
    assert len(pids) == 2
    parent.kill()
    await parent.wait()
    await until_gone(pids)


async def test_a_sandbox_process_ignores_the_signals_of_a_terminal_and_a_supervisor(
    make_pool: MakePool,
) -> None:
    pool = await make_pool()
    (pid,) = pool.process_ids()
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")
    assert pool.process_ids() == {pid}


async def test_a_sandbox_process_knows_nothing_of_the_platforms_settings(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECTNIL_DATABASE_URL", "postgres://secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    pool = await make_pool()
    (pid,) = pool.process_ids()
    assert set(psutil.Process(pid).environ()) == {"PATH", "LANG"}


async def test_a_sandbox_process_has_given_up_what_it_does_not_need(make_pool: MakePool) -> None:
    pool = await make_pool()
    (pid,) = pool.process_ids()
    process = psutil.Process(pid)
    assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert process.rlimit(psutil.RLIMIT_NOFILE) == (256, 256)
    assert "NoNewPrivs:\t1" in status_of(pid)
    # One: had it inherited the parent's end of a pair as well, it would never see the parent go.
    assert open_sockets(pid) == 1
