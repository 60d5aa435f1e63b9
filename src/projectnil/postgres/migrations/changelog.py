"""Reads changesets from formatted SQL files.

Format: Liquibase documentation, "SQL changelog format". Of its attributes only those our files use are known.
"""

import re
from importlib import resources

import msgspec

_HEADER = re.compile(r"^--liquibase formatted sql logicalFilePath:(\S+)$")
_CHANGESET = re.compile(
    r"^--changeset (?P<author>[^:\s]+):(?P<id>\S+)"
    r"(?P<alone> runInTransaction:false)?(?P<whole> splitStatements:false stripComments:false)?$"
)
_ROLLBACK = re.compile(r"^--rollback (.*)$")
_STATEMENT = re.compile(r".+?;$", re.MULTILINE | re.DOTALL)


class Changeset(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the schema. Its identity, as Liquibase sees it, is (id, author, file).

    is_one_statement: Liquibase must neither split it at semicolons nor take the comments out of its function bodies.
    runs_in_transaction: False for what a transaction cannot hold, or should not hold the locks of. It may be cut off
        after any of its statements, and is then applied again from the first.
    """

    id: str
    author: str
    file: str
    sql: str
    rollback: str
    is_one_statement: bool
    runs_in_transaction: bool

    @property
    def statements(self) -> list[str]:
        """One by one, as Liquibase splits them: each ends with a semicolon at the end of a line."""
        return [self.sql] if self.is_one_statement else [text.strip() for text in _STATEMENT.findall(self.sql)]


def read_changelog() -> list[Changeset]:
    """Every changeset of the installed release, in the order of files and of places in them."""
    folder = resources.files(__package__)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [changeset for name in names for changeset in parse_changelog((folder / name).read_text())]


def parse_changelog(text: str) -> list[Changeset]:
    """The changesets of one file. Raises ValueError for a file that is not of the format."""
    first, *lines = text.splitlines()
    header = _HEADER.match(first)
    if header is None:
        raise ValueError(f"not a formatted SQL changelog with a logicalFilePath: {first!r}")
    starts = [number for number, line in enumerate(lines) if line.startswith("--changeset ")]
    ends = [*starts[1:], len(lines)]
    return [_changeset(header[1], lines[start:end]) for start, end in zip(starts, ends, strict=True)]


def _changeset(file: str, lines: list[str]) -> Changeset:
    heading = _CHANGESET.match(lines[0])
    if heading is None:
        raise ValueError(f"{file}: cannot read {lines[0]!r}")
    rollback = [match[1] for line in lines if (match := _ROLLBACK.match(line))]
    sql = [line for line in lines[1:] if not line.startswith("--rollback ")]
    return Changeset(
        id=heading["id"],
        author=heading["author"],
        file=file,
        sql="\n".join(sql).strip(),
        rollback="\n".join("" if line == "empty" else line for line in rollback).strip(),
        is_one_statement=heading["whole"] is not None,
        runs_in_transaction=heading["alone"] is None,
    )
