"""Whom a turnstile lets in next."""

import asyncio

from projectnil.sandbox.turnstile import Turnstile


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def order(turnstile: Turnstile, count: int, wasters: set[int]) -> list[int]:
    """The order in which `count` are let in that come one after the other, the first of them at once."""
    inside: list[int] = []

    async def come(number: int) -> None:
        await turnstile.enter()
        inside.append(number)

    tasks = []
    for number in range(count):
        tasks.append(asyncio.create_task(come(number)))
        await settle()
    for left in range(count):
        turnstile.leave(wasted_turn=inside[left] in wasters)
        await settle()
    await asyncio.gather(*tasks)
    return inside


async def test_who_came_first_goes_first() -> None:
    assert await order(Turnstile(), 4, wasters=set()) == [0, 1, 2, 3]


async def test_a_crowd_that_wastes_time_does_not_hold_up_who_came_after_it() -> None:
    assert await order(Turnstile(), 7, wasters={0, 1, 2, 3, 4, 5}) == [0, 6, 1, 5, 2, 4, 3]


async def test_who_goes_away_leaves_the_others_their_turns() -> None:
    turnstile = Turnstile()
    assert turnstile.try_enter()
    assert not turnstile.try_enter()
    first, second = (asyncio.create_task(turnstile.enter()) for _ in range(2))
    await settle()
    assert turnstile.is_waited_for
    turnstile.leave()
    first.cancel()  # at the moment it is let in
    await settle()
    assert second.done()
    turnstile.leave()
    assert turnstile.try_enter()
