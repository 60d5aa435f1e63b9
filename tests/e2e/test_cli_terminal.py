"""What `pnil` shows on a terminal: tables that fit, no control characters, a question before it deletes."""

import json
import re
from pathlib import Path

import pytest

from tests.support.functions import BROKEN, ECHO, FAIL
from tests.support.platform import Platform
from tests.support.pnil import Pnil, without_styles, write

# Clears the screen, writes over its line, turns the text round, and does it all again in one character each.
ATTACK = "\x1b[2J\rover\u202eback\u2066in\x9b31m\x7f"
SHOWN = "\\u001b[2J\\rover\\u202eback\\u2066in\\u009b31m\\u007f"
ATTACKER = f"export function handle(input: string): string {{ console.log({json.dumps(ATTACK)}); return input; }}"
THROWER = f"export function handle(input: string): string {{ throw new Error({json.dumps(ATTACK)}); }}"
BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def pnil(platform: Platform) -> Pnil:
    return Pnil(platform.url)


def lines(shown: str) -> list[str]:
    return without_styles(shown).splitlines()


def test_control_characters_of_others_are_made_visible_in_every_command(pnil: Pnil, tmp_path: Path) -> None:
    name = f"n{ATTACK}"
    thrower = pnil.json("deploy", write(tmp_path, "t.ts", f"{THROWER} /* {ATTACK} */"), "--name", name)["id"]
    attacker = pnil.json("deploy", write(tmp_path, "a.ts", ATTACKER), "--name", "attacker", "--description", ATTACK)[
        "id"
    ]
    given = json.dumps({"k" + ATTACK: ATTACK}, ensure_ascii=False)
    logged = pnil.json("invoke", attacker, given)["id"]
    failed = json.loads(pnil("invoke", thrower, "--json").stdout)["id"]
    broken = write(
        tmp_path, "b.ts", f'export function handle(input: string): string {{ return "{ATTACK}" + 1 + nil; }}'
    )
    commands: list[list[object]] = [
        ["list"],
        ["list", "--wide"],
        ["list", "--json"],
        ["show", thrower],
        ["show", thrower, "--json"],
        ["show", attacker],
        ["executions", thrower],
        ["executions", thrower, "--wide"],
        ["executions", "--json"],
        ["execution", logged],
        ["execution", logged, "--json"],
        ["execution", failed],
        ["invoke", thrower],
        ["invoke", attacker, given, "--logs"],
        ["invoke", attacker, given, "--json"],
        ["deploy", broken, "--name", name + "2"],
        ["deploy", tmp_path / "t.ts", "--name", thrower],
        ["show", ATTACK],
        ["invoke", attacker, ATTACK],
        ["executions", "--status", ATTACK],
        ["list", "--url", f"http://{ATTACK}"],
        [ATTACK],
        [f"--{ATTACK}"],
        ["deploy", tmp_path / ATTACK.replace("/", "")],
        ["delete", name],
    ]
    for command in commands:
        _, shown = pnil.on_a_terminal(*command, columns=300, typed="n\n")
        assert not BAD.search(without_styles(shown)), (command, shown)
    assert SHOWN in pnil("execution", logged).stdout
    assert SHOWN in pnil("show", attacker).stdout
    for whole in (pnil("execution", logged, "--json").stdout, pnil.on_a_terminal("execution", logged, "--json")[1]):
        assert json.loads(whole)["input"] == {"k" + ATTACK: ATTACK}
    assert ATTACK[2:-1] in pnil("execution", logged, "--json").stdout.replace("\\r", "\r"), "a pipe gets it as it came"


@pytest.mark.parametrize("columns", [80, 50])
def test_lists_fit_and_keep_what_matters_most(pnil: Pnil, tmp_path: Path, columns: int) -> None:
    long = "a-name-that-is-far-too-long-for-any-list-of-functions-whatever-its-width-may-be"
    function_id = pnil.json("deploy", write(tmp_path, "n.ts", FAIL), "--name", long)["id"]
    execution_id = json.loads(pnil("invoke", function_id, "--json").stdout)["id"]
    _, shown = pnil.on_a_terminal("list", columns=columns)
    assert max(map(len, lines(shown))) <= columns
    row = next(line for line in lines(shown) if line.startswith(function_id[-8:]))
    assert re.match(r"[0-9a-f]{8}  a-name-that[^ ]*…  READY", row)
    _, shown = pnil.on_a_terminal("executions", function_id[-8:], columns=columns)
    assert max(map(len, lines(shown))) <= columns
    assert re.match(f"{execution_id[-8:]}  a-name-th[^ ]*…  FAILED ", lines(shown)[1])
    assert re.search(r"FAILED .*abort: no luck", lines(shown)[1])
    assert ("STARTED" in lines(shown)[0], "TOOK" in lines(shown)[0]) == (False, columns == 80)
    wide = lines(pnil.on_a_terminal("executions", function_id, "--wide", columns=columns)[1])
    assert wide[1].startswith(f"{execution_id}  {long}  FAILED")
    assert wide[1].endswith("no luck today in function.ts(1:49)")
    assert "no luck today in function.ts(1:49)" in pnil("executions", function_id).stdout, "a pipe has no width"


@pytest.mark.parametrize("columns", [80, 50])
def test_a_list_says_why_a_function_does_not_compile(pnil: Pnil, tmp_path: Path, columns: int) -> None:
    broken = write(tmp_path, "a-name-of-some-length-that-is-cut.ts", BROKEN)
    function_id = json.loads(pnil("deploy", broken, "--json").stdout)["id"]
    _, shown = pnil.on_a_terminal("list", columns=columns)
    assert max(map(len, lines(shown))) <= columns
    row = next(line for line in lines(shown) if line.startswith(function_id[-8:]))
    assert re.match(r"[0-9a-f]{8}  a-name-of-[^ ]*…  FAILED .*Type 'i32' .*…$", row)
    for wide in (pnil("list").stdout, pnil("list", "--wide").stdout):
        row = next(line for line in lines(wide) if function_id[-8:] in line)
        assert row.endswith("  Type 'i32' is not assignable to type '~lib/string/String'.")


def test_names_and_errors_are_not_cut_for_the_sake_of_lesser_columns(pnil: Pnil, tmp_path: Path) -> None:
    broken = write(tmp_path, "a-name-of-some-length-that-is-cut.ts", BROKEN)
    broken_id = json.loads(pnil("deploy", broken, "--json").stdout)["id"]
    failing_id = pnil.deploy(tmp_path, "another-name-of-some-length-that-is-cut", FAIL)
    pnil("invoke", failing_id)
    for columns, command, name, error in (
        (80, ["list"], "a-name-of-some-leng", "Type 'i32' is not assign"),
        (80, ["executions", failing_id], "another-name-of-som", "abort: no luck today"),
        (60, ["list"], "a-name-of-some-l", "Type 'i32' is not"),
        (30, ["list"], "a-name-", None),
        (30, ["executions", failing_id], "another", None),
    ):
        title, *rows = lines(pnil.on_a_terminal(*command, columns=columns)[1])
        row = next(line for line in rows if name in line)
        assert row.startswith(broken_id[-8:]) == (command == ["list"])
        assert max(map(len, [title, *rows])) <= columns
        assert "FAILED" in row
        assert ("ERROR" in title, error is None or error in row) == (error is not None, True), row


def test_wide_characters_take_two_cells(pnil: Pnil, tmp_path: Path) -> None:
    pnil.json("deploy", write(tmp_path, "n.ts", ECHO), "--name", "漢字")
    pnil.json("deploy", write(tmp_path, "n.ts", ECHO), "--name", "abcd")
    rows = [line for line in lines(pnil.on_a_terminal("list")[1]) if re.search("  (漢字|abcd) ", line)]
    assert rows[0].index("READY") == rows[1].index("READY") + 2


def test_deleting_asks_on_a_terminal_and_needs_yes_without_one(pnil: Pnil, tmp_path: Path) -> None:
    function_id = pnil.deploy(tmp_path, "doomed", ECHO)
    done = pnil("delete", "doomed", given="y\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--yes is needed" in done.stderr
    code, shown = pnil.on_a_terminal("delete", "doomed", typed="n\n")
    assert code == 1
    assert f"Delete doomed ({function_id[-8:]}) and all its executions? [y/N]" in without_styles(shown)
    assert pnil("show", "doomed").returncode == 0
    assert pnil.on_a_terminal("delete", "doomed", typed="y\n")[0] == 0
    assert "there is no function named 'doomed'" in pnil("show", "doomed").stderr
    pnil.deploy(tmp_path, "doomed", ECHO)
    assert pnil("delete", "doomed", "-y").returncode == 0


def test_a_terminal_gets_colours_and_a_script_does_not(pnil: Pnil, tmp_path: Path) -> None:
    code, shown = pnil.on_a_terminal("deploy", write(tmp_path, "colourful.ts", ECHO + "// once more"))
    assert code == 0
    assert "compiling" in shown
    assert "\x1b[32mREADY\x1b[0m" in shown
    assert "\x1b[" not in pnil("show", "colourful").stdout
    pnil.environment["NO_COLOR"] = "1"
    assert "\x1b[" not in pnil.on_a_terminal("list")[1]
