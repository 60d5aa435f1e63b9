r"""Runs the ```console blocks of a document and compares what they print.

The convention for documents:

- A line `$ command` is run by bash in a folder that looks like a checkout in which `make run` is running; a command
  that ends in `\` goes on in the next line. The lines up to the next `$` are what it prints, on either stream.
- A line `...` stands for any number of lines, and `...` within a line for any text. In JSON the string `"..."` stands
  for any value, and as a key or last item for whatever else there is.
- Output that is JSON is compared as JSON, so a document may show it indented.
- Ids, points in time, durations, gaps, digests and cursors stand for ones of their kind. An id (digest, cursor) seen
  first in an output stands for the real one from then on, in commands too; so do the last 8 digits of an id.
- Lines of the platform's log are left out, unless the document shows one.
- Of an HTTP answer's headers a document shows those that matter; the others may be there as well.
- A command that fails is followed by `$ echo $?`. One that ends in `&` goes on running, until `$ kill %1` or the end.
- What only reads over HTTP is asked again for a while if the answer is another one: the compiler works meanwhile.
- Addresses stand for free ones: 127.0.0.1:8080 and so on, postgresql://..., /var/lib/projectnil.
- A block after `<!-- file: NAME -->` is written to that file.
"""

import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tests.docs.markdown import ROOT, Block, blocks
from tests.support.platform import environment

DATABASE_URL = "postgresql://projectnil:secret@db.example.com/projectnil"
DATA_DIR = "/var/lib/projectnil"
COMMAND_TIMEOUT_S = 90.0
COMPILER_PATIENCE_S = 90.0
STOP_TIMEOUT_S = 60.0

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_SHA256 = r"\b[0-9a-f]{64}\b"
_CURSOR = r"(?<=cursor=)[\w-]+"
# The last digits of an id, which stand for those of the real one; not a number, nor a word.
_SHORT_ID = r"(?<![\w-])(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{8}(?![\w-])"
_NAMED = re.compile(f"{_UUID}|{_SHA256}|{_CURSOR}|{_SHORT_ID}")
# What stands for any of its kind: how to know one in a document, and what it stands for in an output.
_KINDS = {
    "named": (_NAMED.pattern, ""),
    "instant": (r"\d{4}-\d\d-\d\dT[\d:.]+Z", r"\d{4}-\d\d-\d\dT[\d:.]+Z"),
    "local": (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    "week": (r"executions_\d{8}", r"executions_\d{8}"),
    "duration": (r"\b\d+\.\d m?s\b", r"\d+\.\d m?s"),
    "gap": (r"  +", r"  +"),
    "any": (r"\.\.\.", r".*"),
}
_TOKEN = re.compile("|".join(f"(?P<{name}>{known})" for name, (known, _) in _KINDS.items()))
_PORT = re.compile(r"\b808\d\b")
_LOG_LINE = re.compile(r'\{.*"event":"[\w.]+","part":"\w+","level":"\w+","timestamp":"[^"]+"\}$')
_READS_ONLY = re.compile(r"curl (?!.*\s(?:-X|-d|-T|--data|--json))", re.DOTALL)


class Step(msgspec.Struct, frozen=True):
    command: str
    expected: str


def steps(text: str) -> list[Step]:
    """The commands of a block, each with what it prints."""
    found: list[Step] = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        assert line.startswith("$ "), f"expected a command, found {line!r}"
        command = line[2:]
        while command.endswith("\\"):
            command = f"{command}\n{lines.pop(0)}"
        expected: list[str] = []
        while lines and not lines[0].startswith("$ "):
            expected.append(lines.pop(0))
        found.append(Step(command, "\n".join(expected).rstrip()))
    return found


class Differs(AssertionError):
    """An output is not what the document shows."""


class Reader:
    """Somebody who follows a document from its first command to its last. Close it to end what still runs."""

    def __init__(self, folder: Path, port: str, addresses: Mapping[str, str]) -> None:
        """folder: where the commands run. port: of the running platform. addresses: what each documented stands for."""
        self._folder = folder
        self._addresses = addresses
        self._ports = {"8080": port}
        self._names: dict[str, str] = {}
        self._running: dict[int, subprocess.Popen[str]] = {}
        self._jobs = 0
        self._status = 0
        # The default of --url is 8080 too.
        self._environment = environment(url=f"http://127.0.0.1:{port}") | {
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "COLUMNS": "120",
            "LC_ALL": "C.UTF-8",
        }

    def follow(self, path: Path) -> None:
        """Do what the document says. Raises AssertionError with the place where it is not true."""
        for block in blocks(path):
            if block.marker.startswith("file: "):
                (self._folder / block.marker.removeprefix("file: ")).write_text(block.text + "\n")
            elif block.language == "console":
                self._follow_block(block)
        assert self._status == 0, f"{path.name} ends with a failed command that it does not own up to"

    def close(self) -> None:
        while self._running:
            self._stop(self._running.popitem()[1])

    def _follow_block(self, block: Block) -> None:
        for step in steps(block.text):
            try:
                self._do(step)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                raise AssertionError(f"{block.place}\n$ {step.command}\n{error}") from None

    def _do(self, step: Step) -> None:
        command = self._real(step.command)
        if command.endswith(" &"):
            self._compare(step.expected, self._run_on(command.removesuffix("&"), len(step.expected.splitlines())))
            return
        if stopped := re.fullmatch(r"kill %(\d)", command):
            assert self._stop(self._running.pop(int(stopped[1]))) == 0, "it did not end in good order"
            return
        if command == "echo $?":
            command = f"echo {self._status}"
            self._status = 0
        assert self._status == 0, f"the command before it failed with {self._status}, and the document does not say so"
        self._run(command, step.expected)

    def _run(self, command: str, expected: str) -> None:
        deadline = time.monotonic() + (COMPILER_PATIENCE_S if _READS_ONLY.match(command) else 0)
        while True:
            done = subprocess.run(
                ["/bin/bash", "-c", command],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
            try:
                self._status = done.returncode
                self._compare(expected, done.stdout)
                return
            except Differs:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _run_on(self, command: str, lines: int) -> str:
        log = self._folder / "background.log"
        with log.open("w") as log_file:
            process = subprocess.Popen(
                ["/bin/bash", "-c", f"exec {command}"],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log_file,
                text=True,
            )
        self._jobs += 1
        self._running[self._jobs] = process
        assert process.stdout is not None
        printed = ""
        for _ in range(lines):
            readable, _, _ = select.select([process.stdout], [], [], COMMAND_TIMEOUT_S)
            line = process.stdout.readline() if readable else ""
            assert line, f"it said no more than {printed!r}\n{log.read_text()}"
            printed += line
        return printed

    def _stop(self, process: subprocess.Popen[str]) -> int:
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()

    # From the document to what is really there, and back

    def _real(self, command: str) -> str:
        for documented, real in self._addresses.items():
            command = command.replace(documented, real)
        command = _PORT.sub(self._real_port, command)
        return _NAMED.sub(lambda name: self._names.setdefault(name[0], name[0]), command)

    def _real_port(self, documented: re.Match[str]) -> str:
        return self._ports.setdefault(documented[0], str(_free_port()))

    def _documented(self, output: str) -> str:
        for documented, real in self._addresses.items():
            output = output.replace(real, documented)
        for documented, real in self._ports.items():
            output = re.sub(rf"(?<=:){real}\b", documented, output)
        return output

    # Comparing

    def _compare(self, expected: str, output: str) -> None:
        output = self._documented(output)
        if '"event"' not in expected:
            output = "".join(line for line in output.splitlines(keepends=True) if not _LOG_LINE.match(line))
        try:
            self._compare_answer(expected, output)
        except Differs as difference:
            raise Differs(f"{difference}\n--- documented\n{expected}\n--- printed\n{output}") from None

    def _compare_answer(self, expected: str, output: str) -> None:
        if expected.startswith("HTTP/"):
            self._compare_http(expected, output)
        elif _is_json(expected):
            if not _is_json(output):
                raise Differs("it is not JSON")
            self._compare_json(json.loads(expected), json.loads(output), "$")
        else:
            self._compare_lines([line.rstrip() for line in expected.splitlines()], _lines(output))

    def _compare_http(self, expected: str, output: str) -> None:
        expected_head, _, expected_body = expected.partition("\n\n")
        head, _, body = output.replace("\r", "").partition("\n\n")
        expected_status, *expected_fields = expected_head.splitlines()
        status, *fields = head.splitlines()
        self._compare_text(expected_status, status)
        by_name = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        for field in expected_fields:
            name, _, value = field.partition(": ")
            self._compare_text(value, by_name.get(name.lower(), f"(there is no {name})"))
        self._compare_answer(expected_body, body)

    def _compare_json(self, expected: Any, value: Any, at: str) -> None:
        if expected == "...":
            return
        if isinstance(expected, dict) and isinstance(value, dict):
            shown = {name: item for name, item in expected.items() if name != "..."}
            if set(shown) != set(value) and not ("..." in expected and set(shown) < set(value)):
                raise Differs(f"{at} has {sorted(value)}")
            for name, item in shown.items():
                self._compare_json(item, value[name], f"{at}.{name}")
        elif isinstance(expected, list) and isinstance(value, list):
            is_open = expected[-1:] == ["..."]
            shown_items = expected[:-1] if is_open else expected
            if len(value) != len(shown_items) and not (is_open and len(value) > len(shown_items)):
                raise Differs(f"{at} has {len(value)} items")
            for number, item in enumerate(shown_items):
                self._compare_json(item, value[number], f"{at}[{number}]")
        elif isinstance(expected, str) and isinstance(value, str):
            self._compare_text(expected, value)
        elif expected != value or type(expected) is not type(value):
            raise Differs(f"{at} is {value!r}")

    def _compare_lines(self, expected: list[str], lines: list[str]) -> None:
        if not expected:
            if lines:
                raise Differs(f"the document does not show {lines[0]!r}")
            return
        if expected[0] == "...":
            for skipped in range(len(lines) + 1):
                try:
                    self._compare_lines(expected[1:], lines[skipped:])
                    return
                except Differs:
                    continue
            raise Differs(f"no line is like {expected[1]!r}")
        if not lines:
            raise Differs(f"{expected[0]!r} is missing")
        self._compare_text(expected[0], lines[0])
        self._compare_lines(expected[1:], lines[1:])

    def _compare_text(self, expected: str, text: str) -> None:
        pattern, names = self._pattern_of(expected)
        match = re.fullmatch(pattern, text, re.DOTALL)
        if match is None:
            raise Differs(f"{text!r} is not like {expected!r}")
        self._learn({name: match[f"name{number}"] for number, name in enumerate(names)})

    def _learn(self, names: dict[str, str]) -> None:
        self._names.update(names)
        ids = {name: real for name, real in names.items() if re.fullmatch(_UUID, name)}
        self._names.update({name[-8:]: real[-8:] for name, real in ids.items()})

    def _pattern_of(self, expected: str) -> tuple[str, list[str]]:
        """A pattern for `expected`, and the names in it that this document has not used before."""
        parts: list[str] = []
        new: list[str] = []
        end = 0
        for token in _TOKEN.finditer(expected):
            parts.append(re.escape(expected[end : token.start()]))
            kind, name = token.lastgroup, token[0]
            if kind != "named":
                parts.append(_KINDS[kind or ""][1])
            elif name in self._names:
                parts.append(re.escape(self._names[name]))
            elif name in new:
                parts.append(f"(?P=name{new.index(name)})")
            else:
                parts.append(f"(?P<name{len(new)}>{_kind_of(name)})")
                new.append(name)
            end = token.end()
        return "".join([*parts, re.escape(expected[end:])]), new


def _kind_of(name: str) -> str:
    return next(kind for kind in (_UUID, r"[0-9a-f]{64}", r"[0-9a-f]{8}", r"[\w-]+") if re.fullmatch(kind, name))


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def _lines(output: str) -> list[str]:
    return [line.rstrip() for line in output.rstrip().splitlines()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
