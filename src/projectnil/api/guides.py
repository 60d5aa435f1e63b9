"""The guides as pages below `/docs`: from docs/ of a checkout, or from where the package was installed to."""

import re
import sysconfig
from collections.abc import Mapping
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path

_CHECKOUT = Path(__file__).parents[3] / "docs"
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "projectnil" / "docs"
_RELATIVE = re.compile(r"(?!https?://|#)(?P<file>[^#]*)(?P<anchor>#.*)?")

GUIDES: Mapping[str, str] = {
    "writing-functions": "Writing functions",
    "http-api": "The HTTP API",
    "command-line": "The command line",
    "operating": "Operating",
    "configuration": "Configuration",
    "performance": "Performance",
    "architecture": "Architecture",
}


@cache
def guide_body(name: str) -> str:
    """A guide as HTML. Made when it is first asked for. Raises FileNotFoundError when the guides are not installed."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 # only readers need it

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    text = re.sub(r"^<!--.*?-->\n", "", _source(name), flags=re.MULTILINE | re.DOTALL)
    tokens = parser.parse(text)
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", _anchor(inline.content))
    for link in (token for inline in tokens for token in inline.children or ()):
        if link.type == "link_open":
            link.attrSet("href", _served(str(link.attrGet("href"))))
    return str(parser.renderer.render(tokens, parser.options, {}))


def _source(name: str) -> str:
    folder = _CHECKOUT if (_CHECKOUT / f"{name}.md").is_file() else _INSTALLED
    return (folder / f"{name}.md").read_text()


def guide_list() -> str:
    """Links to all of them, as items of a list in HTML."""
    return "".join(f"<li><a href='/docs/{name}'>{escape(title)}</a></li>" for name, title in GUIDES.items())


def _anchor(heading: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _served(link: str) -> str:
    """Where a link of a guide leads here; to the list of guides if it leads to a file that is not served."""
    found = _RELATIVE.fullmatch(link)
    if found is None:
        return link
    name = found["file"].removesuffix(".md")
    return f"/docs/{name}{found['anchor'] or ''}" if name in GUIDES else "/docs#guides"
