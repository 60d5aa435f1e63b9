"""The processes behind a toolchain: their limits, their ends, their replacement, and what they leave behind."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from projectnil.compiler import toolchains
from projectnil.compiler.assemblyscript import toolchain as assemblyscript
from projectnil.compiler.assemblyscript.toolchain import AssemblyScript
from projectnil.compiler.workspace import Workspace
from projectnil.config import Settings
from projectnil.domain.compilation import CompileCost, Compiled, Crashed, Outcome, Rejected, Stopped
from projectnil.domain.errors import CompilerLost, PlatformUnavailable
from projectnil.domain.languages import Language

from .children import compilers, is_alive

ECHO = "export function handle(input: string): string { return input; }"


def slow_source(functions: int) -> str:
    """Takes asc many seconds: long functions are what its optimizer is slowest with."""
    body = "\n".join(f"  s += input.charCodeAt(s % {n + 1}) > {n} ? s.toString().length : {n};" for n in range(200))
    many = "\n".join(
        f"function f{n}(input: string): i32 {{\n  let s = {n};\n{body}\n  return s;\n}}" for n in range(functions)
    )
    calls = " + ".join(f"f{n}(input)" for n in range(functions))
    return f"{many}\nexport function handle(input: string): string {{ return ({calls}).toString(); }}"


@contextlib.asynccontextmanager
async def started(folder: Path, **settings: object) -> AsyncIterator[AssemblyScript]:
    """These tests start many processes and need none of them fast."""
    fields = {"data_dir": folder, "compiler_warm_ups": 0, **settings}
    toolchain = AssemblyScript(Settings(**fields))  # type: ignore[arg-type] # each is a field
    await toolchain.start()
    try:
        yield toolchain
    finally:
        await toolchain.stop()


async def eventually(holds: Callable[[], bool], timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.05)


async def begun(toolchain: AssemblyScript, folder: Path, source: str) -> "asyncio.Task[Outcome]":
    """A compilation that is under way in a process that does nothing else."""
    await toolchain.compile(ECHO)
    [process] = compilers(folder)
    compiling = asyncio.create_task(toolchain.compile(source))
    await eventually(lambda: bool(files_under(folder)))
    at_rest_s = process.cpu_times().user
    await eventually(lambda: process.cpu_times().user > at_rest_s + 0.05)
    return compiling


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


def test_the_registry_offers_the_languages_the_settings_name() -> None:
    offered = toolchains(Settings())
    assert list(offered) == list(Language)
    assert all(toolchain.language is language for language, toolchain in offered.items())
    assert toolchains(Settings(compiler_languages=())) == {}


async def test_compilation_past_the_deadline_is_killed_and_the_next_one_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(tmp_path, compile_timeout_s=2.5) as toolchain:
        outcome = await toolchain.compile(slow_source(200))
        assert outcome == Rejected("compilation took longer than its limit of 2.5 s", broke_limit=True)
        monkeypatch.setattr(toolchain, "_timeout_s", 120.0)  # on a busy machine a new process needs more than 2.5 s
        assert isinstance(await toolchain.compile(ECHO), Compiled)
        await eventually(lambda: not files_under(tmp_path))


async def test_a_compilation_that_outgrows_the_memory_limit_is_rejected(tmp_path: Path) -> None:
    async with started(tmp_path, compiler_memory_bytes=150 * 1024 * 1024) as toolchain:
        outcome = await toolchain.compile(slow_source(40))
    assert outcome == Rejected("compilation needed more memory than its limit of 150 MiB", broke_limit=True)


async def test_javascript_out_of_memory_is_the_sources_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemblyscript, "HEAP_SHARE_OF_MEMORY", 0.08)
    async with started(tmp_path) as toolchain:
        outcome = await toolchain.compile(slow_source(100))
    assert outcome == Rejected("compilation needed more memory than its limit of 768 MiB", broke_limit=True)


# What a compiler could answer that a source has taken over.
TAKEN_OVER = """
import fs from "node:fs";
import { createInterface } from "node:readline";
const compiled = JSON.stringify({ verdict: "compiled", text: "" });
process.stdout.write("{}\\n");
for await (const line of createInterface({ input: process.stdin })) {
  const { folder } = JSON.parse(line);
  const source = fs.readFileSync(folder + "/function.ts", "utf8");
  if (source === "a long line") process.stdout.write("x".repeat(5 * 1024 * 1024) + "\\n");
  else if (source === "no JSON") process.stdout.write("compiled\\n");
  else if (source === "no verdict") process.stdout.write('{"verdict": "perfect", "text": ""}\\n');
  else {
    if (source !== "no module") fs.writeFileSync(folder + "/function.wasm", "x");
    if (source === "a huge module") fs.truncateSync(folder + "/function.wasm", 32 * 1024 * 1024 + 1);
    process.stdout.write(compiled + "\\n");
  }
}
"""


async def test_a_compiler_that_was_taken_over_fails_only_the_source_that_did_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tmp_path / "worker" / "worker.mjs"
    worker.parent.mkdir()
    worker.write_text(TAKEN_OVER)
    monkeypatch.setattr(assemblyscript, "WORKER", worker)
    async with started(tmp_path / "data") as toolchain:
        for source, why in (
            ("a long line", "answered with more than 4 MiB"),
            ("no JSON", "cannot be understood"),
            ("no verdict", "cannot be understood"),
            ("no module", "left no module"),
            ("a huge module", "larger than the limit of 32 MiB"),
        ):
            outcome = await toolchain.compile(source)
            assert isinstance(outcome, Rejected | Crashed), source
            assert why in outcome.message
            assert await toolchain.compile("a good one") == Compiled(b"x")


async def test_a_module_that_is_too_large_to_write_is_the_sources_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectnil.compiler.confinement._FILE_BYTES", 64)
    async with started(tmp_path) as toolchain:
        outcome = await toolchain.compile(ECHO)
    assert outcome == Rejected("the module is too large")


async def test_a_compiler_that_was_kept_from_running_is_not_the_sources_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(tmp_path) as toolchain:
        await toolchain.compile(ECHO)
        [process] = compilers(tmp_path)
        process.suspend()
        monkeypatch.setattr(toolchain, "_timeout_s", 1.0)
        with pytest.raises(PlatformUnavailable, match="kept from running"):
            await toolchain.compile(ECHO)
        monkeypatch.setattr(toolchain, "_timeout_s", 120.0)
        assert isinstance(await toolchain.compile(ECHO), Compiled)


async def test_a_worn_spare_ends_and_has_no_successor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(tmp_path, compile_timeout_s=600.0) as toolchain:
        compiling = await begun(toolchain, tmp_path, slow_source(200))
        [first] = compilers(tmp_path)
        monkeypatch.setattr(assemblyscript, "WORN_AFTER_COMPILATIONS", 1)
        for _ in range(2):
            assert isinstance(await toolchain.compile(ECHO), Compiled)
            await eventually(lambda: [process.pid for process in compilers(tmp_path)] == [first.pid])
        compiling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await compiling


async def test_a_compiler_killed_from_outside_is_not_the_users_fault(tmp_path: Path) -> None:
    async with started(tmp_path) as toolchain:
        compiling = await begun(toolchain, tmp_path, slow_source(40))
        compilers(tmp_path)[0].kill()
        with pytest.raises(CompilerLost, match="ended from outside"):
            await compiling
        assert isinstance(await toolchain.compile(ECHO), Compiled)


async def test_a_compiler_that_died_while_idle_is_replaced(tmp_path: Path) -> None:
    async with started(tmp_path) as toolchain:
        await toolchain.compile(ECHO)
        [first] = compilers(tmp_path)
        first.kill()
        await eventually(lambda: not is_alive(first))
        with contextlib.suppress(CompilerLost):  # unless the event loop has heard of it by then
            await toolchain.compile(ECHO)
        assert isinstance(await toolchain.compile(ECHO), Compiled)
        assert compilers(tmp_path)[0].pid != first.pid


async def test_a_worn_process_serves_until_its_successor_is_warm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemblyscript, "WORN_AFTER_COMPILATIONS", 2)
    async with started(tmp_path) as toolchain:
        [first] = compilers(tmp_path)
        await toolchain.compile(ECHO)
        await toolchain.compile(ECHO)
        await eventually(lambda: len(compilers(tmp_path)) == 2)
        while is_alive(first):
            assert isinstance(await toolchain.compile(ECHO), Compiled)
            await asyncio.sleep(0.1)


async def test_several_processes_compile_at_the_same_time(tmp_path: Path) -> None:
    async with started(tmp_path, compiler_processes=2) as toolchain:
        assert len(compilers(tmp_path)) == 2
        outcomes = await asyncio.gather(*(toolchain.compile(ECHO) for _ in range(4)))
    assert all(isinstance(outcome, Compiled) for outcome in outcomes)


async def test_stopping_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    async with started(tmp_path) as toolchain:
        compiling = await begun(toolchain, tmp_path, slow_source(40))
    with pytest.raises(PlatformUnavailable):
        await compiling
    assert compilers(tmp_path) == []
    assert files_under(tmp_path) == []
    with pytest.raises(PlatformUnavailable):
        await toolchain.compile(ECHO)


async def test_a_cancelled_compilation_leaves_no_file_and_the_next_one_compiles(tmp_path: Path) -> None:
    async with started(tmp_path) as toolchain:
        compiling = await begun(toolchain, tmp_path, slow_source(40))
        compiling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await compiling
        assert isinstance(await toolchain.compile(ECHO), Compiled)
        await eventually(lambda: not files_under(tmp_path))


PARENT = """
import sys, structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
import asyncio, sys
from pathlib import Path
from projectnil.compiler.assemblyscript.toolchain import AssemblyScript
from projectnil.config import Settings

async def main() -> None:
    toolchain = AssemblyScript(Settings(data_dir=Path(sys.argv[1])))
    await toolchain.start()
    print("started", flush=True)
    await toolchain.compile(Path(sys.argv[2]).read_text())

asyncio.run(main())
"""


async def test_after_kill_9_no_compiler_survives_and_the_next_start_removes_the_files(tmp_path: Path) -> None:
    data, source = tmp_path / "data", tmp_path / "source.ts"
    source.write_text(slow_source(40))
    parent = subprocess.Popen(  # noqa: ASYNC220 # a whole process that is killed, not one that is waited for
        [sys.executable, "-c", PARENT, str(data), str(source)], stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout is not None
        assert await asyncio.to_thread(parent.stdout.readline) == b"started\n"
        [child] = psutil.Process(parent.pid).children()
        await eventually(lambda: bool(files_under(data)))
        os.kill(parent.pid, signal.SIGKILL)
    await eventually(lambda: not is_alive(child))
    assert files_under(data) != []
    async with started(data):
        assert len(files_under(data)) <= 1
        folders = [path for path in (data / "compilations" / "assemblyscript").iterdir() if path.is_dir()]
        assert len(folders) == 1


async def test_two_platforms_on_one_data_folder_leave_each_others_files_alone(tmp_path: Path) -> None:
    async with started(tmp_path) as first:
        compiling = asyncio.create_task(first.compile(ECHO))
        async with started(tmp_path) as second:
            assert isinstance(await compiling, Compiled)
            assert isinstance(await second.compile(ECHO), Compiled)
        assert isinstance(await first.compile(ECHO), Compiled)


def test_no_compilation_can_take_its_workspace_for_abandoned(tmp_path: Path) -> None:
    first, second = Workspace(tmp_path), Workspace(tmp_path)
    first.open()
    for left in first.path.iterdir():  # as native code in a compiler might, which may write there
        left.unlink()
    second.open()
    assert first.path.is_dir()
    first.close()
    second.close()
    assert list(tmp_path.iterdir()) == [tmp_path / ".lock"]


def test_a_workspace_of_an_earlier_release_is_left_alone_while_it_is_locked(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    workspace = Workspace(tmp_path)
    with (earlier / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        workspace.open()
        assert earlier.is_dir()
        workspace.close()
    workspace.open()
    assert not earlier.exists()
    workspace.close()


async def test_a_compiler_sees_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECTNIL_DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv("JSON_MODE", "naive")
    monkeypatch.setenv("NODE_OPTIONS", "--no-warnings")
    async with started(tmp_path):
        assert set(compilers(tmp_path)[0].environ()) == {"LANG", "TZ", "HOME"}


async def test_a_missing_toolchain_is_the_platforms_fault(tmp_path: Path) -> None:
    toolchain = AssemblyScript(Settings(data_dir=tmp_path, toolchains_dir=tmp_path / "nowhere"))
    with pytest.raises(PlatformUnavailable, match="did not start"):
        await toolchain.start()
    await toolchain.stop()
    assert compilers(tmp_path) == []


async def test_a_disk_that_cannot_be_written_is_the_platforms_fault(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(PlatformUnavailable, match="folder cannot be used"):
        await AssemblyScript(Settings(data_dir=blocked)).start()


async def test_a_spare_process_starts_while_the_others_are_held_and_ends_when_it_has_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectnil.compiler.pool.SPARE_IDLE_S", 0.1)
    async with started(tmp_path, compile_timeout_s=600.0) as toolchain:
        compiling = await begun(toolchain, tmp_path, slow_source(200))
        [first] = compilers(tmp_path)
        assert isinstance(await toolchain.compile(ECHO), Compiled)
        assert not compiling.done()
        await eventually(lambda: [process.pid for process in compilers(tmp_path)] == [first.pid])
        assert isinstance(await toolchain.compile(ECHO), Compiled), "another one"
        compiling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await compiling


async def test_an_onlooker_is_told_what_a_compilation_costs_and_can_stop_it(tmp_path: Path) -> None:
    told: list[CompileCost] = []

    def stop_after_half_a_second(cost: CompileCost) -> bool:
        told.append(cost)
        return cost.cpu_s < 0.5

    async with started(tmp_path) as toolchain:
        await toolchain.compile(ECHO)
        assert await toolchain.compile(slow_source(200), stop_after_half_a_second) == Stopped()
        assert told[-1].cpu_s >= 0.5
        assert told[-1].duration_s > told[0].duration_s
        assert told[-1].peak_memory_bytes > 50 * 1024 * 1024
        assert all(cost.is_practised for cost in told)
        assert isinstance(await toolchain.compile(ECHO), Compiled)
