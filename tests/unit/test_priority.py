from projectnil.sandbox.priority import LEAST_NICE, MOST_NICE, nice_among


def share(nice: int) -> float:
    """What a process gets where one of ordinary priority gets 1 (sched(7))."""
    return float(1.25**-nice)


def test_a_guest_for_each_processor_or_fewer_gives_way_a_little() -> None:
    assert {nice_among(guests, 4) for guests in range(5)} == {LEAST_NICE}


def test_more_of_them_share_what_one_for_each_processor_would_get() -> None:
    for processors in (1, 2, 8):
        for guests in range(processors, 8 * processors + 1):
            assert guests / processors * share(nice_among(guests, processors)) < 1.15 * share(LEAST_NICE)


def test_no_crowd_is_lowered_beyond_what_the_kernel_knows() -> None:
    assert nice_among(1_000, 1) == MOST_NICE
