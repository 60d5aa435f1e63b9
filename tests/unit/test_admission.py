"""What it costs to let callers in, when many functions wait."""

import asyncio

from projectnil.domain.errors import Overloaded
from projectnil.sandbox.admission import Admission
from tests.support.steps import steps_of


async def steps_to_let_in(waiting: int, free: int, *, is_moving: bool) -> tuple[int, int]:
    """With one caller of each of `waiting` functions at the door: the steps, and how many came in."""
    free_now = 0
    queued_calls = 0

    def queued() -> int:
        nonlocal queued_calls
        queued_calls += 1
        return 0

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
