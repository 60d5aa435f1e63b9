"""Standard input and output, whatever the shell made of them."""

import os
import sys
from io import TextIOWrapper
from pathlib import Path

from projectnil.cli.failures import CommandFailed
from projectnil.domain.text import visible


def prepare() -> None:
    """Speak UTF-8 in any locale; a stream that was closed reads as empty and takes everything."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 # open until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")


def tell(message: str) -> None:
    """A problem, on standard error."""
    is_terminal = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    text = visible(message)
    sys.stderr.write(f"\x1b[31m{text}\x1b[0m\n" if is_terminal else f"{text}\n")


def give_up_output() -> None:
    """The reader of standard output is gone: what is still to be written at exit goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def read_input() -> str:
    """All of standard input. Raises CommandFailed when it is not UTF-8."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise _not_utf8("standard input", error) from None


def read_file(path: str) -> str:
    """All of a file. Raises CommandFailed when it cannot be read or is not UTF-8."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None


def _not_utf8(what: str, error: UnicodeDecodeError) -> CommandFailed:
    return CommandFailed(f"{what} is not UTF-8: {error.reason} at byte {error.start}")
