"""When to stop."""

import asyncio
import signal


def stop_requested() -> asyncio.Event:
    """Set by the first SIGTERM, SIGINT (Ctrl-C) or SIGHUP (the terminal was closed); later ones change nothing."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop
