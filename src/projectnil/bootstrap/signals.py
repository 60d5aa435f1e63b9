"""When to stop."""

import asyncio
import signal
import sys
import termios

_LOOK_EVERY_S = 1.0


def stop_requested() -> asyncio.Event:
    """Set by the first SIGTERM, SIGINT (Ctrl-C) or SIGHUP (the terminal was closed); later ones change nothing."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop


async def terminal_closed() -> None:
    """Return when the terminal this process was started on is gone; never, where it was started on none.

    The signal for it goes to the leader of the session alone: under `make run` that is make, which waits for us.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        await asyncio.Event().wait()
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            termios.tcgetattr(sys.stderr.fileno())
        except (OSError, termios.error):
            return
