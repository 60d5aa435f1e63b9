"""Terminals for tests."""

import pty

import pytest


def open_terminal() -> tuple[int, int]:
    """The two ends of a new terminal: what a person sees and types, what a program has. Skips where there are none."""
    try:
        return pty.openpty()
    except OSError as error:
        pytest.skip(f"no terminal can be made on this machine: {error}")
