"""How far guests that take long give way to all else."""

from math import log

# A nice value that is 1 higher divides a process's share of a processor that others want by this (sched(7), "The nice
# value").
_STEP = 1.25
# One such guest for each processor: a fifth of what a process of ordinary priority gets.
LEAST_NICE = 7
MOST_NICE = 19


def nice_among(guests: int, processors: int) -> int:
    """The priority of each of so many guests that take long, as a nice value: together they get what one would get for
    each processor."""
    crowd = max(guests / processors, 1.0)
    return min(LEAST_NICE + round(log(crowd, _STEP)), MOST_NICE)
