"""What the documents tell a reader to type does what they say."""

import shutil
from pathlib import Path

import pytest

from tests.docs.console import Reader, steps
from tests.docs.markdown import DOCUMENTS, ROOT, blocks, name_of

WITH_COMMANDS = [path for path in DOCUMENTS if any(block.language == "console" for block in blocks(path))]


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=name_of)
def test_every_command_prints_what_the_document_shows(path: Path, reader: Reader) -> None:
    if shutil.which("curl") is None and "$ curl" in path.read_text():
        pytest.skip("this document uses curl, and there is none on this machine; apt-get install curl")
    reader.follow(path)


def test_the_readme_has_commands() -> None:
    assert ROOT / "README.md" in WITH_COMMANDS


def test_a_block_is_a_list_of_commands_with_their_output() -> None:
    first, second = steps("$ curl \\\n  -s x\n{}\n$ echo $?\n0")
    assert (first.command, first.expected) == ("curl \\\n  -s x", "{}")
    assert (second.command, second.expected) == ("echo $?", "0")


FIRST, SECOND = "019aa5c4-8f2e-7b31-9d5a-3c1f0e6b7a42", "019aa5c5-02d7-7e0c-8a11-94b2d7c3f650"


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("$ echo wrong\nright", "'wrong' is not like 'right'"),
        ("$ echo more; echo lines\nmore", "the document does not show 'lines'"),
        ("$ echo\nsomething", "'something' is missing"),
        ('$ echo \'{"a": 1, "b": 2}\'\n{"a": 1}', "$ has ['a', 'b']"),
        ('$ echo \'{"a": 1}\'\n{"a": 1.0}', "$.a is 1"),
        ("$ echo '[1, 2]'\n[1]", "$ has 2 items"),
        (f"$ echo {FIRST}; echo {SECOND}\n{FIRST}\n{FIRST}", "is not like"),
        ("$ false\n$ true", "the command before it failed with 1"),
        ("$ false", "ends with a failed command"),
    ],
)
def test_a_document_that_is_not_true_is_found_out(document: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    path.write_text(f"```console\n{document}\n```\n")
    with pytest.raises(AssertionError) as error:
        _reader(tmp_path).follow(path)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "document",
    [
        "$ seq 9\n1\n...\n9",
        "$ echo it took 3.4 ms\nit took 12.0 ms",
        f"$ cat ids\n{FIRST}\n$ echo {FIRST}\n{FIRST}",
        '$ echo \'{"a": [1, 2, 3], "b": null}\'\n{\n  "a": [1, "..."],\n  "...": "..."\n}',
        "$ false\n$ echo $?\n1",
        "$ printf 'HTTP/1.1 200 OK\\r\\nDate: now\\r\\nETag: x\\r\\n\\r\\n{}'\nHTTP/1.1 200 OK\netag: x\n\n{\n}",
    ],
)
def test_what_stands_for_something_else_is_understood(document: str, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text(SECOND)
    path = tmp_path / "document.md"
    path.write_text(f"```console\n{document}\n```\n")
    _reader(tmp_path).follow(path)


def _reader(folder: Path) -> Reader:
    return Reader(folder, "8080", {})
