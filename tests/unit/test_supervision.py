"""Starting a process that never says that it is up."""

import asyncio

import psutil
import pytest

from projectnil.bootstrap import supervision
from projectnil.bootstrap.supervision import SupervisedProcess
from projectnil.config import read_settings
from projectnil.domain.errors import PlatformUnavailable


class Silent(SupervisedProcess):
    """It lives, and says nothing."""

    pid = 0

    async def _spawn(self, *inherited: int) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec("sleep", "600", pass_fds=inherited)
        self.pid = process.pid
        return process


async def test_a_process_that_does_not_get_ready_in_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_READY_TIMEOUT_S", 0.1)
    silent = Silent("silent", "api", read_settings({}), None)
    with pytest.raises(PlatformUnavailable, match="the silent process did not start"):
        await silent.start()
    assert not psutil.pid_exists(silent.pid)
    assert silent._heartbeat is not None
    silent._heartbeat.close()
