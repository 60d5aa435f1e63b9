"""Each folder of cases/ is one guest: module.wat or module.wasm, input.json, and what must come of it.

output.json: it completes, and this is its output. error.txt: it fails, and this is its errorMessage.
logs.txt: this is its log; without the file the log is not looked at.
"""

import pytest

from projectnil.domain.executions import Completed, Failed
from projectnil.sandbox.pool import SandboxPool
from tests.sandbox.guests import CASES, case_module, execute


@pytest.mark.parametrize("name", sorted(folder.name for folder in CASES.iterdir()))
async def test_a_guest_ends_as_its_folder_says(shared_pool: SandboxPool, name: str) -> None:
    folder = CASES / name
    outcome = await execute(shared_pool, case_module(name), folder.joinpath("input.json").read_bytes())
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
