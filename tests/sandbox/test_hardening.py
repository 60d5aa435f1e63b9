import errno
import json
import subprocess
import sys

import pytest

# Gives up what a sandbox process gives up, then tries everything an escaped guest might.
ESCAPE = """
import ctypes, errno, json, os, signal, socket, subprocess, sys, threading
from projectnil.sandbox.hardening import drop_capabilities, give_up_privileges

go = threading.Event()
elsewhere = {}
thread = threading.Thread(target=lambda: (go.wait(), attempt(elsewhere, "socket", socket.socket)))

def attempt(results, name, action):
    try:
        action()
        results[name] = 0
    except OSError as error:
        results[name] = error.errno

refused = drop_capabilities()
thread.start()
refused += give_up_privileges()
results = {}
attempt(results, "read", lambda: open("/proc/self/status").close())
attempt(results, "write", lambda: open(sys.argv[1] + "/new", "w"))
attempt(results, "write to memory", lambda: os.open("/proc/self/mem", os.O_RDWR))
attempt(results, "socket", socket.socket)
attempt(results, "execve", lambda: os.execv("/bin/true", ["true"]))
attempt(results, "fork", os.fork)
attempt(results, "kill", lambda: os.kill(os.getppid(), 0))
attempt(results, "rename", lambda: os.rename(sys.argv[1], sys.argv[1] + "x"))
attempt(results, "unlink", lambda: os.unlink(sys.argv[1] + "/kept"))
attempt(results, "mkdir", lambda: os.mkdir(sys.argv[1] + "/new"))
attempt(results, "chmod", lambda: os.chmod(sys.argv[1], 0o777))
go.set()
thread.join()
print(json.dumps({"refused": refused, "here": results, "other thread": elsewhere}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_a_hardened_process_can_read_and_nothing_more(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("target")
    folder.joinpath("kept").touch()
    run = subprocess.run([sys.executable, "-c", ESCAPE, str(folder)], capture_output=True, check=True)
    answer = json.loads(run.stdout)
    assert answer["refused"] == ""
    assert answer["other thread"] == {"socket": errno.EPERM}
    assert answer["here"].pop("read") == 0
    assert set(answer["here"].values()) == {errno.EPERM}, answer["here"]
    assert [path.name for path in folder.iterdir()] == ["kept"]


PARENT = """
import subprocess, sys
from projectnil.processes import hide_from_siblings
hide_from_siblings()
sys.exit(subprocess.run([sys.executable, "-c", sys.argv[1]]).returncode)
"""
LOOK = """
import os, sys
from projectnil.sandbox.hardening import drop_capabilities, give_up_privileges
refused = drop_capabilities() + give_up_privileges()
for what in ("environ", "mem", "maps"):
    try:
        open(f"/proc/{os.getppid()}/{what}", "rb").read(1)
        sys.exit(f"could read {what}")
    except PermissionError:
        pass
sys.exit(refused or 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_sandbox_cannot_look_into_the_process_that_holds_the_databases_password() -> None:
    run = subprocess.run([sys.executable, "-c", PARENT, LOOK], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr.strip()) == (0, "")
