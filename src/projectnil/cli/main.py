"""`pnil`. What it imports here is all that its help takes; the rest is imported by the command that needs it."""

import os
import sys

from projectnil import __version__
from projectnil.cli import commands, streams
from projectnil.cli.failures import CommandFailed, UsageError

_COMPLETION_OPTIONS = ("--install-completion", "--show-completion")
_USAGE = 2
_INTERRUPTED = 130  # what a shell makes of SIGINT


def main() -> None:
    """Do what the command says, and exit. A failure is one line on standard error, and exit code 1; 2 for a mistyped
    command."""
    if "_ARGCOMPLETE" in os.environ:
        from projectnil.cli.completion import complete  # noqa: PLC0415 # most commands do without it

        complete()
    streams.prepare()
    sys.exit(_exit_code(sys.argv[1:]))


def _exit_code(arguments: list[str]) -> int:
    try:
        code = _answer(arguments)
        sys.stdout.flush()
    except UsageError as mistake:
        streams.tell(str(mistake))
        return _USAGE
    except CommandFailed as failure:
        streams.tell(f"pnil: {failure}")
    except UnicodeEncodeError:
        streams.tell("pnil: an argument is not text in UTF-8")
    except OSError as failure:
        streams.give_up_output()
        streams.tell(f"pnil: {streams.told(failure)}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    else:
        return code
    return 1


def _answer(arguments: list[str]) -> int:
    match arguments:
        case [] | ["help" | "-h" | "--help"] | ["help", "help" | "-h" | "--help"]:
            print(commands.overview())
            return 0 if arguments else _USAGE
        case ["--version"]:
            print(f"projectnil {__version__}")
            return 0
        case [option, *rest] if option.split("=")[0] in _COMPLETION_OPTIONS:
            from projectnil.cli.completion import install_or_show  # noqa: PLC0415

            return install_or_show(option, rest)
        case ["help", name, *_]:
            return _run_command(name, ["--help"])
        case [name, *rest]:
            return _run_command(name, rest)
    raise AssertionError(arguments)


def _run_command(name: str, arguments: list[str]) -> int:
    command = commands.BY_NAME.get(name)
    if command is None:
        raise UsageError(f"pnil: {commands.unknown(name)}")
    from projectnil.cli.parser import run_command  # noqa: PLC0415

    return run_command(command, arguments)
