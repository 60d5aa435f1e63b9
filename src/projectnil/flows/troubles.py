"""What failed lately on this node, for /health: each kind of work says when it fails, and when it succeeds again."""

import time
from collections.abc import Callable

import msgspec

# The kind of work without which functions cannot be run.
RECORDING = "recording executions"
_REMEMBERED_S = 30.0
_MOST_KINDS = 100


class Trouble(msgspec.Struct, frozen=True):
    """work: what failed. reason: the last error. last_s: when that was, on the clock. is_over: it succeeded since."""

    work: str
    reason: str
    last_s: float
    is_over: bool = False


class Troubles:
    """The troubles of one process. Those that are over, or that nothing was heard of, are forgotten after a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failing: dict[str, Trouble] = {}
        self._over: dict[str, Trouble] = {}

    def failed(self, work: str, error: BaseException) -> None:
        """Some work failed by the platform's fault."""
        if len(self._failing) < _MOST_KINDS:
            self._failing[work] = Trouble(work, str(error) or type(error).__name__, self._clock())

    def succeeded(self, work: str) -> None:
        """Some work succeeded. Costs next to nothing as long as nothing fails."""
        if self._failing and (trouble := self._failing.pop(work, None)):
            self._over[work] = Trouble(work, trouble.reason, trouble.last_s, is_over=True)

    def all_succeeded(self) -> None:
        """What all work needs is there again."""
        for work in list(self._failing):
            self.succeeded(work)

    @property
    def is_any(self) -> bool:
        """Whether something failed that has not succeeded since."""
        return bool(self._failing)

    def recent(self) -> list[Trouble]:
        """What fails, and what failed a moment ago; recording executions first, then the newest."""
        oldest_s = self._clock() - _REMEMBERED_S
        # Executions are recorded, or tried, all the time, so a trouble with them ends by a success only.
        self._failing = {
            work: trouble for work, trouble in self._failing.items() if work == RECORDING or trouble.last_s > oldest_s
        }
        self._over = {work: trouble for work, trouble in self._over.items() if trouble.last_s > oldest_s}
        found = [*self._failing.values(), *(self._over[work] for work in self._over.keys() - self._failing.keys())]
        return sorted(found, key=lambda trouble: (trouble.is_over, trouble.work != RECORDING, -trouble.last_s))

    def tell(self, trouble: Trouble) -> str:
        """A trouble in words."""
        ago = f"{self._clock() - trouble.last_s:.0f} s ago"
        if trouble.is_over:
            return f"{trouble.work} failed {ago} and works again: {trouble.reason}"
        return f"{trouble.work} failed, the last time {ago}: {trouble.reason}"
