"""How far guests that take long give way to all else."""

from math import log

# Each step of the nice value divides a process's share of a busy processor by this (sched(7), "The nice value").
_SHARE_RATIO_OF_A_STEP = 1.25
# One such guest for each processor: a fifth of what a process of ordinary priority gets.
LEAST_NICE = 7
MOST_NICE = 19


def nice_among(guests: int, processors: int) -> int:
    """The priority of each of so many guests that take long, as a nice value: together they get what one would get for
    each processor."""
    crowd = max(guests / processors, 1.0)
    return min(LEAST_NICE + round(log(crowd, _SHARE_RATIO_OF_A_STEP)), MOST_NICE)
