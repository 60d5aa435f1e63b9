"""What it costs to let callers in, when many functions wait."""

import asyncio

import pytest

from projectnil.domain.errors import Overloaded
from projectnil.sandbox import admission as admission_module
from projectnil.sandbox.admission import Admission, Ticket
from tests.support.steps import steps_of


async def steps_to_let_in(waiting: int, free: int, *, is_moving: bool) -> tuple[int, int]:
    """With one caller of each of `waiting` functions at the door: the steps, and how many came in."""
    free_now = 0
    queued_calls = 0

    def queued() -> dict[str, int]:
        nonlocal queued_calls
        queued_calls += 1
        return {}

    admission = Admission(queued, lambda: free_now, lambda: Overloaded("busy"), most_of_one=3)
    callers = [asyncio.create_task(admission.enter(f"function {nth}")) for nth in range(waiting)]
    await asyncio.sleep(0)
    assert len(admission) == waiting
    if is_moving:
        admission.finished("another", 0.0)
    free_now, queued_calls = free, 0
    steps = steps_of(admission.let_in)
    assert queued_calls <= 1
    let_in = waiting - len(admission)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    return steps, let_in


async def test_letting_in_takes_steps_in_proportion_to_the_functions_that_wait() -> None:
    for is_moving, free in ((False, 10_000), (True, 0)):
        few, many = [await steps_to_let_in(waiting, free, is_moving=is_moving) for waiting in (100, 400)]
        assert (few[1], many[1]) == (100, 400)
        assert many[0] < 6 * few[0]


async def test_with_no_process_free_the_functions_that_wait_cost_nothing() -> None:
    few, many = [await steps_to_let_in(waiting, 0, is_moving=False) for waiting in (10, 400)]
    assert (few[1], many[1]) == (0, 0)
    assert many[0] == few[0]


async def test_who_comes_late_takes_no_place_of_another_of_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(admission_module, "_now", lambda: now)
    admission = Admission(dict, lambda: 2, lambda: Overloaded("busy"), most_of_one=3)
    late = await admission.enter("f")
    now += admission_module.ADMISSION_WAIT_S + 0.1
    in_time = await admission.enter("f")  # the place of the first is given up here
    admission.withdraw(late)
    assert admission.inside("f") == 1
    admission.withdraw(in_time)
    admission.withdraw(in_time)
    assert admission.inside("f") == 0


async def test_who_comes_to_run_is_counted_once_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(admission_module, "_now", lambda: now)
    admission = Admission(dict, lambda: 2, lambda: Overloaded("busy"), most_of_one=3)
    for delay_s in (0.0, admission_module.ADMISSION_WAIT_S + 0.1):  # in time, and after its place was given up
        ticket = await admission.enter("f")
        now += delay_s
        await admission.enter("another")
        admission.begin("f", ticket)
        assert admission.inside("f") == 1
        admission.withdraw(ticket)
        assert admission.inside("f") == 1
        admission.end("f")
        assert admission.inside("f") == 0


async def test_who_goes_away_the_moment_it_is_let_in_gives_its_place_back() -> None:
    free = 0
    admission = Admission(dict, lambda: free, lambda: Overloaded("busy"), most_of_one=3)
    callers = [asyncio.create_task(admission.enter("f")) for _ in range(2)]
    await asyncio.sleep(0)
    free = 1
    admission.let_in()
    callers[0].cancel()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert isinstance(outcomes[1], Ticket)
    assert admission.inside("f") == 1


async def test_a_crowd_that_was_let_in_is_not_ahead_of_another_function() -> None:
    waiting: dict[str, int] = {}
    admission = Admission(lambda: waiting, lambda: 1, lambda: Overloaded("busy"), most_of_one=3)
    admission.finished("crowd", 0.0)
    tickets = [await admission.enter("crowd") for _ in range(20)]  # while guests finish quickly, all come in
    for ticket in tickets[:10]:
        admission.begin("crowd", ticket)
    waiting["crowd"] = 10
    admission.finished("crowd", 1.0)
    admission._last_quick_finish = -1.0
    async with asyncio.timeout(60):
        await admission.enter("another")
    with pytest.raises(Overloaded):
        await admission.enter("a third")  # there is one process, and the other one's is before it
