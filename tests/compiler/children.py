"""Looks at the child processes of this one."""

import psutil


def compilers() -> list[psutil.Process]:
    """The Node processes that descend from this process."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if is_alive(child) and "worker.mjs" in " ".join(child.cmdline())]


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
