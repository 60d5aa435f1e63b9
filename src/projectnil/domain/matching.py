"""Which job a result answers, when it does not say so itself.

A compiler built to the seeds' message shape names the function and not the revision, so that the result of an old
source looks like that of a new one. What is known is when each job was read and removed, and when each result was sent.
See docs/decisions/030.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum

import msgspec


class PublishedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job of a function, and what became of it. Times are of the database's clock.

    revision: of the function when it was sent; 0 when it is older than any. reads: by any compiler.
    quiet_at: a reader that has not answered by then is taken for dead. answered_at: when the result that settled it
    was sent. in_doubt: that result may have been another job's, so that one more may come.
    """

    id: int
    revision: int
    reads: int = 0
    first_read_at: datetime | None = None
    quiet_at: datetime | None = None
    removed_at: datetime | None = None
    answered_at: datetime | None = None
    in_doubt: bool = False

    @property
    def was_read(self) -> bool:
        """Whether a compiler took it. The platform, too, removes jobs, once they are answered."""
        return self.first_read_at is not None and (self.answered_at is None or self.first_read_at <= self.answered_at)

    def may_have_sent(self, sent_at: datetime) -> bool:
        """Whether a reader of this job can have sent a result at that time."""
        if self.first_read_at is None or sent_at < self.first_read_at:
            return False
        if self.answered_at is not None and self.reads < 2 and not self.in_doubt:
            return False
        if self.answered_at is None and (self.removed_at is None or sent_at <= self.removed_at):
            return True
        return self.quiet_at is None or sent_at < self.quiet_at

    def must_have_sent(self, sent_at: datetime, others_sent_at: Sequence[datetime]) -> bool:
        """Whether the result is the only one between the one reading of this job and its removal.

        Compilers remove a job right after they answered it, or together with that.
        """
        if self.reads != 1 or self.first_read_at is None or self.removed_at is None or self.answered_at is not None:
            return False
        begin, end = self.first_read_at, self.removed_at
        return begin <= sent_at <= end and not any(begin <= other <= end for other in others_sent_at)


class NoMatch(Enum):
    """Why a result answers no job.

    UNCERTAIN: it may be the answer to several, or to a job that left no trace. EARLY: the same, and soon more may be
    known, for a compiler removes its job after it answered. LATE: the jobs that it may answer are settled.
    """

    UNCERTAIN = "uncertain"
    EARLY = "early"
    LATE = "late"


def match_result(
    jobs: Sequence[PublishedJob], sent_at: datetime, others_sent_at: Sequence[datetime]
) -> PublishedJob | NoMatch:
    """The job that a result without a revision answers.

    jobs: all of the function's, the oldest first. others_sent_at: when other results of the function were sent.
    It is the oldest unanswered job that was read in time, unless that was read twice, or jobs of different sources were
    under way at once.
    """
    unanswered = [job for job in jobs if job.answered_at is None]
    if not unanswered:
        return NoMatch.UNCERTAIN
    possible = [job for job in jobs if job.may_have_sent(sent_at)]
    if not possible:
        return _match_without_reader(jobs, unanswered)
    candidates = [job for job in possible if job.answered_at is None]
    if not candidates:
        return NoMatch.LATE
    if len({job.revision for job in possible}) > 1:
        certain = [job for job in candidates if job.must_have_sent(sent_at, others_sent_at)]
        if len(certain) == 1:
            return certain[0]
        is_early = any(job.reads == 1 and job.removed_at is None for job in candidates)
        return NoMatch.EARLY if is_early else NoMatch.UNCERTAIN
    oldest = candidates[0]
    # Read twice, it may have two answers. Queued again since, either is of the same source as what is awaited.
    was_queued_again = any(job.answered_at is not None and job.revision == oldest.revision for job in jobs)
    return NoMatch.UNCERTAIN if oldest.reads > 1 and not was_queued_again else oldest


def _match_without_reader(jobs: Sequence[PublishedJob], unanswered: Sequence[PublishedJob]) -> PublishedJob | NoMatch:
    """The job answered by a result that no known reader of an unsettled job can have sent."""
    if not any(job.was_read for job in jobs):
        return unanswered[0]  # it came from outside the queue, and order is all there is
    if any(job.removed_at is None for job in unanswered):
        return NoMatch.LATE  # probably a settled job's result, sent twice; the answer is still to come
    # Its reader was taken for dead, and this may be the last result there is.
    return unanswered[0] if len({job.revision for job in jobs}) == 1 else NoMatch.UNCERTAIN


def is_of_an_earlier_try(jobs: Sequence[PublishedJob], sent_at: datetime) -> bool:
    """Whether a result of the jobs' one revision is a settled job's, and the answer to another will come."""
    unanswered = [job for job in jobs if job.answered_at is None]
    if not any(job.was_read and job.answered_at is not None for job in jobs):
        return False
    is_awaited = any(job.removed_at is None for job in unanswered)
    return is_awaited and not any(job.may_have_sent(sent_at) for job in unanswered)
