"""What the Tab key offers for an argument. Each is called by argcomplete, which keeps what begins as the word does."""

import os
from argparse import Action, Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from projectnil.cli.client import SHORT_ID_DIGITS, Client
from projectnil.cli.failures import CommandFailed, UsageError
from projectnil.domain.addresses import url_of_environment
from projectnil.domain.text import visible_line

Json = dict[str, Any]
Completer = Callable[..., Iterable[str]]

_TIMEOUT_S = 1.0  # someone pressed Tab and is waiting


def offer(argument: Action, completer: Completer) -> None:
    """Let `completer` complete an argument of a parser. One without is not completed."""
    argument.completer = completer  # type: ignore[attr-defined] # argcomplete looks for it there


def function_names(parsed_args: Namespace, **_: object) -> list[str]:
    return _typeable(str(function["name"]) for function in _fetched(parsed_args, "/functions", limit=500))


def execution_ids(parsed_args: Namespace, **_: object) -> dict[str, str]:
    """The short ids of the newest, and what a shell may show beside each."""
    return {
        execution["id"][-SHORT_ID_DIGITS:]: visible_line(f"{execution['functionName']} {execution['status']}")
        for execution in _fetched(parsed_args, "/executions", limit=30)
    }


def statuses(action: Action, prefix: str, **_: object) -> list[str]:
    """In the case that is being typed."""
    return [str.lower(each) if prefix.islower() else each for each in action.choices or ()]


def files(prefix: str, **_: object) -> list[str]:
    """The files and folders that a path goes on to."""
    folder = prefix[: prefix.rfind("/") + 1]
    return _typeable(f"{folder}{name}" for name in _listed(os.path.expanduser(folder) or "."))  # noqa: PTH111 # `~` stays


def input_files(prefix: str, **_: object) -> list[str]:
    """`@FILE`; other inputs are typed."""
    if not prefix.startswith("@"):
        return []
    folder = prefix[1 : prefix.rfind("/") + 1]
    return _typeable(f"@{folder}{name}" for name in _listed(folder or "."))


def _listed(folder: str) -> Iterator[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            yield f"{entry.name}/" if entry.is_dir() else entry.name


def _typeable(words: Iterable[str]) -> list[str]:
    """Without those that have control characters, which no line can hold, and which shells take for ends of words."""
    return sorted({word for word in words if word == visible_line(word)})


def _fetched(parsed_args: Namespace, path: str, limit: int) -> list[Json]:
    """Nothing when the platform does not answer at once."""
    url = getattr(parsed_args, "url", None) or url_of_environment(os.environ)
    with suppress(CommandFailed, UsageError), Client(url, _TIMEOUT_S) as client:
        found: list[Json] = client.get(path, limit=limit)
        return found
    return []
