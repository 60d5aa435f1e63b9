"""Reads what the tests need of a Markdown file: its fenced blocks, tables, headings and links."""

import re
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
)

_MARKER = re.compile(r"<!-- (.+?) -->$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(msgspec.Struct, frozen=True):
    """A fenced block. marker: the HTML comment right before it, if any. line: that of its opening fence, from 1."""

    path: Path
    line: int
    language: str
    marker: str
    text: str

    @property
    def place(self) -> str:
        return f"{name_of(self.path)}:{self.line}"


def name_of(path: Path) -> str:
    """The document's name for people: its path in the repository."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def blocks(path: Path) -> list[Block]:
    """Every fenced block of a document, in order."""
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    text: list[str] = []
    last = ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if opened is None and line.startswith("```"):
            marker = _MARKER.match(last)
            opened, text = (number, line[3:].strip(), marker[1] if marker else ""), []
        elif opened is not None and line == "```":
            found.append(Block(path, *opened, "\n".join(text)))
            opened, last = None, ""
        elif opened is not None:
            text.append(line)
        elif line.strip():
            last = line.strip()
    assert opened is None, f"{name_of(path)}:{opened} is never closed"
    return found


def prose(path: Path) -> str:
    """The document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def rows(path: Path, heading: str) -> list[list[str]]:
    """The cells of the table rows below a heading (without the header), backticks removed."""
    section = prose(path).split(f"\n{heading}\n", 1)[1]
    section = re.split(r"^#+ ", section, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if not set("".join(row)) <= set("-: ")][1:]


def links(path: Path) -> list[str]:
    """The targets of the document's links."""
    return _LINK.findall(prose(path))


def anchors(path: Path) -> set[str]:
    """The anchors of the document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
