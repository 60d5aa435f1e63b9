"""A process that lives and does not do its work is replaced; `pnil serve` tells it from one that is only busy."""

import resource
import signal

import httpx
import psutil

from tests.support.functions import ECHO, execute, register, wait_compiled
from tests.support.platform import Platform, running_platform
from tests.support.stock import Stocked
from tests.support.waiting import eventually

API, COMPILER = "projectnil.bootstrap.child api", "projectnil.bootstrap.child compiler"


def ids(platform: Platform, part: str) -> set[int]:
    return {process.pid for process in platform.children(part)}


def test_processes_that_are_stopped_or_have_no_descriptor_left_are_replaced(stocked: Stocked) -> None:
    with running_platform(stocked.data_dir, "--workers", "2") as platform, platform.client() as http:
        echo = stocked.echo
        (stopped, limited), (compiler,) = sorted(ids(platform, API)), ids(platform, COMPILER)
        psutil.Process(stopped).send_signal(signal.SIGSTOP)
        psutil.Process(compiler).send_signal(signal.SIGSTOP)
        resource.prlimit(limited, resource.RLIMIT_NOFILE, (8, 8))
        deaf = {stopped, limited, compiler}
        eventually("others", lambda: not deaf & (ids(platform, API) | ids(platform, COMPILER)), patience_s=90)
        eventually("two apis", lambda: len(ids(platform, API)) == 2)
        for _ in range(10):
            eventually("answers", lambda: httpx.get(f"{platform.url}/health", timeout=5).status_code == 200)
        assert execute(http, echo, {"a": 1})["output"] == {"a": 1}
        assert wait_compiled(http, register(http, ECHO, "after"))["status"] == "READY"
        log = platform.log.read_text()
    assert log.count('"event":"process.deaf"') == 3
    assert log.count("it does not answer") == 2
    assert log.count("it has no file descriptor or no memory left") == 1
