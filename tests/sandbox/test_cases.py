"""Each folder of cases/ is one guest: module.wat or module.wasm, input.json, and what must come of it.

output.json: it completes, and this is its output. error.txt: it fails, and this is its errorMessage.
logs.txt: this is its log; without the file the log is not looked at.
"""

from pathlib import Path

import pytest

from projectnil.domain.executions import Completed, Failed
from projectnil.domain.limits import Limits
from projectnil.sandbox.forking import ForkServer
from projectnil.sandbox.pool import SandboxPool
from projectnil.sandbox.protocol import NoSnapshot
from projectnil.sandbox.translator import take_snapshot
from projectnil.sandbox.wasm_format import SectionId, section
from tests.sandbox.guests import CASES, LIMITS, case_module, execute, translated


@pytest.mark.parametrize("name", sorted(folder.name for folder in CASES.iterdir()))
async def test_a_guest_ends_as_its_folder_says(shared_pool: SandboxPool, name: str) -> None:
    folder = CASES / name
    outcome = await execute(shared_pool, case_module(name), folder.joinpath("input.json").read_bytes())
    check_outcome(folder, outcome)


WITH_START_SECTION = [
    folder.name for folder in CASES.iterdir() if section(case_module(folder.name), SectionId.START) is not None
]
WITHOUT_END = "infinite_loop_in_start_section"


@pytest.mark.parametrize("name", sorted({*WITH_START_SECTION} - {WITHOUT_END}))
async def test_a_guest_ends_in_the_same_way_from_a_snapshot(
    shared_pool: SandboxPool, fork_server: ForkServer, tmp_path: Path, name: str
) -> None:
    file = await translated(tmp_path / "modules", fork_server, case_module(name))
    snapshot = await take_snapshot(fork_server, Limits(memory_bytes=LIMITS.memory_bytes), file)
    if isinstance(snapshot, NoSnapshot):
        assert (name, snapshot.reason) == ("log_in_start_section", "its start section calls console.log")
        return
    folder = CASES / name
    check_outcome(folder, await execute(shared_pool, snapshot.wasm, folder.joinpath("input.json").read_bytes()))


def check_outcome(folder: Path, outcome: Completed | Failed) -> None:
    expected_error = folder / "error.txt"
    expected_logs = folder / "logs.txt"
    match outcome:
        case Completed(output):
            assert output.decode() == folder.joinpath("output.json").read_text()
        case Failed(error):
            assert expected_error.exists(), error.describe()
            assert error.describe() == expected_error.read_text().removesuffix("\n")
    if expected_logs.exists():
        assert outcome.logs == expected_logs.read_text()
