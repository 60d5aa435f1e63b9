"""Who comes next in the line for a process."""

import asyncio

from projectnil.sandbox.line import Line, Place


def place(loop: asyncio.AbstractEventLoop, function: str, since: float) -> Place[None]:
    return Place(function, since, loop.create_future())


async def test_functions_take_turns_and_within_one_the_oldest_comes_first() -> None:
    loop, running = asyncio.get_running_loop(), {"crowd": 0, "other": 0}
    line: Line[None] = Line(running.__getitem__)
    places = [place(loop, "crowd", since) for since in (1.0, 2.0, 0.5)] + [place(loop, "other", 3.0)]
    for each in places:
        line.add(each)
    served = []
    while (first := line.first()) is not None:
        line.remove(first)
        running[first.function] += 1
        served.append((first.function, first.since))
    assert served == [("crowd", 0.5), ("other", 3.0), ("crowd", 1.0), ("crowd", 2.0)]
    assert line.length == 0


async def test_a_function_that_may_not_does_not_stand_in_the_way_of_others() -> None:
    loop = asyncio.get_running_loop()
    line: Line[None] = Line(lambda _: 0)
    for function, since in (("crowd", 1.0), ("crowd", 2.0), ("other", 3.0)):
        line.add(place(loop, function, since))
    first = line.first(lambda function: function != "crowd")
    assert first is not None and first.function == "other"
    assert line.counts(lambda function: function != "crowd") == {"other": 1}
    line.remove(first)
    assert line.first(lambda function: function != "crowd") is None
    assert line.length == 2
