from pathlib import Path

import pytest

from projectnil.domain.functions import ModuleSha256
from projectnil.flows.tidying import tidy_modules
from projectnil.postgres.connections import Pool
from projectnil.sandbox import code_cache
from projectnil.sandbox.pool import SandboxPool
from tests.sandbox.guests import LIMITS, case_module, prepare


async def test_a_module_goes_when_the_last_function_that_has_it_goes(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_cache, "_JUST_USED_S", -60.0)
    echo, trap = case_module("echo"), case_module("trap")
    for name, wasm in {"one": echo, "another": echo, "third": trap}.items():
        await pool.execute(
            "INSERT INTO functions (name, language, source, status, wasm_binary)"
            " VALUES ($1, 'assemblyscript', '', 'READY', $2)",
            name,
            wasm,
        )
    sandbox = SandboxPool(LIMITS, tmp_path / "modules", processes=1, max_processes=1, idle_s=60.0)
    await sandbox.start()

    async def tidied() -> list[ModuleSha256]:
        await tidy_modules(pool, sandbox)
        return await tidy_modules(pool, sandbox)

    try:
        for wasm in (echo, trap):
            await prepare(sandbox, wasm)
        files = sum(1 for _ in (tmp_path / "modules").iterdir())
        assert await tidied() == []
        await pool.execute("DELETE FROM functions WHERE name = 'one'")
        assert await tidied() == []
        await pool.execute("DELETE FROM functions WHERE name = 'another'")
        assert len(await tidied()) == 1
        assert sum(1 for _ in (tmp_path / "modules").iterdir()) == files // 2
        await pool.execute("DELETE FROM functions")
        await tidied()
        assert list((tmp_path / "modules").iterdir()) == []
    finally:
        await sandbox.stop(0)
