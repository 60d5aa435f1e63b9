"""What /health says of the database's side."""

from pathlib import Path

import pytest

from projectnil.domain.compilation import RESULTS_QUEUE
from projectnil.domain.limits import Limits
from projectnil.flows.health import Health, PartStatus, check
from projectnil.flows.troubles import RECORDING, Troubles
from projectnil.postgres.connections import Pool
from projectnil.sandbox.pool import SandboxPool
from projectnil.workers.upkeep import probe_writing


async def health(pool: Pool, tmp_path: Path, troubles: Troubles | None = None) -> Health:
    sandbox = SandboxPool(Limits(), tmp_path, processes=1, max_processes=1, idle_s=60.0)
    return await check(pool, sandbox, troubles or Troubles())


async def test_results_that_are_not_applied_degrade_the_queues(pool: Pool, tmp_path: Path) -> None:
    await pool.execute("SELECT pgmq.send($1, '{}')", RESULTS_QUEUE)
    assert (await health(pool, tmp_path)).queues.status is PartStatus.UP
    await pool.execute("UPDATE pgmq.q_compilation_results SET enqueued_at = now() - interval '40 seconds'")
    found = (await health(pool, tmp_path)).queues
    assert found.status is PartStatus.DEGRADED
    assert found.detail == "the oldest of compilation_results has waited for 40 s: no api applies it"


async def test_a_write_that_works_ends_every_trouble(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectnil.workers.upkeep._PROBE_EVERY_S", 0)
    troubles = Troubles()
    troubles.failed(RECORDING, OSError("no room"))
    assert (await health(pool, tmp_path, troubles)).database.status is PartStatus.DOWN
    await probe_writing(pool, troubles)
    assert (await health(pool, tmp_path, troubles)).database.status is PartStatus.DEGRADED
    assert not troubles.is_any


async def test_a_database_that_became_read_only_is_found_out_by_the_probe(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectnil.workers.upkeep._PROBE_EVERY_S", 0)
    troubles = Troubles()
    troubles.failed("lease", OSError("no room"))
    await pool.execute("DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database()"
                       " || ' SET default_transaction_read_only = on'; END $$")  # fmt: skip
    await pool.expire_connections()
    with pytest.raises(Exception, match="read-only transaction"):
        await probe_writing(pool, troubles)
    assert troubles.is_any
