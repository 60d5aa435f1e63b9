"""What native code in a compiler's Node could do: nothing beyond its folder. Tried by Node without its own limits."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from projectnil.compiler.assemblyscript.toolchain import NODE, AssemblyScript
from projectnil.compiler.confinement import compiler_user, encode, node_profile
from projectnil.config import Settings
from projectnil.confinement import landlock
from projectnil.domain.compilation import Compiled
from projectnil.domain.errors import PlatformUnavailable

# Each says what it got, or the code of the error it met.
TRIES = """
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import { spawnSync } from "node:child_process";

const given = JSON.parse(process.argv[2]);
const attempt = (what) => { try { return what() ?? "done"; } catch (error) { return error.info?.code ?? error.code; } };
const connect = (where) => new Promise((resolve) => {
  let connection;
  try { connection = net.connect(where); } catch (error) { return resolve(error.code); }
  connection.on("connect", () => { connection.destroy(); resolve("done"); });
  connection.on("error", (error) => resolve(error.code));
});
const spawn = (program) => {
  const { error, status } = spawnSync(program, ["--version"]);
  return error?.code ?? status;
};
const lines = fs.readFileSync("/proc/self/status", "utf8").split("\\n");
const status = Object.fromEntries(lines.map((line) => line.split(":\\t")));
console.log(JSON.stringify({
  unix_socket: await connect({ path: given.unix }),
  tcp: await connect({ port: given.port, host: "127.0.0.1" }),
  listen: await new Promise((resolve) => {
    const server = net.createServer().on("error", (error) => resolve(error.code));
    server.listen(0, "127.0.0.1", () => { server.close(); resolve("done"); });
  }),
  signal: attempt(() => process.kill(given.pid, 0)),
  priority: attempt(() => os.setPriority(given.pid, 5)),
  read: attempt(() => fs.readFileSync(given.secret, "utf8")),
  environment_of_parent: attempt(() => fs.readFileSync(`/proc/${given.pid}/environ`, "latin1").length > 0),
  list: attempt(() => fs.readdirSync(given.elsewhere).length),
  write: attempt(() => fs.writeFileSync(given.elsewhere + "/written", "x")),
  link: attempt(() => fs.symlinkSync(given.secret, "link")),
  program: spawn("/bin/true"),
  itself_again: spawn(process.execPath),
  own_folder: attempt(() => fs.writeFileSync("function.wasm", "x")),
  user: process.getuid(),
  capabilities: [status.CapEff, status.CapPrm, status.CapBnd, status.CapAmb].join(" "),
  no_new_privileges: status.NoNewPrivs,
  seccomp: status.Seccomp,
}));
"""

# The owner of a pipe gets a signal of the reader's choosing at each write: fcntl(2). Landlock stops such
# signals from Linux 6.12 on only, so the filter of system calls is here alone. Prints what was refused.
SIGNAL_THROUGH_A_PIPE = """
import ctypes, fcntl, os, signal, sys
from projectnil.confinement import calls, seccomp

victim, confined = int(sys.argv[1]), sys.argv[2] == "confined"
PR_SET_NO_NEW_PRIVS, FIOASYNC, FIOSETOWN, TIOCSTI = 38, 0x5452, 0x8901, 0x5412
refused = []
def attempt(name, call, *arguments):
    try:
        call(*arguments)
    except PermissionError:
        refused.append(name)
    except OSError:
        pass
if confined:
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    assert not (problem := seccomp.allow(calls.of("node"))), problem
reading, writing = os.pipe()
attempt("F_SETOWN", fcntl.fcntl, reading, fcntl.F_SETOWN, victim)
attempt("F_SETSIG", fcntl.fcntl, reading, fcntl.F_SETSIG, signal.SIGKILL)
fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_ASYNC)
os.write(writing, b"x")
attempt("F_SETOWN_EX", fcntl.fcntl, reading, 15, bytes(8))
attempt("F_SETLEASE", fcntl.fcntl, reading, fcntl.F_SETLEASE, fcntl.F_RDLCK)
attempt("F_NOTIFY", fcntl.fcntl, reading, fcntl.F_NOTIFY, 0)
attempt("FIOASYNC", fcntl.ioctl, reading, FIOASYNC, b"1   ")
attempt("FIOSETOWN", fcntl.ioctl, reading, FIOSETOWN, bytes(4))
attempt("TIOCSTI", fcntl.ioctl, reading, TIOCSTI, b"x")
print(*refused)
"""


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    """The compiler's folder, and another one of the platform."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o711)
        own, elsewhere = Path(root, "own"), Path(root, "elsewhere")
        own.mkdir()
        elsewhere.mkdir(mode=0o777)
        elsewhere.chmod(0o777)
        (elsewhere / "secret").write_text("a password")
        yield own, elsewhere


def tries(own: Path, elsewhere: Path, *, confined: bool) -> dict[str, Any]:
    script = own / "tries.mjs"
    script.write_text(TRIES)
    user = compiler_user([script, NODE]) if confined else None
    if user is not None:
        os.chown(own, *user)
    command = [str(NODE), str(script)]
    if confined:
        profile = encode(node_profile(NODE, (), own, user))
        command = [sys.executable, "-I", "-m", "projectnil.confinement.launcher", profile, str(os.getpid()), *command]
    with (
        socket.socket(socket.AF_UNIX) as unix,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        subprocess.Popen(["/bin/sleep", "600"]) as another,  # what succeeds without confinement must not meet the tests
        contextlib.ExitStack() as ending,
    ):
        ending.callback(another.kill)
        unix.bind(str(elsewhere / "socket"))
        (elsewhere / "socket").chmod(0o777)
        unix.listen()
        given = {
            "unix": str(elsewhere / "socket"),
            "port": tcp.getsockname()[1],
            "pid": another.pid,
            "secret": str(elsewhere / "secret"),
            "elsewhere": str(elsewhere),
        }
        run = subprocess.run([*command, json.dumps(given)], check=False, cwd=own, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    with contextlib.suppress(FileNotFoundError):
        (elsewhere / "socket").unlink()
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_without_confinement_all_of_it_succeeds(folders: tuple[Path, Path]) -> None:
    before = os.getpriority(os.PRIO_PROCESS, os.getpid())
    found = tries(*folders, confined=False)
    assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == before
    assert found["read"] == "a password"
    for what in ("unix_socket", "tcp", "listen", "priority", "write", "link", "own_folder"):
        assert found[what] == "done", what
    assert found["signal"] in (True, "done")
    assert (found["program"], found["itself_again"]) == (0, 0)


def test_confined_it_has_its_own_folder_and_nothing_else(folders: tuple[Path, Path]) -> None:
    found = tries(*folders, confined=True)
    refused = ("EPERM", "EACCES")
    for what in ("unix_socket", "tcp", "listen", "signal", "priority", "link", "program", "itself_again"):
        assert found[what] in refused, (what, found)
    assert found["own_folder"] == "done"
    assert (found["no_new_privileges"], found["seccomp"]) == ("1", "2")
    assert set(found["capabilities"].replace(" ", "")) == {"0"} or os.geteuid() != 0
    assert found["user"] != 0
    if landlock.missing():
        pytest.skip(f"files: this kernel cannot confine them: {landlock.missing()}")
    for what in ("read", "environment_of_parent", "list", "write"):
        assert found[what] in refused, (what, found)


def test_limits_are_low_and_cannot_be_raised(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    script = own / "limits.mjs"
    script.write_text('import fs from "node:fs"; process.stdout.write(fs.readFileSync("/proc/self/limits", "utf8"));')
    user = compiler_user([script, NODE])
    profile = encode(node_profile(NODE, (), own, user))
    launcher = [sys.executable, "-I", "-m", "projectnil.confinement.launcher", profile, str(os.getpid())]
    run = subprocess.run([*launcher, str(NODE), str(script)], cwd=own, capture_output=True, text=True, check=True)
    limits = {line[:26].strip(): line[26:].split()[:2] for line in run.stdout.splitlines()}
    assert limits["Max open files"] == ["256", "256"]  # soft and hard: without a capability none can be raised
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max file size"] == [str(256 * 1024 * 1024)] * 2
    if user is not None:  # where it would count all that the platform's user runs, too
        assert limits["Max processes"] == ["1024", "1024"]


def test_a_folder_that_is_opened_to_the_compilers_is_told_in_words(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    own.chmod(0o700)
    with capture_logs() as lines:
        user = compiler_user([own / "any"])
    if user is None:
        pytest.skip("only root can run compilers as a user of their own")
    line = next(line for line in lines if line["folder"] == str(own))
    assert line["event"] == "compiler.passage_allowed"
    assert line["consequence"].startswith("this user may pass through this folder")


def test_the_limit_of_threads_holds_for_a_user_of_its_own(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    user = compiler_user([own / "any", NODE])
    if user is None:
        pytest.skip("only root can run compilers as a user of their own")
    profile = msgspec.structs.replace(node_profile(NODE, (), own, user), user_threads=1)
    launcher = [sys.executable, "-I", "-m", "projectnil.confinement.launcher", encode(profile), str(os.getpid())]
    run = subprocess.run([*launcher, str(NODE), "--version"], check=False, cwd=own, capture_output=True, text=True)
    assert run.returncode == 0  # which needs no thread
    run = subprocess.run([*launcher, str(NODE), "-e", "0"], check=False, cwd=own, capture_output=True, text=True)
    assert run.returncode != 0


def test_what_cannot_be_confined_does_not_start(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    profile = encode(node_profile(NODE, (), own, None)).replace('"node"', '"nothing"')
    launcher = [sys.executable, "-I", "-m", "projectnil.confinement.launcher", profile, str(os.getpid())]
    run = subprocess.run([*launcher, str(NODE), "--version"], check=False, cwd=own, capture_output=True, text=True)
    assert run.returncode != 0
    assert "v2" not in run.stdout


def signal_through_a_pipe(how: str) -> tuple[list[str], bool]:
    """What was refused, and whether the victim lives on."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as victim:
        command = [sys.executable, "-c", SIGNAL_THROUGH_A_PIPE, str(victim.pid), how]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        victim.communicate(b"\n")
        return run.stdout.split(), victim.returncode == 0


def test_no_signal_can_be_sent_through_a_pipe_without_landlock() -> None:
    _, lives = signal_through_a_pipe("unconfined")
    assert not lives
    refused, lives = signal_through_a_pipe("confined")
    assert lives
    assert refused[:2] == ["F_SETOWN", "F_SETSIG"]
    assert refused[2:] == ["F_SETOWN_EX", "F_SETLEASE", "F_NOTIFY", "FIOASYNC", "FIOSETOWN", "TIOCSTI"]


async def test_where_nothing_keeps_it_from_the_platforms_files_it_starts_only_if_the_operator_says_so(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    # A kernel without Landlock, and an unprivileged user.
    monkeypatch.setattr(landlock, "_version", lambda: -1)
    monkeypatch.setattr("projectnil.compiler.confinement.os.geteuid", lambda: 1000)
    with pytest.raises(PlatformUnavailable, match="PROJECTNIL_UNCONFINED_COMPILERS=allow"):
        await AssemblyScript(Settings(data_dir=data_dir)).start()
    allowed = AssemblyScript(Settings(data_dir=data_dir, unconfined_compilers="allow", compiler_warm_ups=0))
    await allowed.start()
    try:
        assert isinstance(
            await allowed.compile("export function handle(input: string): string { return input; }"), Compiled
        )
    finally:
        await allowed.stop()


async def test_without_landlock_a_user_of_its_own_is_enough(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give compilers a user of their own")
    monkeypatch.setattr(landlock, "_version", lambda: -1)
    compiler = AssemblyScript(Settings(data_dir=data_dir, compiler_warm_ups=0))
    await compiler.start()
    await compiler.stop()
