"""What the documents list is what there is: no more, no less, and with the right values."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import pytest

from projectnil.api.explanations import WHEN
from projectnil.api.openapi import problem_kinds
from projectnil.api.routes import OPERATIONS
from projectnil.cli.commands import COMMANDS
from projectnil.cli.parser import parser_of
from projectnil.compiler.assemblyscript.hints import HINTS
from projectnil.config import PREFIX, Settings
from projectnil.domain.guest_errors import GuestError
from tests.docs.markdown import DOCUMENTS, ROOT, anchors, blocks, links, name_of, prose, rows

DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "projectnil"
JSON_LIBRARY = ROOT / "toolchains" / "assemblyscript" / "json-as"

# What the platform promises to log (the rest is its own affair, and documented all the same).
PROMISED_EVENTS = [
    "function.created",
    "compilation.job.published",
    "job.received",
    "job.compiled",
    "job.failed",
    "result.published",
    "compilation.result.applied",
    "compilation.result.dropped",
    "execution.started",
    "execution.completed",
    "execution.failed",
    "execution.interrupted",
]


# Configuration


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {
        row[0]: row[1]
        for heading in re.findall(r"^## .+$", prose(DOCS / "configuration.md"), flags=re.MULTILINE)
        for row in rows(DOCS / "configuration.md", heading)
    }
    settings = Settings()
    assert documented == {
        PREFIX + name.upper(): _default(getattr(settings, name)) for name in Settings.__struct_fields__
    }


def _default(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return str(value.relative_to(ROOT) if isinstance(value, Path) and value.is_absolute() else value)


@pytest.mark.parametrize(
    ("setting", "in_words"),
    [
        ("memory_bytes", "64 MiB"),
        ("input_bytes", "1 MiB"),
        ("output_bytes", "6 MiB"),
        ("source_bytes", "1 MiB"),
        ("log_bytes", "64 KiB"),
        ("http_head_bytes", "64 KiB"),
        ("http_path_bytes", "8 KiB"),
        ("http_memory_bytes", "256 MiB"),
        ("compiler_memory_bytes", "768 MiB"),
    ],
)
def test_a_size_in_words_is_the_size_in_bytes(setting: str, in_words: str) -> None:
    number, unit = in_words.split()
    assert getattr(Settings(), setting) == int(number) * {"KiB": 1024, "MiB": 1024**2}[unit]
    line = next(line for line in _lines(DOCS / "configuration.md") if f"`{PREFIX}{setting.upper()}`" in line)
    assert in_words in line


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_variable_a_document_names_exists(path: Path) -> None:
    known = {PREFIX + name.upper() for name in Settings.__struct_fields__}
    assert set(re.findall(r"PROJECTNIL_[A-Z_]*[A-Z]", path.read_text())) <= known


# Errors


def test_every_kind_of_problem_is_documented_with_its_status_and_title() -> None:
    documented = sorted(tuple(row[:3]) for row in rows(DOCS / "http-api.md", "## Errors"))
    assert documented == sorted((str(kind.status.value), kind.name, kind.title) for kind in problem_kinds())


def test_the_page_explains_every_problem_as_the_guide_does() -> None:
    in_table = {row[1]: row[3] for row in rows(DOCS / "http-api.md", "## Errors")}
    assert {name: re.sub(r"\[([^]]+)\]\(#[\w-]+\)", r"\1", when) for name, when in in_table.items()} == {
        name: when.replace("`", "") for name, when in WHEN.items()
    }


def test_every_way_a_function_fails_is_documented_by_the_beginning_of_its_message() -> None:
    documented = " ".join(prose(DOCS / "http-api.md").split())
    for kind in GuestError.__args__:
        example = kind(**{name: _anything(field) for name, field in kind.__annotations__.items()})
        beginning = example.describe().partition(":")[0] + ":"
        assert f"`{beginning}`" in documented, beginning


def _anything(kind: object) -> Any:
    if isinstance(kind, type):
        return {int: 1, float: 1.0, str: "x"}[kind]
    return None if NoneType in get_args(kind) else 1


def test_the_guide_has_the_hints_of_the_compiler() -> None:
    documented = [tuple(row) for row in rows(DOCS / "writing-functions.md", "## When it does not compile")]
    hints = [(f"{hint.message} at {hint.at}" if hint.at else hint.message, hint.advice) for hint in HINTS]
    assert documented == [tuple(cell.replace("`", "").replace("|", "\\|") for cell in hint) for hint in hints]


# Logs


def test_every_log_event_is_documented_with_its_levels_and_fields() -> None:
    documented = {
        row[0]: (set(row[1].split(", ")), set(filter(None, row[2].split(", "))))
        for heading in ("### The life of a function", "### The life of an execution", "### The platform")
        for row in rows(DOCS / "operating.md", heading)
    }
    assert documented == _emitted()


def test_every_promised_event_is_emitted() -> None:
    assert set(PROMISED_EVENTS) <= set(_emitted())


def _emitted() -> dict[str, tuple[set[str], set[str]]]:
    """Every event of the source: its levels, its fields."""
    events: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for call in _calls(tree):
            if not _is_log(call.func) or ast.unparse(call.args[0]) == "event":
                continue
            for event in _events_of(call.args[0]):
                _note(events[event], call)
        for helper in _log_helpers(tree):
            (inner,) = (call for call in _calls(helper) if _is_log(call.func))
            for call in _calls(tree):
                if isinstance(call.func, ast.Name) and call.func.id == helper.name:
                    _note(events[_events_of(call.args[0])[0]], inner, call)
    # structlog renders the traceback of exc_info under this name.
    return {
        event: (levels, {"exception" if field == "exc_info" else field for field in fields})
        for event, (levels, fields) in events.items()
    }


def _calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _log_helpers(tree: ast.AST) -> list[ast.FunctionDef]:
    """Functions that log an event which their callers name."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [function for function in functions if function.args.args[:1] and function.args.args[0].arg == "event"]


def _note(found: tuple[set[str], set[str]], log: ast.Call, *calls: ast.Call) -> None:
    levels, fields = found
    levels.add(log.func.attr)  # type: ignore[attr-defined] # _is_log has looked
    fields |= {word.arg for call in (log, *calls) for word in call.keywords if word.arg}


def _is_log(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id in ("log", "_log")
    )


def _events_of(event: ast.expr) -> list[str]:
    if isinstance(event, ast.Constant):
        return [str(event.value)]
    # The one computed name: a part's failure.
    assert ast.unparse(event) == "f'{part}.failed'", ast.unparse(event)
    return ["serve.failed", "api.failed", "compiler.failed"]


# Commands and operations


def test_every_command_has_its_place_in_a_document_with_all_its_options() -> None:
    for command in COMMANDS:
        text = _about(command.name)
        for option in re.findall(r"--[\w-]+", parser_of(command).format_usage()):
            assert f"`{option}`" in text or f"{option} " in text or f"{option}\n" in text, f"{command.name} {option}"


def _about(command: str) -> str:
    client = (DOCS / "command-line.md").read_text()
    for section in re.split(r"^## ", client, flags=re.MULTILINE)[1:]:
        if re.match(rf"pnil {command}\b", section):
            return section
    operating = (DOCS / "operating.md").read_text()
    assert f"`pnil {command}`" in operating or f"$ pnil {command} " in operating, f"pnil {command} is not documented"
    return operating


def test_every_operation_has_a_heading() -> None:
    headings = re.findall(r"^### ([A-Z]+ /\S*)", prose(DOCS / "http-api.md"), flags=re.MULTILINE)
    assert sorted(headings) == sorted([f"{each.method} {each.path}" for each in OPERATIONS] + ["GET /openapi.json"])


# Links


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for link in links(path):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        leads_to = (path.parent / target).resolve() if target else path
        assert leads_to.exists(), link
        assert not anchor or anchor in anchors(leads_to), link


def test_every_document_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    while waiting:
        path = waiting.pop()
        reached.add(path)
        targets = [(path.parent / link.partition("#")[0]).resolve() for link in links(path)]
        found = [each for target in targets for each in (target.glob("*.md") if target.is_dir() else [target])]
        waiting += [each for each in found if each.suffix == ".md" and each not in reached]
    assert set(DOCUMENTS) <= reached


# The map of the code


def test_the_tree_lists_exactly_the_files_there_are() -> None:
    ignored = ("__pycache__", ".pyc")
    there = {
        path.relative_to(SOURCE.parent).as_posix() + ("/" if path.is_dir() else "")
        for path in (SOURCE, *SOURCE.rglob("*"))
        if not any(part in path.as_posix() for part in ignored)
    }
    assert set(_tree()) == there


def _tree() -> Iterator[str]:
    text = next(block.text for block in blocks(ROOT / "ARCHITECTURE.md") if block.text.startswith("src/projectnil/"))
    above: list[str] = []
    for line in filter(str.strip, text.splitlines()):
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0].removeprefix("src/")
        above[depth:] = [name.removesuffix("/")]
        yield "/".join(above) + ("/" if name.endswith("/") else "")


def test_every_function_on_the_main_paths_exists() -> None:
    named = re.findall(r"\b([\w/]+\.py):([\w.]+)", (ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) > 20
    for file, function in named:
        assert function in _defined(SOURCE / file), f"{file}:{function}"


def _defined(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
            names |= {f"{node.name}.{method.name}" for method in methods}
    return names


def test_the_layers_are_those_that_the_import_contract_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    text = next(block.text for block in blocks(ROOT / "ARCHITECTURE.md") if block.text.startswith("cli\n"))
    shown = [re.split(r" {2,}", line)[0].split(", ") for line in text.splitlines()]
    assert [sorted(names) for names in shown] == [sorted(re.findall(r"\w+", layer)) for layer in layers]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_source_file_a_document_names_exists(path: Path) -> None:
    for file in re.findall(r"`([\w/]+\.(?:py|mjs|sql))`", path.read_text()):
        assert any(SOURCE.rglob(file)) or any(JSON_LIBRARY.rglob(file)), file


# Decisions


@pytest.mark.parametrize("path", sorted((DOCS / "decisions").glob("*.md")), ids=name_of)
def test_a_decision_says_context_choice_measurement_and_consequence_on_half_a_page(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, flags=re.MULTILINE) == [
        "Context",
        "Choice",
        "Measurement",
        "Consequence",
    ]
    assert text.startswith(f"# {path.name[:3]}: ")
    assert len(text.splitlines()) <= 50


def test_no_two_decisions_have_the_same_number() -> None:
    numbers = [int(path.name[:3]) for path in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == sorted(set(numbers))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
