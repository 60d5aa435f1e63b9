"""Every fenced block of the documents is held to something real, and there is none of a kind that no test knows."""

import configparser
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import msgspec
import pytest

from projectnil.cli.commands import BY_NAME
from projectnil.cli.parser import parser_of
from projectnil.domain.compilation import CompilationJob, CompilationResult, decode_job, decode_result, wasm_of
from tests.docs.markdown import DOCUMENTS, ROOT, Block, blocks, name_of
from tests.support.platform import READY

BLOCKS = [block for path in DOCUMENTS for block in blocks(path)]
GUIDE = ROOT / "docs" / "writing-functions.md"
# Printed by `make run`, whose command starts with nothing but the platform.
READY_LINE = "projectnil is ready at http://127.0.0.1:8080"


def _kind(block: Block) -> str:
    if block.path == GUIDE:
        return "guide"  # test_writing_functions
    if block.marker.startswith("file: "):
        return "file"  # written by the reader of test_console
    if block.marker.startswith("message: "):
        return "message"
    if block.marker in ("host", "compose"):
        return "deploy"  # run by deploy/tests, where Podman is
    if block.path.name == "ARCHITECTURE.md" and block.language == "text":
        return "map"  # test_reference
    return block.language


KNOWN = {"guide", "file", "message", "map", "console", "sh", "mermaid", "ini", "text", "deploy"}


def _of(kind: str) -> list[Block]:
    return [block for block in BLOCKS if _kind(block) == kind]


def _place(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_block_is_of_a_kind_that_no_test_covers(path: Path) -> None:
    assert {_kind(block) for block in blocks(path)} <= KNOWN


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_a_file_that_is_shown_is_used_by_a_later_command(path: Path) -> None:
    commands = "\n".join(block.text for block in blocks(path) if block.language == "console")
    for block in blocks(path):
        if block.marker.startswith("file: "):
            assert block.marker.removeprefix("file: ") in commands, block.place


@pytest.mark.parametrize("block", _of("sh"), ids=_place)
def test_a_command_that_tests_cannot_type_is_held_to_what_it_runs(block: Block) -> None:
    for command in block.text.splitlines():
        HELD[command]()


@pytest.mark.parametrize("block", _of("deploy"), ids=_place)
def test_a_command_for_a_host_names_a_program_and_files_that_there_are(block: Block) -> None:
    for line in block.text.splitlines():
        for word in shlex.split(line, comments=True):
            if word.endswith(".yml"):
                assert (ROOT / "deploy" / "ansible" / word).is_file(), line
            elif word.startswith(("scripts/", "deploy/image/", "../image/")):
                assert os.access(ROOT / "deploy" / "ansible" / word if word[0] == "." else ROOT / word, os.X_OK), line


def _installs_what_setup_needs() -> None:
    setup = (ROOT / "scripts" / "setup").read_text()
    assert "${PYTHON:-python3}" in setup
    assert "-m venv .venv" in setup
    for tool in ("docker", "psql", "npm install", "apt-get install -"):
        assert tool not in setup


def _runs_the_platform() -> None:
    assert _last_of_make("run").endswith(".venv/bin/pnil serve")
    assert "setup" in _makefile_needs("run")


def _runs_every_test() -> None:
    assert re.search(r"\.venv/bin/pytest -n \d+ --dist worksteal$", _last_of_make("test"))
    assert "setup" in _makefile_needs("test")


def _tests_deploying() -> None:
    assert _last_of_make("test-deploy").endswith(".venv/bin/pytest -x deploy/tests")
    assert "setup" in _makefile_needs("test-deploy")


HELD = {
    "apt-get install python3 python3-venv make git": _installs_what_setup_needs,
    "make run": _runs_the_platform,
    "make test": _runs_every_test,
    "make test-deploy": _tests_deploying,
}


def _last_of_make(target: str) -> str:
    # A make that runs these tests would have this one report to it.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    make = ["/usr/bin/env", "make", "-n", target]
    shown = subprocess.run(make, cwd=ROOT, env=outside, capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()[-1]


def _makefile_needs(target: str) -> list[str]:
    rule = re.search(rf"^{target}: ([\w ]+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert rule is not None
    return rule[1].split()


@pytest.mark.parametrize("block", _of("text"), ids=_place)
def test_the_only_plain_text_is_the_line_that_serve_prints(block: Block) -> None:
    assert block.text == READY_LINE
    assert READY.fullmatch(block.text + "\n")


@pytest.mark.parametrize("block", _of("message"), ids=_place)
def test_a_message_has_exactly_the_shape_of_its_queue(block: Block) -> None:
    decoded: CompilationJob | CompilationResult
    if block.marker == "message: CompilationJob":
        decoded = decode_job(block.text)
    else:
        decoded = decode_result(block.text)
        assert not decoded.success or wasm_of(decoded).startswith(b"\0asm")
    assert json.loads(msgspec.json.encode(decoded)) == json.loads(block.text)


@pytest.mark.parametrize("block", _of("ini"), ids=_place)
def test_a_service_unit_starts_a_command_that_there_is(block: Block) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # the documented way to keep capitals
    unit.read_string(block.text)
    program, command, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/.venv/bin/pnil")
    parser_of(BY_NAME[command]).parse_args(arguments)  # raises UsageError


NODE = r"\w+(?:\(\[.+?\]\)|\[\(\".+?\"\)\]|\[\".+?\"\]|\[\w+\])?"
MERMAID_LINES = [
    r"flowchart (?:LR|TB)",
    rf"{NODE} (?:-- \".+?\" -->|-->|-\.->) {NODE}",
    r"subgraph \w+ \[\".+?\"\]",
    r"end",
]


@pytest.mark.parametrize("block", _of("mermaid"), ids=_place)
def test_a_diagram_has_only_lines_that_mermaid_draws(block: Block) -> None:
    for line in block.text.splitlines():
        assert any(re.fullmatch(pattern, line.strip()) for pattern in MERMAID_LINES), line
    lines = [line.strip() for line in block.text.splitlines()]
    assert sum(line.startswith("subgraph") for line in lines) == lines.count("end")
