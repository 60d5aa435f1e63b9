"""Waiting for what others bring about."""

import asyncio
import contextlib
import time
from collections.abc import Callable

import httpx
import psycopg


def eventually(what: str, happens: Callable[[], bool], patience_s: float = 60.0) -> None:
    """Ask until it holds; a server that is not there, or not yet, does not count."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError, psycopg.OperationalError):
            if happens():
                return
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


async def until(what: str, happens: Callable[[], bool], patience_s: float = 60.0) -> None:
    """Ask until it holds, and let other tasks run meanwhile."""
    deadline = time.monotonic() + patience_s
    while not happens():  # what tests wait for sets no event
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.01)
