"""Tells a process that lives and does its work from one that only lives: stopped, stuck, or out of file descriptors.

The supervisor probes each process over a pair of sockets of its own, past whatever crowd waits at the listening socket.
The answer comes from the event loop that does the work, and only if it could take one more connection. A process that
merely waits for its turn, on a machine whose processors are all busy, is not deaf, however long it takes: a probe
without an answer counts by what the process did instead.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import msgspec

PROBE_EVERY_S = 1.0
_DEAF_AT = 15
_ABLE, _UNABLE = b"1", b"0"
# What the smallest request needs: a descriptor for its connection, and some memory.
_MEMORY_BYTES = 1024 * 1024
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Missed(IntEnum):
    """How much a missing answer weighs, by what the process did: five probes of idleness, or fifteen of computing."""

    STARVED = 0  # it wanted a processor, or its disk, and hardly got it
    COMPUTING = 1
    IDLE = 3  # nothing of it wanted to run


def answer_probes(fd: int) -> None:
    """Answer the supervisor's probes from the running event loop, for as long as this process lives."""
    probes = socket.socket(fileno=fd)
    probes.setblocking(False)
    asyncio.get_running_loop().add_reader(probes, _answer, probes)


def _answer(probes: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the supervisor has not read the answers before
        if not probes.recv(1):
            asyncio.get_running_loop().remove_reader(probes)
            probes.close()
            return
        probes.send(_ABLE if _can_take_a_connection(probes.fileno()) else _UNABLE)


def _can_take_a_connection(fd: int) -> bool:
    try:
        os.close(os.dup(fd))
        bytearray(_MEMORY_BYTES)
    except (OSError, MemoryError):
        return False
    return True


class Activity(msgspec.Struct, frozen=True):
    """cpu_s: processor time so far, of all threads. wants_to_run: whether any waits for a processor or a disk."""

    cpu_s: float
    wants_to_run: bool


class Heartbeat:
    """The supervisor's side. Probes are counted, not seconds: a machine that slept makes no process deaf."""

    def __init__(self, pid: int, probes: socket.socket, activity: Callable[[int], Activity] | None = None) -> None:
        """probes: the other end is the process's; closed with `close`."""
        probes.setblocking(False)
        self._pid = pid
        self._probes = probes
        self._activity = activity or activity_of
        self._missed = 0
        self._last: Activity | None = None
        self._is_first = True

    def close(self) -> None:
        self._probes.close()

    def probe(self) -> str | None:
        """Look for the answer to the probe before, and send the next; returns why the process counts as deaf, if so."""
        answers = self._answers()
        if self._is_first or _ABLE in answers:
            self._is_first = False
            self._missed, self._last, reason = 0, None, ""
        elif answers:
            self._missed += Missed.IDLE
            reason = "it can take no more connections: it has no file descriptor or no memory left"
        else:
            self._missed += self._what_it_did()
            reason = "it does not answer"
        with contextlib.suppress(OSError):  # it has as many probes as it can hold, or has ended
            self._probes.send(b"?")
        return reason if self._missed >= _DEAF_AT else None

    def _answers(self) -> bytes:
        answers = b""
        with contextlib.suppress(OSError):
            while answer := self._probes.recv(1):
                answers += answer
        return answers

    def _what_it_did(self) -> Missed:
        now, before = self._activity(self._pid), self._last
        self._last = now
        if now.wants_to_run:
            used_s = now.cpu_s - before.cpu_s if before is not None else 0.0
            return Missed.COMPUTING if used_s > PROBE_EVERY_S / 2 else Missed.STARVED
        return Missed.IDLE


def activity_of(pid: int) -> Activity:
    """Of a process at this moment; of one that has ended, none."""
    states: list[str] = []
    ticks = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            # proc_pid_stat(5): after the name in parentheses, field 3 is the state, 14 and 15 are utime and stime.
            fields = (thread / "stat").read_text().rpartition(")")[2].split()
            states.append(fields[0])
            ticks += int(fields[11]) + int(fields[12])
    return Activity(ticks / _CLOCK_TICKS, any(state in "RD" for state in states))
