"""From a command's arguments to its options."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from projectnil.cli.commands import COMMANDS, Command
from projectnil.cli.failures import UsageError
from projectnil.domain.text import visible_line


class _Literal(str):
    """A word after `--`: no option, whatever it looks like."""

    __slots__ = ()


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are told in our words. Options may stand before, between and after the arguments."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Wide, **arguments)

    # argparse's own way of asking whether a word is an option; `--` and options anywhere do not go together in it.
    def _parse_optional(self, arg_string: str) -> Any:
        return None if isinstance(arg_string, _Literal) else super()._parse_optional(arg_string)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {visible_line(message)}; '{self.prog} --help' shows what it takes")


class _Wide(argparse.HelpFormatter):
    def __init__(self, prog: str, **_: Any) -> None:
        super().__init__(prog, max_help_position=28)


def parser_of(command: Command) -> Parser:
    """The parser of one command."""
    parser = Parser(prog=f"pnil {command.name}", description=command.summary + ".")
    getattr(import_module(f"projectnil.cli.{command.module}"), f"{command.function}_arguments")(parser)
    return parser


def run_command(command: Command, arguments: Sequence[str]) -> int:
    """Run a command; returns its exit code."""
    parser = parser_of(command)
    words, literals = _divided(arguments)
    if not {"-h", "--help"}.isdisjoint(words):
        print(parser.format_help(), end="")
        return 0
    options = parser.parse_intermixed_args([*words, *literals])
    try:
        code: int = getattr(import_module(f"projectnil.cli.{command.module}"), command.function)(options)
    except UsageError as mistake:
        parser.error(str(mistake))
    return code


def _divided(arguments: Sequence[str]) -> tuple[Sequence[str], list[_Literal]]:
    """The words before the first `--`, and those after it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], [_Literal(word) for word in arguments[end + 1 :]]


def whole_parser() -> argparse.ArgumentParser:
    """One parser of all commands, for the completion of a line that is being typed."""
    parser = argparse.ArgumentParser(prog="pnil")
    parser.add_argument("--version", action="store_true")
    for name in ("--install-completion", "--show-completion"):
        parser.add_argument(name, choices=("bash", "zsh", "fish"))
    commands = parser.add_subparsers()
    for command in COMMANDS:
        added = commands.add_parser(command.name, help=command.summary)
        getattr(import_module(f"projectnil.cli.{command.module}"), f"{command.function}_arguments")(added)
    commands.add_parser("help", help="show what a command takes").add_argument(
        "command", choices=[command.name for command in COMMANDS]
    )
    return parser
