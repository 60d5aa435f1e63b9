"""docs/operating.md: the commands an operator types, run as they are written there."""

import os
import re
import subprocess
from collections.abc import Sequence

from deploy.tests.host import Host
from deploy.tests.podman import REPOSITORY
from tests.docs.markdown import blocks

PATH = REPOSITORY / "docs" / "operating.md"


def commands(marker: str) -> list[str]:
    """Those of the blocks with this marker, in order; comments and empty lines left out."""
    lines = [line for block in blocks(PATH) if block.marker == marker for line in block.text.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


class Document:
    """Runs a document's commands, each in its turn, from the folder that the last one went to.

    marker: of the commands. shell: a command line that runs the script which is its last argument.
    """

    def __init__(self, marker: str, shell: Sequence[str], folder: str, **environment: str) -> None:
        self._left = commands(marker)
        self._shell = shell
        self._folder = folder
        self._environment = {**os.environ, **environment}

    @property
    def left(self) -> list[str]:
        """What was not run yet."""
        return list(self._left)

    def run(self, command: str, *more: str, instead: tuple[str, str] = ("", ""), timeout_s: float = 900) -> str:
        """Run the next command of the document, which is this one; returns what it printed, on either stream.

        more: arguments that only the test needs. instead: a part of it, and what stands there in the test.
        """
        assert self._left[:1] == [command], f"the document's next command is another: {self._left[:1]}"
        self._left.pop(0)
        assert instead[0] in command
        return self.type(" ".join([command.replace(*instead), *more]), timeout_s=timeout_s)

    def run_all(self, timeout_s: float = 900) -> str:
        """Run what is left, up to the first that fails."""
        return "".join(self.run(command, timeout_s=timeout_s) for command in self.left)

    def type(self, command: str, *, fails: bool = False, timeout_s: float = 900) -> str:
        """Run a command that is not in the document. fails: it is to end with an error."""
        script = f'cd {self._folder}\n{command}\ncode=$?; echo; echo "now in $PWD"; exit $code'
        done = subprocess.run(
            [*self._shell, script],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"{command}\n{done.stdout}"
        place = re.search(r"^now in (.+)$", done.stdout, flags=re.MULTILINE)
        assert place is not None
        self._folder = place[1]
        return done.stdout


def operators_document(host: Host) -> Document:
    """What is typed on the operator's side, in a checkout."""
    return Document("host", ["/bin/bash", "-c"], str(REPOSITORY), **host.environment())


def compose_document(host: Host) -> Document:
    """What is typed on the host itself, in a checkout there."""
    return Document("compose", host.ssh_command, "/root/projectnil")
