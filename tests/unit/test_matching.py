"""Which job a result without a revision answers. Seconds stand for times."""

from datetime import UTC, datetime, timedelta

from projectnil.domain.matching import NoMatch, PublishedJob, match_result


def at(second: float | None) -> datetime | None:
    return None if second is None else moment(second)


def moment(second: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)


def job(
    number: int,
    revision: int,
    *,
    reads: int = 1,
    first_read: float | None = None,
    quiet: float | None = 1000,
    removed: float | None = None,
    answered: float | None = None,
    in_doubt: bool = False,
) -> PublishedJob:
    return PublishedJob(
        id=number,
        revision=revision,
        reads=0 if first_read is None else reads,
        first_read_at=at(first_read),
        quiet_at=at(quiet),
        removed_at=at(removed),
        answered_at=at(answered),
        in_doubt=in_doubt,
    )


def matched(jobs: list[PublishedJob], sent: float, others: tuple[float, ...] = ()) -> int | NoMatch:
    found = match_result(jobs, moment(sent), [moment(other) for other in others])
    return found.id if isinstance(found, PublishedJob) else found


def test_without_a_trace_of_a_reader_the_oldest_unanswered_job_is_answered() -> None:
    assert matched([job(1, 1), job(2, 2)], 5) == 1
    assert matched([job(1, 1, answered=4), job(2, 2)], 5) == 2


def test_a_job_that_was_read_after_the_result_was_sent_is_not_answered_by_it() -> None:
    jobs = [job(1, 1, first_read=1, removed=5.1), job(2, 2, first_read=6, removed=9.1)]
    assert matched(jobs, 5, (9,)) == 1
    assert matched([job(1, 1, first_read=1, removed=5.1, answered=5), jobs[1]], 9, (5,)) == 2


def test_a_result_that_was_sent_twice_does_not_answer_a_newer_source() -> None:
    answered = job(1, 1, first_read=1, answered=2, removed=2.1)
    assert matched([answered, job(2, 2)], 3) is NoMatch.LATE
    assert matched([answered, job(2, 2, first_read=4)], 3) is NoMatch.LATE
    assert matched([answered, job(2, 2, first_read=4, removed=5)], 3) is NoMatch.UNCERTAIN, "it may be all there was"


def test_a_reader_that_was_taken_for_dead_answers_the_only_source() -> None:
    late = job(1, 1, first_read=1, removed=2, quiet=60)
    assert matched([late], 70) == 1
    assert matched([late, job(2, 2)], 70) is NoMatch.LATE


def test_of_two_sources_at_once_the_removed_job_is_the_answered_one() -> None:
    assert matched([job(1, 1, first_read=1), job(2, 2, first_read=2, removed=5.1)], 5) == 2
    assert matched([job(1, 1, first_read=1, removed=5.1), job(2, 2, first_read=2)], 5) == 1


def test_of_two_sources_at_once_without_a_removal_it_is_too_early_to_tell() -> None:
    assert matched([job(1, 1, first_read=1), job(2, 2, first_read=2)], 5) is NoMatch.EARLY


def test_two_results_in_the_time_of_one_job_are_uncertain() -> None:
    jobs = [job(1, 1, first_read=1, removed=7), job(2, 2, first_read=2, removed=6)]
    assert matched(jobs, 5, (5.5,)) is NoMatch.UNCERTAIN


def test_a_job_that_was_read_twice_is_queued_again_once() -> None:
    assert matched([job(1, 1, reads=2, first_read=1)], 5) is NoMatch.UNCERTAIN
    assert matched([job(1, 1, reads=2, first_read=1, answered=5), job(2, 1, reads=2, first_read=6)], 7) == 2


def test_the_second_answer_of_an_older_source_is_not_the_newer_ones() -> None:
    twice = job(1, 1, reads=2, first_read=1, answered=5, quiet=100)
    assert matched([twice, job(2, 2)], 6) is NoMatch.LATE
    assert matched([twice, job(2, 2, first_read=5.5)], 6) is NoMatch.EARLY
    assert matched([twice, job(2, 2, reads=2, first_read=5.5)], 6) is NoMatch.UNCERTAIN
    assert matched([twice, job(2, 2, first_read=5.5, removed=6.1)], 6, (5,)) == 2
    assert matched([twice, job(2, 2, first_read=105)], 106) == 2, "by then its readers are taken for dead"


def test_a_job_that_was_popped_may_still_be_answered() -> None:
    popped = [job(1, 1, first_read=1, removed=1, quiet=None), job(2, 2, first_read=2, removed=2, quiet=None)]
    assert matched(popped, 5) is NoMatch.UNCERTAIN
    assert matched(popped[:1], 5) == 1


def test_after_a_doubt_either_job_may_answer_once_more() -> None:
    doubted = [job(1, 1, first_read=1, answered=5, in_doubt=True), job(2, 2, first_read=2, answered=5, in_doubt=True)]
    assert matched([*doubted, job(3, 2)], 6) is NoMatch.LATE
    assert matched([*doubted, job(3, 2, first_read=5.5)], 6) is NoMatch.EARLY


def test_with_every_job_answered_a_result_comes_from_none_that_is_known() -> None:
    assert matched([], 5) is NoMatch.UNCERTAIN
    assert matched([job(1, 1, first_read=1, answered=2)], 5) is NoMatch.UNCERTAIN
