"""What one execution left behind besides its output: its log, and why it stopped itself."""

from time import perf_counter

from projectnil.domain.guest_errors import GuestError
from projectnil.domain.limits import in_units
from projectnil.domain.text import storable


class Journal:
    """One per execution. The log is text for Postgres: no NUL, at most log_bytes of UTF-8 before the mark of a cut.

    room_bytes: how many are left. stack: where the guest failed, in lines; it comes last, and takes none of the room.
    """

    def __init__(self, log_bytes: int) -> None:
        self.room_bytes = log_bytes
        self._log_bytes = log_bytes
        self._lines: list[str] = []
        self._timers: dict[str, float] = {}
        self._started = perf_counter()
        self.is_full = False
        self.stopped_by: GuestError | None = None
        self.stack = ""

    def write(self, line: str) -> None:
        """Add one line. What does not fit is cut off, once, and nothing after it is kept."""
        if self.is_full:
            return
        encoded = (storable(line) + "\n").encode()
        if len(encoded) <= self.room_bytes:
            self.room_bytes -= len(encoded)
            self._lines.append(encoded.decode())
            return
        self.is_full = True
        kept = encoded[: self.room_bytes].decode(errors="ignore").removesuffix("\n")
        self._lines.append(f"{kept}\n[the log was cut here: its limit is {in_units(self._log_bytes)}]\n")

    def text(self) -> str:
        return "".join(self._lines) + self.stack

    def elapsed_ms(self) -> float:
        """Since this execution began."""
        return (perf_counter() - self._started) * 1000

    def start_timer(self, label: str) -> None:
        if len(self._timers) < 1000:
            self._timers[label] = perf_counter()

    def timer_ms(self, label: str) -> float | None:
        """None when no such timer runs."""
        started = self._timers.get(label)
        return None if started is None else (perf_counter() - started) * 1000

    def stop_timer(self, label: str) -> None:
        self._timers.pop(label, None)
