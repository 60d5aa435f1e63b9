"""Structured logs on standard error: JSON for machines, coloured lines for a terminal."""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

import msgspec
import structlog

from projectnil.config import Settings

log = structlog.get_logger()

_READER_GONE = (errno.EPIPE, errno.EIO)  # a pipe's, a terminal's


def configure_logs(settings: Settings, part: str) -> None:
    """part: which process of the platform writes, such as `api`."""
    to_terminal = settings.log_format == "console" or (
        settings.log_format == "auto" and sys.stderr is not None and sys.stderr.isatty()
    )
    renderer: Any = structlog.dev.ConsoleRenderer() if to_terminal else _render_json
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if not to_terminal else _unchanged,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Forgiving(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(part=part)
    # Libraries speak up only when something is wrong, and then in the same form.
    logging.basicConfig(level=logging.WARNING, handlers=[_ToStructuredLog()], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # our own handler logs what it would repeat


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


class _Forgiving:
    """A stream that loses what nobody can take: a full disk or a reader that left must not decide over an execution."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if self._stream is not None:
            with self._losing_what_fails(self._stream):
                self._stream.write(text)

    def flush(self) -> None:
        if self._stream is not None:
            with self._losing_what_fails(self._stream):
                self._stream.flush()

    @contextlib.contextmanager
    def _losing_what_fails(self, stream: TextIO) -> Iterator[None]:
        try:
            yield
        except ValueError:
            self._stream = None  # closed
        except OSError as error:
            if error.errno in _READER_GONE:
                # For good: what is still buffered goes nowhere too, also when the process ends.
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


class _ToStructuredLog(logging.Handler):
    """What libraries say through the standard library's logging, as events of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning(
            "library.message", library=record.name, message=record.getMessage(), exc_info=record.exc_info or None
        )


def _render_json(_: Any, __: str, event: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _unchanged(_: Any, __: str, event: Any) -> Any:
    return event
