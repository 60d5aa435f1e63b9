import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from projectnil.bootstrap.heartbeat import Activity, Heartbeat, activity_of, answer_probes

ENOUGH = 100


class Process:
    """What a process under probe did: it never answers by itself."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.cpu_per_probe_s = 0.0
        self.wants_to_run = False

    def activity(self, _: int) -> Activity:
        self.cpu_s += self.cpu_per_probe_s
        return Activity(self.cpu_s, self.wants_to_run)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def probes_until_deaf(heartbeat: Heartbeat) -> int | None:
    """How many it takes; None if it is not deaf after many."""
    return next((n for n in range(1, ENOUGH) if heartbeat.probe() is not None), None)


@pytest.mark.parametrize(
    ("wants_to_run", "cpu_per_probe_s", "probes"),
    [
        pytest.param(False, 0.0, 6, id="stopped or stuck"),
        pytest.param(True, 0.9, 17, id="computing without end"),
        pytest.param(True, 0.1, None, id="waiting for a processor that others have"),
    ],
)
def test_silence_counts_by_what_the_process_did(
    ends: tuple[socket.socket, socket.socket], wants_to_run: bool, cpu_per_probe_s: float, probes: int | None
) -> None:
    process = Process()
    process.wants_to_run, process.cpu_per_probe_s = wants_to_run, cpu_per_probe_s
    assert probes_until_deaf(Heartbeat(1, ends[0], process.activity)) == probes


def test_an_answer_makes_up_for_the_silence_before(ends: tuple[socket.socket, socket.socket]) -> None:
    heartbeat = Heartbeat(1, ends[0], Process().activity)
    for _ in range(ENOUGH // 4):
        for _ in range(4):
            assert heartbeat.probe() is None
        ends[1].send(b"1")


def test_a_process_that_says_it_can_take_no_connection_is_deaf_although_it_answers(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    heartbeat = Heartbeat(1, ends[0], Process().activity)
    for _ in range(5):
        assert heartbeat.probe() is None
        ends[1].send(b"0")
    assert "no file descriptor or no memory" in str(heartbeat.probe())


async def test_a_running_event_loop_answers_and_one_that_is_held_up_does_not(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    answer_probes(ends[1].detach())
    heartbeat = Heartbeat(1, ends[0], Process().activity)
    for _ in range(20):
        assert heartbeat.probe() is None
        await asyncio.sleep(0.001)
    assert probes_until_deaf(heartbeat) == 6
    ends[0].close()
    await asyncio.sleep(0.001)  # the other end is closed then


@contextlib.contextmanager
def running(program: str) -> Iterator[psutil.Process]:
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def wait_for(process: psutil.Process, *, wants_to_run: bool) -> None:
    deadline = time.monotonic() + 30
    while activity_of(process.pid).wants_to_run is not wants_to_run:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_process_does_is_told_from_the_kernel() -> None:
    with running(
        "import threading, time\nthreading.Thread(target=time.sleep, args=[60]).start()\nwhile True: pass"
    ) as busy:
        wait_for(busy, wants_to_run=True)
        before = activity_of(busy.pid).cpu_s
        while activity_of(busy.pid).cpu_s <= before:
            time.sleep(0.02)
        busy.send_signal(signal.SIGSTOP)
        wait_for(busy, wants_to_run=False)
    assert activity_of(busy.pid) == Activity(0.0, wants_to_run=False)
