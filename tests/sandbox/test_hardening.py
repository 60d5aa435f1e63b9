import ctypes
import errno
import json
import os
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
refused += give_up_privileges(1 << 32)
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


# What native code in a sandbox would call: by number, past every library, on x86_64 and on aarch64.
NATIVE = """
import ctypes, errno, json, os, platform, sys
from projectnil.sandbox.hardening import data_bytes, drop_capabilities, give_up_privileges

parent, log = int(sys.argv[1]), os.open(sys.argv[2], os.O_RDWR)
x86 = platform.machine() == "x86_64"
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
words = (ctypes.c_uint64 * 16)(8, 8)
page, here = 4096, os.getpid()
MAP_PRIVATE, MAP_SHARED, MAP_GROWSDOWN, MAP_ANONYMOUS = 0x02, 0x01, 0x100, 0x20

refused = drop_capabilities()
refused += give_up_privileges(data_bytes() + (64 << 20))
calls = {
    "prlimit64 of another": (302, 261, parent, 7, words, None),
    "prlimit64 of its own": (302, 261, 0, 7, words, None),
    "setrlimit": (160, 164, 7, words),
    "sched_setaffinity": (203, 122, parent, 8, words),
    "sched_setscheduler": (144, 119, parent, 3, words),
    "sched_setattr of another": (314, 274, parent, words, 0),
    "setpriority of another": (141, 140, 0, parent, 10),
    "setpriority of its user": (141, 140, 2, 0, 10),
    "ioprio_set": (251, 30, 1, parent, 0),
    "rt_sigqueueinfo": (129, 138, parent, 0, words),
    "rt_tgsigqueueinfo": (297, 240, parent, parent, 0, words),
    "kill": (62, 129, parent, 0),
    "pidfd_open": (434, 434, parent, 0),
    "shmget": (29, 194, 0, page, 0o1600),
    "msgget": (68, 186, 0, 0o1600),
    "semget": (64, 190, 0, 1, 0o1600),
    "mq_open": (240, 180, b"/projectnil", 0o100 | 2, 0o600, None),
    "ftruncate": (77, 46, log, 0),
    "fallocate": (285, 47, log, 0, 0, 1 << 20),
    "flock": (73, 32, log, 2),
    "fcntl": (72, 25, log, 8, parent),
    "ioctl": (16, 29, log, 0x5412, words),
    "memfd_create": (319, 279, b"x", 0),
    "shared memory": (9, 222, None, page, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
    "a stack that grows": (9, 222, None, page, 3, MAP_PRIVATE | MAP_GROWSDOWN | MAP_ANONYMOUS, -1, 0),
    "socket": (41, 198, 1, 1, 0),
    "sendmsg": (46, 211, 0, words, 0),
    "clone": (56, 220, 17, None, None, None, None),
    "clone3": (435, 435, words, 88),
    "execve": (59, 221, b"/bin/true", None, None),
    "ptrace": (101, 117, 16, parent, 0, 0),
    "process_vm_readv": (310, 270, parent, words, 1, words, 1, 0),
    "process_madvise": (440, 440, parent, words, 1, 20, 0),
    "migrate_pages": (256, 238, parent, 8, words, words),
    "unlinkat": (263, 35, -100, b"/nothing", 0),
    "openat to write": (257, 56, -100, sys.argv[2].encode(), 2),
    "io_uring_setup": (425, 425, 1, words),
    "bpf": (321, 280, 0, words, 1),
    "keyctl": (250, 219, 0, 0, 0),
    "userfaultfd": (323, 282, 1),
    "unshare": (272, 97, 0),
    "personality": (135, 92, 0x0040000),
    "prctl": (157, 167, 4, 1, 0, 0, 0),
    "adjtimex": (159, 171, words),
    "setsid": (112, 157),
}
results = {}
for name, (on_x86, on_arm, *arguments) in calls.items():
    ctypes.set_errno(0)
    result = libc.syscall(on_x86 if x86 else on_arm, *arguments)
    results[name] = errno.errorcode.get(ctypes.get_errno(), "") if result == -1 else "done"
ctypes.set_errno(0)
own = libc.syscall(141 if x86 else 140, 0, here, 19)
allocated = 0
try:
    while allocated < 1 << 30:
        held = [bytearray(8 << 20), *(held if allocated else [])]
        allocated += 8 << 20
except MemoryError:
    held = []
print(json.dumps({"refused": refused, "results": results, "its own priority": own, "allocated": allocated}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_native_code_in_a_sandbox_reaches_nothing_outside_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a line of the platform\n")
    run = subprocess.run([sys.executable, "-c", NATIVE, str(os.getpid()), str(log)], capture_output=True, check=True)
    answer = json.loads(run.stdout)
    assert answer["refused"] == ""
    assert {name for name, result in answer["results"].items() if result != "EPERM"} == set(), answer["results"]
    assert answer["its own priority"] == 0
    assert answer["allocated"] < 128 * 1024 * 1024
    assert log.read_text() == "a line of the platform\n"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
async def test_a_sandbox_process_holds_its_socket_its_priority_and_module_files(make_pool: MakePool) -> None:
    pool = await make_pool()
    assert await execute(pool, ECHO) == Completed(b"{}", logs="")
    (pid,) = pool.process_ids()
    held = {int(file.name): str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
    assert [held.pop(stream) for stream in (0, 1, 2)] == [os.devnull] * 3
    names = {name.partition(":")[0].rpartition(".")[2].rpartition("/")[2] for name in held.values()}
    # Where the kernel has no groups, or does not count how long a thread waits, it holds neither file.
    assert len(names) == len(held)
    assert names - {"autogroup", "schedstat"} == {"sealed", "socket"}
    limits = Path(f"/proc/{pid}/limits").read_text()
    (most_data,) = [line.split()[3] for line in limits.splitlines() if line.startswith("Max data size")]
    assert int(most_data) < 1024 * 1024 * 1024


PARENT = """
import subprocess, sys
from projectnil.processes import hide_from_siblings
hide_from_siblings()
sys.exit(subprocess.run([sys.executable, "-c", sys.argv[1]]).returncode)
"""
LOOK = """
import os, sys
from projectnil.sandbox.hardening import drop_capabilities, give_up_privileges
parent = os.getppid()
refused = drop_capabilities() + give_up_privileges(1 << 32)
for what in ("environ", "mem", "maps"):
    try:
        open(f"/proc/{parent}/{what}", "rb").read(1)
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
from projectnil.confinement.landlock import allow_only_reading

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
import asyncio, ctypes, platform, sys
from pathlib import Path
from structlog.testing import capture_logs
from projectnil.domain.functions import module_sha256
from projectnil.domain.limits import Limits
from projectnil.confinement import seccomp
from projectnil.sandbox.pool import SandboxPool

ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
number, landlock_create_ruleset = seccomp._step(seccomp._LOAD, seccomp._NUMBER_AT), 444
refuse = seccomp._step(seccomp._IF_EQUAL, landlock_create_ruleset, otherwise=1)
deny, allow = seccomp._step(seccomp._RETURN, seccomp._DENY), seccomp._step(seccomp._RETURN, seccomp._ALLOW)
architecture, _ = seccomp._ARCHITECTURES[platform.machine()]
assert not seccomp._install(architecture, [number, refuse, deny, allow])
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
