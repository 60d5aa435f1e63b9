"""Looks at the child processes of this one."""

from pathlib import Path

import psutil


def compilers(data_dir: Path) -> list[psutil.Process]:
    """The compiler processes, children of this one, of the toolchain with this data folder."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if is_alive(child) and str(data_dir) in " ".join(child.cmdline())]


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
