"""Standard input and output, whatever the shell made of them."""

import errno
import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from projectnil.cli.failures import CommandFailed
from projectnil.domain.text import visible

_UTF8 = "utf-8-sig"  # with a byte order mark or without
_CANNOT_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def prepare() -> None:
    """Use UTF-8 in any locale. A closed stream reads as empty. Output to it, or to a reader that left, is lost."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 # open until the end
        elif name != "stdin":
            setattr(sys, name, _forgiving(stream, is_by_line=name == "stderr" or stream.isatty()))


class _Forgiving(FileIO):
    """A file whose reader may go: a command's exit code must not depend on when it does."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            _give_up(self.fileno())
            return len(data)


def _forgiving(stream: TextIO, *, is_by_line: bool) -> TextIOWrapper:
    raw = _Forgiving(stream.fileno(), "w", closefd=False)
    return TextIOWrapper(BufferedWriter(raw), encoding="utf-8", errors="replace", line_buffering=is_by_line)


def told(failure: OSError) -> str:
    """What went wrong with a file, in words."""
    what = failure.strerror or str(failure)
    if failure.filename is not None:
        return f"{os.fsdecode(failure.filename)}: {what}"
    return f"cannot write to standard output: {what}" if failure.errno in _CANNOT_BE_WRITTEN else what


def tell(message: str) -> None:
    """A problem, on standard error."""
    is_terminal = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    text = visible(message)
    sys.stderr.write(f"\x1b[31m{text}\x1b[0m\n" if is_terminal else f"{text}\n")


def give_up_output() -> None:
    """What is still to be written to standard output, at exit too, goes nowhere."""
    _give_up(1)


def _give_up(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def read_input() -> str:
    """All of standard input. Raises CommandFailed when it is not UTF-8."""
    try:
        return sys.stdin.buffer.read().decode(_UTF8)
    except UnicodeDecodeError as error:
        raise _not_utf8("standard input", error) from None


def read_file(path: str) -> str:
    """All of a file. Raises CommandFailed when it cannot be read or is not UTF-8."""
    try:
        return Path(path).read_text(encoding=_UTF8)
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None


def _not_utf8(what: str, error: UnicodeDecodeError) -> CommandFailed:
    return CommandFailed(f"{what} is not UTF-8: {error.reason} at byte {error.start}")
