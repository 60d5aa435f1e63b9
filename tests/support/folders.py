"""Where tests keep what Postgres writes."""

import os
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 # the folders in it have names of their own
_ENOUGH_BYTES = 4 * 1024**3


def parent_of_data() -> Path | None:
    """A folder in memory, where there is one with room; None for the usual place of temporary files.

    Tests of the database wait for the disk most of their time, and kill -9 takes nothing from a file system, so what a
    server has written is as safe in memory.
    """
    if not os.access(_MEMORY, os.W_OK):
        return None
    place = os.statvfs(_MEMORY)
    return _MEMORY if place.f_bavail * place.f_frsize >= _ENOUGH_BYTES else None
