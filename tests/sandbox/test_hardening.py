import ctypes
import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.executions import Completed
from projectnil.sandbox.child import SandboxProcess
from projectnil.sandbox.code_cache import ModuleFile
from projectnil.sandbox.forking import ForkServer
from projectnil.sandbox.protocol import NoSnapshot, Role, TakeSnapshot
from tests.sandbox.guests import LIMITS, MakePool, case_module, execute, translated

ECHO = case_module("echo")
SECRET = "postgresql://projectnil:secret@database/projectnil"

# landlock_create_ruleset(2) tells the version of the interface.
_HAS_LANDLOCK = sys.platform == "linux" and ctypes.CDLL(None).syscall(444, None, 0, 1) > 0
needs_landlock = pytest.mark.skipif(not _HAS_LANDLOCK, reason="this kernel has no Landlock, or it is off")

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
attempt(results, "read", lambda: open(sys.argv[1] + "/kept").close())
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


# Opens what it can, in the thread that gave up files and in one that it started later.
READ = """
import json, os, sys, threading
from projectnil.sandbox.hardening import drop_capabilities
from projectnil.sandbox.landlock import allow_only_reading

inside, outside = sys.argv[1:]
already_open = open(outside + "/secret")
refused = drop_capabilities() + allow_only_reading(inside)
results = {}

def attempt(name, action):
    try:
        action()
        results[name] = 0
    except OSError as error:
        results[name] = error.errno

def attempt_all(where):
    attempt(where + "read inside", lambda: open(inside + "/module").close())
    attempt(where + "read deeper inside", lambda: open(inside + "/folder/module").close())
    attempt(where + "read outside", lambda: open(outside + "/secret").close())
    attempt(where + "read through a link", lambda: open(inside + "/link").close())
    attempt(where + "read /proc", lambda: open("/proc/self/status").close())
    attempt(where + "list inside", lambda: os.listdir(inside))
    attempt(where + "list outside", lambda: os.listdir(outside))
    attempt(where + "write inside", lambda: open(inside + "/module", "r+").close())
    attempt(where + "create inside", lambda: open(inside + "/new", "w").close())
    attempt(where + "remove inside", lambda: os.unlink(inside + "/module"))
    attempt(where + "run a program", lambda: os.execv("/bin/true", ["true"]))

attempt_all("")
thread = threading.Thread(target=attempt_all, args=("in a thread: ",))
thread.start()
thread.join()
attempt("read what was open", already_open.read)
print(json.dumps({"refused": refused, "results": results}))
"""


@needs_landlock
def test_files_in_one_folder_can_be_read_and_none_elsewhere_opened(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside / "folder", outside):
        folder.mkdir(parents=True)
    for file in (inside / "module", inside / "folder" / "module", outside / "secret"):
        file.write_text(SECRET)
    (inside / "link").symlink_to(outside / "secret")
    run = subprocess.run([sys.executable, "-c", READ, inside, outside], capture_output=True, check=True)
    answer = json.loads(run.stdout)
    assert answer["refused"] == ""
    allowed = {name for name, error in answer["results"].items() if error == 0}
    wanted = {"read inside", "read deeper inside"}
    assert allowed == {*wanted, *(f"in a thread: {name}" for name in wanted), "read what was open"}
    assert set(answer["results"].values()) == {0, errno.EACCES}, answer["results"]


@needs_landlock
async def test_a_process_that_runs_guests_can_read_the_module_folder_and_nothing_beside_it(
    tmp_path: Path, make_pool: MakePool, fork_server: ForkServer
) -> None:
    pool = await make_pool()  # its folder is tmp_path / "modules"
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")
    beside = await translated(tmp_path / "beside", fork_server, case_module("console_and_trace"))
    with pytest.raises(PlatformUnavailable, match=r"\.sealed: Permission denied"):
        await pool.run(beside, b"{}")
    # The pool removes files that could not be loaded: these are the test's own.
    for folder, problem in (("beside", "database-url: Permission denied"), ("modules", "database-url is damaged")):
        secret = tmp_path / folder / "database-url"
        secret.write_text(SECRET)
        with pytest.raises(PlatformUnavailable, match=problem):  # that it is damaged, it knows from reading it
            await pool.run(ModuleFile(beside.sha256, str(secret), str(secret), is_snapshot=False), b"{}")
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")


@needs_landlock
async def test_a_process_that_takes_a_snapshot_can_read_its_module_and_no_other(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    own = await translated(tmp_path / "modules", fork_server, ECHO)
    other = await translated(tmp_path / "modules", fork_server, case_module("infinite_loop"))
    for file, reason in ((own, ""), (other, "its file cannot be read: [Errno 13] Permission denied")):
        process = await SandboxProcess.start(fork_server, Role.SNAPSHOTTER, LIMITS, own.wasm_path, lambda _: None)
        reply = await process.ask(TakeSnapshot(file.wasm_path), 10.0)
        process.kill()
        await process.ended()
        assert process.unhardened == ""
        assert isinstance(reply, NoSnapshot) == bool(reason)
        assert not isinstance(reply, NoSnapshot) or reply.reason.startswith(reason)


async def test_a_module_folder_that_was_made_anew_is_used_after_one_failure(
    tmp_path: Path, make_pool: MakePool
) -> None:
    pool = await make_pool()
    await execute(pool, ECHO)
    shutil.rmtree(tmp_path / "modules")
    (tmp_path / "modules").mkdir(mode=0o700)
    other = case_module("console_and_trace")
    with pytest.raises(PlatformUnavailable, match="Permission denied"):
        await execute(pool, other)
    assert isinstance(await execute(pool, other), Completed)


# A kernel, or a container's runtime, that refuses Landlock; then the pool as the api starts it.
REFUSED = """
import asyncio, ctypes, sys
from pathlib import Path
from structlog.testing import capture_logs
from projectnil.domain.functions import module_sha256
from projectnil.domain.limits import Limits
from projectnil.sandbox import seccomp
from projectnil.sandbox.pool import SandboxPool

seccomp._DENIED = {"landlock_create_ruleset": (444, 444)}
seccomp._DENIED_ON_X86_64 = {}
seccomp._OPENING = dict.fromkeys(seccomp._OPENING, ())
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
assert not seccomp.deny_system_calls()
wasm = Path(sys.argv[1]).read_bytes()

async def load():
    return wasm

async def main():
    pool = SandboxPool(Limits(), Path(sys.argv[2]), processes=1, max_processes=1, idle_s=60.0)
    await pool.start()
    module = await pool.ensure_module(module_sha256(wasm), load)
    await pool.admit()
    print((await pool.run(module, b"[1]")).output.decode())
    await pool.stop(0)

with capture_logs() as lines:
    asyncio.run(main())
print([line["refused"] for line in lines if line["event"] == "sandbox.unhardened"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_where_landlock_is_refused_functions_run_and_the_log_says_so(tmp_path: Path) -> None:
    module = tmp_path / "module.wasm"
    module.write_bytes(ECHO)
    run = subprocess.run(
        [sys.executable, "-c", REFUSED, module, tmp_path / "modules"], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines() == ["[1]", "['landlock: Operation not permitted']"]
