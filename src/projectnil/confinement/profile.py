"""What a toolchain's processes may do, as a value that goes to the launcher on its command line."""

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """programs: files it may execute. readable, writable: files, or folders with all beneath; writable may be read too.

    user: the ids of user and group to run as, which only root can do; None to stay. system_calls: the name of a list in
    `calls`. file_bytes: the largest file it may write. open_files: how many at a time.
    user_threads: how many threads `user` may have in all its processes together; None for as many as the system allows.
    """

    programs: tuple[str, ...]
    readable: tuple[str, ...]
    writable: tuple[str, ...]
    user: tuple[int, int] | None
    system_calls: str
    file_bytes: int
    open_files: int
    user_threads: int | None
