"""What a compilation costs, as the kernel tells of the process that does it."""

import os
import time
from pathlib import Path

from projectnil.domain.compilation import CompileCost
from projectnil.processes import cpu_s

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class CostMeter:
    """Begins with its making. Once the process is gone the last reading stays."""

    def __init__(self, pid: int, *, is_practised: bool) -> None:
        self._pid = pid
        self._began = time.monotonic()
        self._cpu_before_s = cpu_s(pid) or 0.0
        self._peak_before_bytes = self._peak_bytes()
        self._cost = CompileCost(peak_memory_bytes=resident_bytes(pid), is_practised=is_practised)

    def read(self) -> CompileCost:
        """What it has cost so far."""
        used_s = cpu_s(self._pid)
        self._cost = CompileCost(
            duration_s=time.monotonic() - self._began,
            cpu_s=self._cost.cpu_s if used_s is None else max(used_s - self._cpu_before_s, 0.0),
            peak_memory_bytes=max(self._cost.peak_memory_bytes, self._peak_since()),
            is_practised=self._cost.is_practised,
        )
        return self._cost

    def _peak_since(self) -> int:
        """The kernel keeps the peak of the process's whole life: it is of this compilation once it grows."""
        peak_bytes = self._peak_bytes()
        return peak_bytes if peak_bytes > self._peak_before_bytes else resident_bytes(self._pid)

    def _peak_bytes(self) -> int:
        try:
            # proc_pid_status(5): VmHWM, the peak of the resident set, in KiB.
            status = Path(f"/proc/{self._pid}/status").read_text()
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
