"""The client commands, as a person and as a script use them."""

import json
import os
import re
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from projectnil.cli import exact_json, output
from tests.support.functions import BROKEN, ECHO, FAIL
from tests.support.platform import PNIL, Platform, environment
from tests.support.pnil import Pnil, write

CHATTY = 'export function handle(input: string): string { console.log("seen " + input); return input; }'


@pytest.fixture
def pnil(platform: Platform) -> Pnil:
    return Pnil(platform.url)


def test_deploying_creates_a_function_named_after_its_file_and_then_updates_it(pnil: Pnil, tmp_path: Path) -> None:
    file = write(tmp_path, "deployed.ts", ECHO)
    done = pnil("deploy", file, "--description", "says it again")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"deployed is READY, revision 1  [0-9a-f-]{36}\n", done.stdout)
    file.write_text(CHATTY)
    updated = pnil.json("deploy", file)
    assert (updated["status"], updated["revision"], updated["description"]) == ("READY", 2, "says it again")
    assert len(pnil.json("list")) >= 1


def test_a_file_of_a_general_name_is_named_after_its_folder(pnil: Pnil, tmp_path: Path) -> None:
    assert pnil.json("deploy", write(tmp_path, "greeter/function.ts", ECHO))["name"] == "greeter"
    assert pnil.json("deploy", write(tmp_path, "greeter/function.ts", ECHO), "--name", "other")["name"] == "other"


def test_a_source_that_does_not_compile_prints_the_compilers_message_and_exits_with_1(
    pnil: Pnil, tmp_path: Path
) -> None:
    done = pnil("deploy", write(tmp_path, "broken.ts", BROKEN))
    assert done.returncode == 1
    assert "Type 'i32' is not assignable" in done.stderr
    assert done.stdout == ""
    done = pnil("deploy", tmp_path / "broken.ts", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "FAILED"


def test_deploying_need_not_wait(pnil: Pnil, tmp_path: Path) -> None:
    assert pnil.json("deploy", write(tmp_path, "later.ts", ECHO), "--no-wait")["status"] in ("PENDING", "COMPILING")


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"\xff\xfe", "latin.ts", "latin.ts is not UTF-8: invalid start byte at byte 0"),
        (b"", "empty.ts", "source: must not be empty (HTTP 400)"),
        (b"x", "cobol.cbl", "unsupported file type .cbl; supported: .ts (assemblyscript); or use --language"),
        (None, "absent.ts", "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_deployed_is_an_error_that_says_why(
    pnil: Pnil, tmp_path: Path, content: bytes | None, name: str, words: str
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    done = pnil("deploy", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unsupported_language_is_an_error_that_lists_the_supported_ones(pnil: Pnil, tmp_path: Path) -> None:
    done = pnil("deploy", write(tmp_path, "x.cbl", "x"), "--language", "cobol")
    assert done.returncode == 1
    assert "supported: assemblyscript" in done.stderr


def test_invoking_prints_the_output_alone(pnil: Pnil, tmp_path: Path) -> None:
    function_id = pnil.json("deploy", write(tmp_path, "invoked.ts", ECHO))["id"]
    for called in ("invoked", function_id):
        done = pnil("invoke", called, '{"a": "é"}')
        assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {"a": "é"}, "")
    assert json.loads(pnil("invoke", "invoked", "-", given='{"b": 1}').stdout) == {"b": 1}
    assert json.loads(pnil("invoke", "invoked").stdout) == {}
    whole = pnil.json("invoke", "invoked", '{"a": 1}')
    assert (whole["status"], whole["output"]) == ("COMPLETED", {"a": 1})


def test_a_function_that_fails_prints_why_and_exits_with_1(pnil: Pnil, tmp_path: Path) -> None:
    pnil.json("deploy", write(tmp_path, "failing.ts", FAIL))
    done = pnil("invoke", "failing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "abort: no luck today in function.ts(1:49)"
    done = pnil("invoke", "failing", "--json")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (1, "FAILED")


def test_logs_are_shown_when_asked_for(pnil: Pnil, tmp_path: Path) -> None:
    pnil.json("deploy", write(tmp_path, "chatty.ts", CHATTY))
    done = pnil("invoke", "chatty", "{}", "--logs")
    assert (json.loads(done.stdout), done.stderr) == ({}, "seen {}\n")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{", "is not valid JSON"),
        ("nonsense", "is not valid JSON"),
        ('{"a": 1}, "input": {"b": 2}', "is not valid JSON"),
        ("[]", "is a list, not a JSON object"),
        ("null", "is null, not a JSON object"),
        ('"{}"', "is text, not a JSON object"),
        ("true", "is true, not a JSON object"),
        ("1.10", "is a number, not a JSON object"),
    ],
)
def test_an_input_that_is_not_an_object_is_an_error(pnil: Pnil, tmp_path: Path, given: str, words: str) -> None:
    file = write(tmp_path, "given.json", given)
    pnil.json("deploy", write(tmp_path, "strict.ts", ECHO))
    done = pnil("invoke", "strict", given)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    for from_elsewhere in (pnil("invoke", "strict", "-", given=given), pnil("invoke", "strict", f"@{file}")):
        assert (from_elsewhere.returncode, from_elsewhere.stdout) == (1, "")
        assert words in from_elsewhere.stderr


def test_numbers_keep_their_digits_on_the_way_in_and_out(pnil: Pnil, tmp_path: Path) -> None:
    pnil.json("deploy", write(tmp_path, "digits.ts", ECHO))
    for arguments in ([], ["--json"]):
        shown = pnil("invoke", "digits", '{"a": 1e300, "b": 0.10000000000000000555}', *arguments).stdout
        assert '"a": 1e300' in shown
        assert '"b": 0.10000000000000000555' in shown


def test_the_history_can_be_read(pnil: Pnil, tmp_path: Path) -> None:
    pnil.json("deploy", write(tmp_path, "history.ts", CHATTY))
    pnil("invoke", "history", '{"n": 1}')
    pnil("invoke", "history", '{"n": 2}')
    listed = pnil.json("executions", "history")
    assert len(listed) == 2
    details = pnil.json("execution", listed[0]["id"])
    assert (details["input"], details["output"]) == ({"n": 2}, {"n": 2})
    shown = pnil("execution", listed[0]["id"]).stdout
    assert 'seen {"n":2}' in shown
    assert "COMPLETED" in shown
    assert listed[1]["id"] in pnil("executions", "history", "--status", "COMPLETED", "--wide").stdout
    assert listed[1]["id"][-8:] in pnil("executions", "history", "--status", "completed").stdout
    assert "history" in pnil("list", "--status", "ready").stdout
    assert CHATTY in pnil("show", "history").stdout


def test_executions_can_be_filtered_and_deleted(pnil: Pnil, tmp_path: Path) -> None:
    pnil.json("deploy", write(tmp_path, "filtered.ts", FAIL))
    for _ in range(3):
        pnil("invoke", "filtered")
    ids = [each["id"] for each in pnil.json("executions", "filtered")]
    assert len(ids) == 3
    assert [each["id"] for each in pnil.json("executions", "filtered", "--error", "luck today", "--limit", 2)] == ids[
        :2
    ]
    assert pnil.json("executions", "filtered", "--error", "misfortune") == []
    assert pnil.json("executions", "filtered", "--until", "2026-01-01T00:00:00Z") == []
    assert len(pnil.json("executions", "filtered", "--since", "2026-01-01T00:00:00Z", "--status", "failed")) == 3
    since = pnil.json("executions", "filtered", "--since", "2026-01-01T00:00:00+02:00")
    assert len(since) == len(ids)
    kept = pnil("execution", ids[0][-8:], "--delete")
    assert (kept.returncode, "--yes is needed" in kept.stderr) == (1, True)
    assert pnil("execution", ids[0][-8:], "--delete", "--yes").stdout == f"deleted {ids[0]}\n"
    assert [each["id"] for each in pnil.json("executions", "filtered")] == ids[1:]


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "x", ""])
@pytest.mark.parametrize("command", ["list", "executions"])
def test_a_limit_below_one_is_a_usage_error(pnil: Pnil, command: str, limit: str) -> None:
    done = pnil(command, f"--limit={limit}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"argument --limit: must be a whole number of at least 1; it is {limit!r}" in done.stderr


def test_a_limit_may_be_more_than_a_page(pnil: Pnil, platform: Platform, tmp_path: Path) -> None:
    function_id = pnil.deploy(tmp_path, "often", ECHO)
    with platform.client() as http:
        for _ in range(502):
            http.post(f"/functions/{function_id}/execute")
    assert [len(pnil.json("executions", "often", "--limit", limit)) for limit in (501, 1000)] == [501, 502]


def test_numbers_are_printed_as_they_are_recorded(pnil: Pnil, tmp_path: Path) -> None:
    pnil.json(
        "deploy",
        write(
            tmp_path,
            "exact.ts",
            "export function handle(i: string): string { return LONG; }".replace(
                "LONG", repr('{"a": 1.25, "b": 0.123456789012345678901234567890}')
            ),
        ),
    )
    execution_id = pnil.json("invoke", "exact", '{"n": 123456789012345678901234567890.5}')["id"]
    for arguments in ([], ["--json"]):
        shown = pnil("execution", execution_id, *arguments).stdout
        assert '"b": 0.12345678901234567890123456789' in shown
        assert '"n": 123456789012345678901234567890.5' in shown


# As people and programs write them; no float holds most of them.
NUMBERS = [
    "1.10",
    "-0",
    "-0.0",
    "1e400",
    "-1.5e-7",
    "1E+2",
    "2.5e2",
    "12345678901234567890123",
    "0.123456789012345678901234567891",
    "-9007199254740993",
    "1e22",
    "5e-324",
    "100000000000000000000000.5",
    "0.30000000000000000000000000000000000000000001",
]


def values_in(text: str) -> list[Decimal]:
    """The numbers of the list `n`, wherever it is, to the last digit."""
    (found,) = re.findall(r'"n": ?\[([^\]]*)\]', text)
    return [Decimal(number) for number in found.split(",")]


@pytest.mark.parametrize("spelled_by", ["the caller", "the function"])
def test_every_number_is_shown_to_its_last_digit_whichever_way_it_comes_out(
    pnil: Pnil, tmp_path: Path, spelled_by: str
) -> None:
    text = f'{{"n": [{", ".join(NUMBERS)}]}}'
    source = ECHO if spelled_by == "the caller" else ECHO.replace("return input", f"return '{text}'")
    pnil.json("deploy", write(tmp_path, "every-number.ts", source))
    invoked = pnil("invoke", "every-number", text).stdout
    whole = pnil("invoke", "every-number", text, "--json").stdout
    shown = pnil("execution", json.loads(whole)["id"]).stdout
    as_json = pnil("execution", json.loads(whole)["id"], "--json").stdout
    ways = [invoked, whole, *shown.partition("output ")[::2], *as_json.partition('"output"')[::2]]
    assert [values_in(way) for way in ways] == [[Decimal(number) for number in NUMBERS]] * 6
    assert ("1.10," in invoked, "1.10," in shown, "1.1," in invoked) == (
        (True, True, False) if spelled_by == "the function" else (False, False, True)
    )


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [("0.0312", "0.0 ms"), ("1.1", "1.1 ms"), ("999.949", "999.9 ms"), ("999.96", "1.0 s"), ("10100.2", "10.1 s")],
)
def test_durations_read_as_people_say_them(milliseconds: str, shown: str) -> None:
    assert output.duration({"durationMs": exact_json.Number(milliseconds)}) == shown


def test_a_name_that_several_functions_have_asks_for_an_id(pnil: Pnil, tmp_path: Path, platform: Platform) -> None:
    with platform.client() as http:
        for _ in range(2):
            http.post("/functions", json={"name": "twin", "language": "assemblyscript", "source": ECHO})
    done = pnil("show", "twin")
    assert done.returncode == 1
    assert "more than one function is named 'twin'; use an id" in done.stderr
    twin = pnil.json("list")[0]["id"]
    updated = pnil.json("deploy", write(tmp_path, "other.ts", CHATTY), "--name", twin)
    assert (updated["id"], updated["name"], updated["revision"]) == (twin, "twin", 2)


def test_health_shows_each_part(pnil: Pnil) -> None:
    shown = pnil("health")
    assert shown.returncode == 0, shown.stderr
    parts = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    assert parts["platform"] == "UP"
    assert parts["compiler"].split() == ["UP", "serves", "assemblyscript"]
    assert "0 busy" in parts["sandbox"]
    assert pnil.json("health")["status"] == "UP"


def test_nothing_at_the_address_says_how_to_start_it() -> None:
    done = Pnil("http://127.0.0.1:1")("list")
    assert done.returncode == 1
    assert done.stderr == (
        "pnil: nothing answers at http://127.0.0.1:1; start it with 'pnil serve', or say where it is with --url\n"
    )


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("correct-horse", "nothing answers at http://127.0.0.1:1;"),
        ("9/horse", "write / as %2F"),
        ("9#horse", "# as %23"),
    ],
)
def test_a_password_in_the_address_is_not_shown(pnil: Pnil, password: str, told: str) -> None:
    done = pnil("list", "--url", f"http://operator:{password}@127.0.0.1:1")
    assert done.returncode == (1 if password == "correct-horse" else 2)
    assert told in done.stderr
    assert "horse" not in done.stderr


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://"])
def test_an_address_that_is_none_is_an_error(url: str) -> None:
    done = Pnil("http://127.0.0.1:1")("list", "--url", url)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("pnil list: ")


@pytest.mark.parametrize("command", ["nonsense", "deploy", "invoke", "execution"])
def test_a_command_that_is_incomplete_is_a_usage_error(pnil: Pnil, command: str) -> None:
    done = pnil(command)
    assert done.returncode == 2
    assert f"'pnil {command} --help'" in done.stderr or "'pnil help'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["executions", "--since", "yesterday"],
            "argument --since: must be a time such as 2026-11-21T09:30:00Z; it is",
        ),
        (["executions", "--until", "2026-11-21T09:30:00"], "argument --until: must be a time such as"),
        (["deploy", "-"], "give it one with --name"),
        (["invoke", "f", ""], "the input is empty"),
        (["invoke", "f", "@"], "no file is named after the @"),
        (["list", "--status", "foo"], "must be one of PENDING, COMPILING, READY, FAILED; it is 'foo'"),
        (["execution", "nonsense"], "'nonsense' is not an id"),
        (["prune", "--older-than", "long"], "must be a number of days or weeks"),
    ],
)
def test_what_is_mistyped_is_told_in_the_words_of_the_command_line(arguments: list[str], words: str) -> None:
    done = Pnil("http://127.0.0.1:1")(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "%2B" not in done.stderr


def test_help_about_help_is_the_overview(pnil: Pnil) -> None:
    assert pnil("help", "help").stdout == pnil("help", "--help").stdout == pnil("help").stdout


def test_a_byte_order_mark_is_no_part_of_a_file(pnil: Pnil, tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    (tmp_path / "marked.ts").write_bytes(mark + ECHO.encode())
    (tmp_path / "marked.json").write_bytes(mark + b'{"a": 1}')
    assert pnil.json("show", pnil.json("deploy", tmp_path / "marked.ts")["id"])["source"] == ECHO
    assert json.loads(pnil("invoke", "marked", f"@{tmp_path}/marked.json").stdout) == {"a": 1}
    assert json.loads(pnil("invoke", "marked", "-", given=mark + b'{"a": 1}').stdout) == {"a": 1}


def test_output_that_cannot_be_written_is_told_in_words(pnil: Pnil) -> None:
    for command in ("list", "--help"):
        done = subprocess.run(
            ["/bin/bash", "-c", f"{PNIL} {command} > /dev/full"], capture_output=True, env=pnil.environment, check=False
        )
        assert (done.returncode, done.stderr) == (
            1,
            b"pnil: cannot write to standard output: No space left on device\n",
        )


@pytest.mark.parametrize(
    "command",
    [
        'printf \'{"a":"\\377"}\' | pnil invoke spoken -',
        "pnil show $(printf 'e\\377')",
        "pnil deploy spoken.ts --name $(printf 'e\\377')",
        "pnil list > /dev/full",
        "pnil list --json > /dev/full",
        "pnil invoke spoken - <&-; test $? = 0",
        "pnil list --json >&-; test $? = 0",
        "pnil list --limit 500 --json | head -1 >/dev/null",
        "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 PYTHONIOENCODING=ascii pnil show spoken",
        "HTTP_PROXY=http://127.0.0.1:1 http_proxy=http://127.0.0.1:1 ALL_PROXY=socks5://127.0.0.1:1 pnil list",
    ],
)
def test_odd_streams_and_locales_end_without_a_traceback(
    pnil: Pnil, platform: Platform, tmp_path: Path, command: str
) -> None:
    pnil.json("deploy", write(tmp_path, "spoken.ts", ECHO + " // é 👩"))
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        capture_output=True,
        cwd=tmp_path,
        env=environment(url=platform.url) | {"PATH": f"{PNIL.parent}:{os.environ['PATH']}"},
        timeout=60,
        check=False,
    )
    said = done.stderr.decode(errors="replace")
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    if done.returncode:
        assert said.startswith("pnil: ")
