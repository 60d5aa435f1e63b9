from projectnil.flows.troubles import RECORDING, Troubles


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def told(troubles: Troubles) -> list[str]:
    return [troubles.tell(trouble) for trouble in troubles.recent()]


def test_recording_comes_first_then_what_failed_last_and_then_what_works_again() -> None:
    clock = Clock()
    troubles = Troubles(clock)
    for work in ("lease", RECORDING, "results", "recovery"):
        troubles.failed(work, OSError("no room"))
        clock.now_s += 1
    troubles.succeeded("recovery")
    assert told(troubles) == [
        "recording executions failed, the last time 3 s ago: no room",
        "results failed, the last time 2 s ago: no room",
        "lease failed, the last time 4 s ago: no room",
        "recovery failed 1 s ago and works again: no room",
    ]


def test_what_is_over_is_told_for_a_while_and_so_is_what_nothing_more_is_heard_of() -> None:
    clock = Clock()
    troubles = Troubles(clock)
    troubles.failed("POST /functions", TimeoutError())
    troubles.failed("lease", OSError("no room"))
    troubles.succeeded("lease")
    assert len(troubles.recent()) == 2
    clock.now_s += 31
    assert (troubles.recent(), troubles.is_any) == ([], False)


def test_that_executions_cannot_be_recorded_stays_until_one_was() -> None:
    clock = Clock()
    troubles = Troubles(clock)
    troubles.failed(RECORDING, OSError("no room"))
    clock.now_s += 3600
    assert told(troubles) == ["recording executions failed, the last time 3600 s ago: no room"]
    troubles.all_succeeded()
    assert (troubles.recent(), troubles.is_any) == ([], False)


def test_an_error_without_words_is_told_by_its_kind() -> None:
    troubles = Troubles(Clock())
    troubles.failed("lease", TimeoutError())
    assert told(troubles) == ["lease failed, the last time 0 s ago: TimeoutError"]
