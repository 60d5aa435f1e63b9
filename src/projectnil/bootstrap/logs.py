"""Structured logs on standard error: JSON for machines, coloured lines for a terminal."""

import asyncio
import atexit
import errno
import logging
import os
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TextIO

import msgspec
import structlog

from projectnil.config import Settings
from projectnil.domain.text import visible

log = structlog.get_logger()


def _visible(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A terminal shows what others wrote (a path, a compiler's message), and does not obey it."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}


_READER_GONE = (errno.EPIPE, errno.EIO)  # a pipe's, a terminal's
_CONSOLE_STEPS: list[structlog.typing.Processor] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _visible,
    structlog.dev.ConsoleRenderer(),
]


def configure_logs(settings: Settings, part: str) -> None:
    """part: which process of the platform writes, such as `api`."""
    to_terminal = settings.log_format == "console" or (settings.log_format == "auto" and _is_terminal())
    stream = _Forgiving(sys.stderr)
    structlog.configure(
        processors=_CONSOLE_STEPS if to_terminal else [],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO) if to_terminal else _JsonLogger,
        logger_factory=lambda *_: _Lines(stream) if to_terminal else stream,
        context_class=partial(dict, part=part),  # type: ignore[arg-type] # whatever makes a dictionary
        cache_logger_on_first_use=True,
    )
    # Libraries speak up only when something is wrong, and then in the same form.
    logging.basicConfig(level=logging.WARNING, handlers=[_ToStructuredLog()], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # our own handler logs what it would repeat


class _JsonLogger(structlog.BoundLoggerBase):
    """A line of JSON for each event, made in one step: the usual chain of processors costs ten times as much, and an
    execution logs twice."""

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if "exc_info" in fields:
            structlog.processors.format_exc_info(None, level, fields)
        fields |= {"event": event, **self._context, "level": level, "timestamp": datetime.now(UTC)}
        stream: _Forgiving = self._logger
        stream.write(_encode(fields) + b"\n")


class _Lines:
    """What structlog's own loggers write to."""

    def __init__(self, stream: "_Forgiving") -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        self._stream.write(line.encode(errors="replace") + b"\n")

    info = warning = error = msg


class _Forgiving:
    """A stream that drops what cannot be written: a full disk or a reader that left must not fail an execution.

    In an event loop, the lines of one iteration are written together; otherwise a line is out once it is written.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._descriptor = stream.fileno() if stream is not None and not stream.closed else None
        self._lines: list[bytes] = []
        atexit.register(self._flush)

    def write(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) > 1:
            return
        try:
            asyncio.get_running_loop().call_soon(self._flush)
        except RuntimeError:
            self._flush()

    def _flush(self) -> None:
        lines, self._lines = b"".join(self._lines), []
        if self._descriptor is None:
            return
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
        except OSError as error:
            if error.errno == errno.EBADF:
                self._descriptor = None  # closed
            elif error.errno in _READER_GONE:
                # For good: what others still buffer goes nowhere too, also when the process ends.
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._descriptor)
                os.close(nowhere)


class _ToStructuredLog(logging.Handler):
    """What libraries say through the standard library's logging, as events of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning(
            "library.message", library=record.name, message=record.getMessage(), exc_info=record.exc_info or None
        )


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


_encode = msgspec.json.Encoder(enc_hook=str).encode
