"""What a compilation costs, as /proc tells of the process that does it."""

import os
import time
from pathlib import Path

from projectnil.domain.compilation import CompileCost

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class CostMeter:
    """Begins with its making. Once the process is gone the last reading stays."""

    def __init__(self, pid: int, *, is_practised: bool) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._began = time.monotonic()
        self._cpu_before_s = self._cpu_s() or 0.0
        self._peak_before_bytes = self._peak_bytes()
        self._cost = CompileCost(peak_memory_bytes=resident_bytes(pid), is_practised=is_practised)
        self._pid = pid

    def read(self) -> CompileCost:
        """What it has cost so far."""
        cpu_s = self._cpu_s()
        self._cost = CompileCost(
            duration_s=time.monotonic() - self._began,
            cpu_s=self._cost.cpu_s if cpu_s is None else max(cpu_s - self._cpu_before_s, 0.0),
            peak_memory_bytes=max(self._cost.peak_memory_bytes, self._peak_since()),
            is_practised=self._cost.is_practised,
        )
        return self._cost

    def _peak_since(self) -> int:
        """The kernel keeps the peak of the process's whole life: it is of this compilation once it grows."""
        peak_bytes = self._peak_bytes()
        return peak_bytes if peak_bytes > self._peak_before_bytes else resident_bytes(self._pid)

    def _cpu_s(self) -> float | None:
        try:
            # proc_pid_stat(5): fields 14 and 15 are utime and stime; the second, in brackets, may hold spaces.
            fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
        except (OSError, IndexError):
            return None

    def _peak_bytes(self) -> int:
        try:
            # proc_pid_status(5): VmHWM, the peak of the resident set, in KiB.
            status = (self._folder / "status").read_text()
            return int(status.partition("VmHWM:")[2].split()[0]) * 1024
        except (OSError, IndexError):
            return 0


def resident_bytes(pid: int) -> int:
    """The memory a process holds now; 0 when that is not known."""
    try:
        # proc_pid_statm(5): the second field is the resident set, in pages.
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
