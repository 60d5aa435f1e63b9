"""A source that takes its compiler all the time there is holds up no other, however often it is sent."""

import re

import httpx

from tests.support.functions import ECHO, ready, register, wait_compiled
from tests.support.platform import running_platform
from tests.support.stock import Stocked
from tests.support.waiting import eventually

BOMBS = 4


def bomb(number: int) -> str:
    """About a kibibyte that inlines 2^26 calls."""
    lines = [f"@inline function f0(x: i32): i32 {{ return x * {number + 3}; }}"]
    lines += [f"@inline function f{n}(x: i32): i32 {{ return f{n - 1}(x) + f{n - 1}(x + {n}); }}" for n in range(1, 27)]
    lines += ["export function handle(input: string): string { return f26(input.length).toString(); }"]
    return "\n".join(lines)


def status(http: httpx.Client, function_id: str) -> str:
    found: str = http.get(f"/functions/{function_id}").json()["status"]
    return found


def test_new_functions_that_are_bombs_do_not_hold_up_an_ordinary_one(stocked: Stocked) -> None:
    data_dir = stocked.data_dir
    # By far enough time for the bombs to be there when the others are ready.
    with running_platform(data_dir, compile_timeout_s="300", compile_slow_s="1") as platform, platform.client() as http:
        bombs = [register(http, bomb(number)) for number in range(BOMBS)]
        eventually("a bomb is compiled", lambda: "COMPILING" in {status(http, each) for each in bombs})
        ordinary = ready(http, f"{ECHO}// ordinary")
        unfinished = [each for each in bombs if status(http, each) in ("PENDING", "COMPILING")]
        assert len(unfinished) >= BOMBS - 1, "the ordinary one waited for them"

        costs = http.get(f"/functions/{ordinary}").json()["compilation"]
        assert costs["durationMs"] > 0
        assert costs["cpuMs"] > 0
        assert costs["peakMemoryBytes"] > 50 * 1024 * 1024
        assert costs["tries"] == 1
        assert costs["totalDurationMs"] == costs["durationMs"]

        log = platform.log.read_text()
        aside = [number for number, each in enumerate(bombs) if re.search(f'"{each}".*"job.put_aside"', log)]
        again = register(http, bomb(aside[0]))
        ready(http, f"{ECHO}// another")
        assert status(http, again) == "PENDING", "its source is known as slow, and others of its kind are before it"

    # Stopped in the middle of one: all jobs are still there, and none counts as one that killed its compiler.
    with running_platform(data_dir, compile_timeout_s="2", compile_slow_s="1") as platform, platform.client() as http:
        for each in (*unfinished, again):
            error = wait_compiled(http, each)["compileError"]
            assert "more memory than its limit" in error or error == "compilation took longer than its limit of 2 s"
