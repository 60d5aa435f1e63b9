"""`pnil` in a shell: what it imports, help, completion, Ctrl-C, closed pipes."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.functions import ECHO, FAIL
from tests.support.platform import PNIL, Platform, environment
from tests.support.pnil import Pnil, write
from tests.support.waiting import eventually

# What takes long to import, and what only the platform needs.
HEAVY = {
    "msgspec",
    "httpx",
    "rich",
    "typer",
    "click",
    "asyncio",
    "structlog",
    "uvloop",
    "wasmtime",
    "asyncpg",
    "argcomplete",
}


@pytest.fixture
def pnil(platform: Platform) -> Pnil:
    return Pnil(platform.url)


def imported_by(pnil: Pnil, *arguments: str) -> set[str]:
    """The modules that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", PNIL, *arguments],
        capture_output=True,
        text=True,
        env=pnil.environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^import time: .*\| +(\S+)$", done.stderr, re.MULTILINE))


def test_the_version_and_the_help_import_next_to_nothing(pnil: Pnil) -> None:
    for option in ("--version", "--help", "-h", "help"):
        found = imported_by(pnil, option)
        assert found.isdisjoint(HEAVY | {"argparse", "http.client", "json", "projectnil.config"}), option
        assert len([name for name in found if name.startswith("projectnil")]) <= 9


def test_a_command_imports_no_framework(pnil: Pnil, tmp_path: Path) -> None:
    pnil.deploy(tmp_path, "light", ECHO)
    for arguments in (["list"], ["list", "--json"], ["executions"], ["show", "light"], ["invoke", "light"], ["health"]):
        assert imported_by(pnil, *arguments).isdisjoint(HEAVY), arguments


def test_help_can_be_asked_for_in_every_way(pnil: Pnil) -> None:
    overview = pnil("--help")
    assert overview.returncode == 0
    assert all(pnil(*words).stdout == overview.stdout for words in (["-h"], ["help"]))
    assert "deploy" in overview.stdout
    one = pnil("invoke", "--help")
    assert one.returncode == 0
    assert "@FILE" in one.stdout
    assert all(
        pnil(*words).stdout == one.stdout for words in (["invoke", "-h"], ["help", "invoke"], ["invoke", "x", "-h"])
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("run", ["'pnil invoke'", "'pnil serve'"]),
        ("ls", ["'pnil list'"]),
        ("exectuions", ["'pnil executions'", "'pnil execution'"]),
        ("rm", ["'pnil delete'"]),
        ("xyzzy", []),
    ],
)
def test_an_unknown_command_is_answered_with_what_was_meant(pnil: Pnil, typed: str, meant: list[str]) -> None:
    done = pnil(typed)
    assert done.returncode == 2
    assert re.findall(r"'pnil (?!help)\w+'", done.stderr) == meant


def test_a_source_can_come_from_standard_input(pnil: Pnil) -> None:
    done = pnil("deploy", "-", "--name", "piped", "--json", given=ECHO)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "READY")
    done = pnil("deploy", "-", given=ECHO)
    assert done.returncode == 2
    assert "--name" in done.stderr


def test_an_input_can_come_from_a_file(pnil: Pnil, tmp_path: Path) -> None:
    pnil.deploy(tmp_path, "filed", ECHO)
    file = write(tmp_path, "input.json", '{"a": 1.10}\n')
    assert pnil("invoke", "filed", f"@{file}").stdout == pnil("invoke", "filed", '{"a": 1.10}').stdout
    assert "No such file" in pnil("invoke", "filed", f"@{file}x").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy", "FILE", "--name", ""],
        ["deploy", "FILE", "--name", " "],
        ["deploy", "FILE", "--language", ""],
        ["deploy", ""],
        ["invoke", "filled", ""],
        ["invoke", "filled", "  "],
        ["invoke", "filled", "@/dev/null"],
        ["invoke", "filled", "-"],
        ["invoke", ""],
        ["show", ""],
        ["delete", "", "--yes"],
        ["executions", ""],
        ["execution", ""],
        ["list", "--status", ""],
        ["list", "--url", ""],
    ],
)
def test_an_empty_argument_is_an_error_and_changes_nothing(
    pnil: Pnil, tmp_path: Path, arguments: list[str], platform: Platform
) -> None:
    file = write(tmp_path, "filled.ts", ECHO)
    pnil.json("deploy", file)
    with platform.client() as http:
        before = http.get("/executions", params={"limit": 1}).json()
        done = pnil(*[str(file) if argument == "FILE" else argument for argument in arguments])
        assert done.returncode in (1, 2)
        assert (done.stdout, "Traceback" in done.stderr) == ("", False)
        assert http.get("/executions", params={"limit": 1}).json() == before


def test_options_may_stand_anywhere(pnil: Pnil, tmp_path: Path) -> None:
    pnil.deploy(tmp_path, "anywhere", ECHO)
    for words in (
        ["--json", "anywhere", '{"a": 1}'],
        ["anywhere", "--json", '{"a": 1}'],
        ["anywhere", '{"a": 1}', "--json"],
    ):
        assert json.loads(pnil("invoke", *words).stdout)["output"] == {"a": 1}


def test_what_follows_two_dashes_is_a_name_whatever_it_looks_like(pnil: Pnil, tmp_path: Path) -> None:
    pnil.json("deploy", write(tmp_path, "dash.ts", ECHO), "--name=-dash")
    assert json.loads(pnil("invoke", "--json", "--", "-dash", '{"a": 1}').stdout)["output"] == {"a": 1}
    for words in (["show", "--", "-dash"], ["executions", "--", "-dash"]):
        done = pnil(*words)
        assert (done.returncode, "-dash" in done.stdout) == (0, True), done.stderr
    assert "no function named '--json'" in pnil("show", "--", "--json").stderr
    assert "no function named '-h'" in pnil("show", "--", "-h").stderr
    assert pnil("show", "--", "-dash", "extra").returncode == 2
    assert pnil("delete", "--yes", "--", "-dash").returncode == 0


def test_every_command_takes_the_last_digits_of_an_id(pnil: Pnil, tmp_path: Path) -> None:
    function_id = pnil.deploy(tmp_path, "short", ECHO)
    short = function_id[-8:]
    execution_id = pnil.json("invoke", short.upper())["id"]
    assert pnil.json("show", short)["id"] == function_id
    assert pnil.json("deploy", tmp_path / "short.ts", "--name", short)["id"] == function_id
    assert [each["id"] for each in pnil.json("executions", short)] == [execution_id]
    assert pnil.json("execution", execution_id[-8:])["id"] == execution_id
    assert pnil.json("delete", short, "--yes")["id"] == function_id
    gone = pnil("execution", execution_id[-8:])
    assert (gone.returncode, "there is no execution whose id ends in" in gone.stderr) == (1, True)


# Completion

INSTALL = "source <(pnil --show-completion bash)"
FISH = shutil.which("fish")


def complete_in_bash(pnil: Pnil, folder: Path, typed: str, install: str) -> list[str]:
    """What bash offers for a line that is being typed, with what `install` set up."""
    words = typed.split(" ")
    script = f"""
    {install}
    COMP_LINE={json.dumps(typed)}; COMP_POINT=${{#COMP_LINE}}
    COMP_WORDS=({" ".join(word or "''" for word in words)}); COMP_CWORD={len(words) - 1}; COMP_TYPE=9
    function_of=$(complete -p pnil | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    $function_of pnil {json.dumps(words[-1])} {json.dumps(words[-2])}
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        env=pnil.environment | {"HOME": str(folder), "PATH": f"{PNIL.parent}:{os.environ['PATH']}"},
        cwd=folder,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [word.strip() for word in done.stdout.splitlines()]


def test_bash_completes_commands_options_and_functions(pnil: Pnil, tmp_path: Path) -> None:
    pnil.deploy(tmp_path, "tab-completed", ECHO)
    (tmp_path / ".bashrc").write_text("# as it was\n")
    for _ in range(2):
        done = subprocess.run(
            [PNIL, "--install-completion", "bash"],
            env=pnil.environment | {"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert "new shell" in done.stdout
    assert (tmp_path / ".bashrc").read_text().startswith("# as it was\n")
    assert (tmp_path / ".bashrc").read_text().count("completion of pnil") == 1
    for install in (". ~/.bashrc", "source <(pnil --show-completion bash)"):
        assert set(complete_in_bash(pnil, tmp_path, "pnil exec", install)) == {"executions", "execution"}
        assert "--status" in complete_in_bash(pnil, tmp_path, "pnil list --s", install)
        assert complete_in_bash(pnil, tmp_path, "pnil invoke tab-c", install) == ["tab-completed"]
    pnil.environment["PROJECTNIL_URL"] = "http://127.0.0.1:1"
    assert complete_in_bash(pnil, tmp_path, "pnil invoke tab-c", ". ~/.bashrc") in ([], [""])


NOT_TYPEABLE = ["tab-\v1", "tab-\n2", "tab-\x1b3", "tab-\t4"]


@pytest.fixture
def offered(pnil: Pnil, tmp_path: Path) -> str:
    """The short id of an execution. There are functions and files to complete."""
    function_id = pnil.deploy(tmp_path, "tab-offered", ECHO)
    for name in NOT_TYPEABLE:
        pnil.json("deploy", tmp_path / "tab-offered.ts", "--name", name, "--no-wait")
    write(tmp_path, "folder/input.json", "{}")
    return str(pnil.json("invoke", function_id)["id"][-8:])


OFFERS = [
    ("show tab-", {"tab-offered", "tab-completed"}),
    ("deploy tab-offered.ts --name tab-o", {"tab-offered"}),
    ("deploy tab-offered.ts --language ", {"assemblyscript"}),
    ("deploy tab-", {"tab-offered.ts"}),
    ("deploy folder/", {"folder/input.json"}),
    ("deploy x --description ", set()),
    ("invoke x @fo", {"@folder/"}),
    ("invoke x @folder/", {"@folder/input.json"}),
    ("invoke x fo", set()),
    ("list --status re", {"ready"}),
    ("list --status RE", {"READY"}),
    ("executions --since ", set()),
    ("list --url ", set()),
]


def test_bash_offers_what_fits_each_argument(pnil: Pnil, tmp_path: Path, offered: str) -> None:
    for typed, fitting in OFFERS:
        # A word of bash's own ends at an @.
        expected = {word.removeprefix("@") for word in fitting} or {""}
        found = {word for word in complete_in_bash(pnil, tmp_path, f"pnil {typed}", INSTALL) if "--" not in word}
        assert found - {"tab-completed"} == expected - {"tab-completed"}, typed
    assert offered in complete_in_bash(pnil, tmp_path, "pnil execution ", INSTALL)


@pytest.mark.skipif(FISH is None, reason="there is no fish here")
def test_fish_offers_the_same_however_pnil_is_called(pnil: Pnil, tmp_path: Path, offered: str) -> None:
    (tmp_path / "bin").symlink_to(PNIL.parent)
    script = subprocess.run([PNIL, "--show-completion", "fish"], capture_output=True, text=True, check=True).stdout
    for program in ("bin/pnil", "~/bin/pnil", str(PNIL)):
        lines = [f"{program} {typed}" for typed, _ in [*OFFERS, ("execution ", set())]]
        found = completions_in_fish(pnil, tmp_path, script, lines)
        for (typed, expected), words in zip(OFFERS, found, strict=False):
            assert words - {"tab-completed"} == expected - {"tab-completed"}, (program, typed)
        assert offered in found[-1]


def completions_in_fish(pnil: Pnil, folder: Path, script: str, lines: list[str]) -> list[set[str]]:
    """What fish offers for each line; neither options nor what it says beside."""
    asked = "\n".join(f"complete -C {json.dumps(line)}; echo ." for line in lines)
    done = subprocess.run(
        [str(FISH), "--no-config", "-c", f"{script}\n{asked}"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=pnil.environment | {"HOME": str(folder)},
        timeout=60,
        check=True,
    )
    found: list[set[str]] = [set()]
    for line in done.stdout.splitlines():
        if line == ".":
            found.append(set())
        elif not line.startswith("-"):
            found[-1].add(line.split("\t")[0])
    return found[:-1]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_there_is_a_script_for_other_shells(pnil: Pnil, tmp_path: Path, shell: str) -> None:
    pnil.environment |= {"HOME": str(tmp_path), "SHELL": f"/usr/bin/{shell}"}
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ZDOTDIR"):
        pnil.environment.pop(name, None)
    assert "pnil" in pnil("--show-completion").stdout
    installed = pnil("--install-completion", shell).stdout.split(";")[0].removeprefix("installed ")
    assert Path(installed).read_text() == pnil("--show-completion", shell).stdout


def test_completion_for_an_unknown_shell_is_a_usage_error(pnil: Pnil) -> None:
    done = pnil("--show-completion", "cmd.exe")
    assert (done.returncode, done.stdout) == (2, "")
    assert "bash, zsh, fish" in done.stderr


# Ctrl-C and closed pipes


def test_ctrl_c_while_waiting_is_quiet(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        file = write(tmp_path, "waited.ts", ECHO)
        for arguments in (["list"], ["deploy", str(file)], ["delete", "x", "--yes"]):
            process = _started(arguments, url)
            connection, _ = silent.accept()
            with connection:
                connection.recv(65536)  # it waits for the answer now
                process.send_signal(signal.SIGINT)
                assert _end_of(process) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("module", ["gettext", "argparse", "projectnil.cli.parser", "http.client", "datetime"])
def test_ctrl_c_while_a_command_is_imported_is_quiet(module: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", PNIL, "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(url="http://127.0.0.1:1"),
    )
    assert process.stderr is not None
    while not process.stderr.readline().endswith(f" {module}\n"):
        assert process.poll() is None, f"it never imports {module}"
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert "Traceback" not in rest
    assert process.returncode in (-signal.SIGINT, 1)  # 1 if it was quicker than the signal


@pytest.mark.parametrize("arguments", [["--version"], ["list"], ["invoke", "x"]])
def test_ctrl_c_is_quiet_from_the_first_moment_to_the_last(arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for delay_ms in (*range(0, 40, 2), *range(40, 190, 10)):
            process = _started(arguments, url)
            # Whatever it is doing then: there is no event to wait for.
            with suppress(subprocess.TimeoutExpired):
                process.wait(delay_ms / 1000)
            process.send_signal(signal.SIGINT)
            code, _, said = _end_of(process)
            assert (code in (-signal.SIGINT, 0), said) == (True, ""), delay_ms  # 0 if it was quicker than the signal
            assert arguments == ["--version"] or code == -signal.SIGINT


def test_a_shell_sees_130_after_ctrl_c() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shell = subprocess.Popen(
            ["/bin/bash", "-c", f"{PNIL} list; echo $?"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(url=f"http://127.0.0.1:{silent.getsockname()[1]}"),
        )
        connection, _ = silent.accept()
        with connection:
            connection.recv(65536)
            children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
            os.kill(int(children[0]), signal.SIGINT)
            assert shell.communicate(timeout=60)[0] == "130\n"


def test_ctrl_c_before_serve_is_ready_is_quiet_and_leaves_nothing(data_dir: Path) -> None:
    process = subprocess.Popen(
        [PNIL, "serve", "--port", "0", "--data-dir", data_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    eventually("its folder is locked", (data_dir / "lock").exists)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    assert process.returncode in (0, 130, -signal.SIGINT)


def _started(arguments: list[str], url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [PNIL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(url=url)
    )


def _end_of(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def _piped(pnil: Pnil, command: str, reader: str) -> "subprocess.CompletedProcess[bytes]":
    """The last line of its output is the command's exit code."""
    return subprocess.run(
        ["/bin/bash", "-c", f"{PNIL} {command} | {reader}; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        env=pnil.environment,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["list --json", "list", "show piping", "--help", "help invoke"])
def test_a_closed_pipe_is_quiet(pnil: Pnil, tmp_path: Path, command: str) -> None:
    pnil.deploy(tmp_path, "piping", ECHO + "//" + "x" * 200_000)
    for reader in ("true", "head -c 1 > /dev/null", "sleep 0.3"):
        done = _piped(pnil, command, reader)
        assert (done.stdout.split()[-1], done.stderr) == (b"0", b""), reader


def test_a_closed_pipe_leaves_the_exit_code_as_it_is(pnil: Pnil, tmp_path: Path) -> None:
    pnil.deploy(tmp_path, "failing", FAIL)
    for command, code in (("invoke failing --json", b"1"), ("invoke failing 2>&1", b"1"), ("nonsense 2>&1", b"2")):
        done = _piped(pnil, command, "true")
        assert (done.stdout, done.stderr) == (code + b"\n", b""), command
