import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.executions import Completed, Failed
from projectnil.domain.functions import ModuleSha256, module_sha256
from projectnil.domain.guest_errors import GuestBrokeAbi
from projectnil.sandbox import code_cache, modules
from projectnil.sandbox.child import SandboxProcess
from projectnil.sandbox.code_cache import UNUSED_S, ModuleFile
from projectnil.sandbox.forking import ForkServer, ProcessHandle
from projectnil.sandbox.modules import Modules
from projectnil.sandbox.pool import SandboxPool
from projectnil.sandbox.protocol import CannotRun, Role, Run, Translate
from tests.sandbox.guests import LIMITS, MakePool, case_module, execute, prepare, wat
from tests.support.disks import MIB, fill, small_disk
from tests.support.waiting import until

ECHO = case_module("echo")
SPINNER = case_module("infinite_loop")


async def load_spinner() -> bytes:
    return SPINNER


async def never() -> bytes:
    raise AssertionError("the module was there already")


async def code_of(pool: SandboxPool, wasm: bytes = ECHO) -> ModuleFile:
    file = await prepare(pool, wasm)
    assert isinstance(file, ModuleFile)
    return file


def damage_file(path: str, content: bytes | None) -> None:
    """None: the file is gone."""
    if content is None:
        Path(path).unlink()
    else:
        Path(path).write_bytes(content)


def unstarted_pool(directory: Path) -> SandboxPool:
    return SandboxPool(LIMITS, directory, processes=1, max_processes=1, idle_s=60.0)


async def test_callers_who_want_the_same_module_share_one_translation(make_pool: MakePool) -> None:
    pool = await make_pool()
    loads = 0

    async def load() -> bytes:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.01)
        return ECHO

    files = await asyncio.gather(*(pool.ensure_module(module_sha256(ECHO), load) for _ in range(10)))
    assert loads == 1
    assert len(set(files)) == 1


async def test_a_caller_that_goes_away_does_not_take_the_translation_from_the_others(
    make_pool: MakePool,
) -> None:
    pool = await make_pool()
    first = asyncio.create_task(prepare(pool, ECHO))
    await asyncio.sleep(0)
    second = asyncio.create_task(prepare(pool, ECHO))
    await asyncio.sleep(0.01)
    first.cancel()
    assert isinstance(await second, ModuleFile)


async def test_machine_code_outlives_the_pool_that_made_it(make_pool: MakePool) -> None:
    file = await code_of(await make_pool())
    assert await (await make_pool()).ensure_module(file.sha256, never) == file


async def test_files_that_nobody_used_for_long_are_removed_at_the_next_start(make_pool: MakePool) -> None:
    file = await code_of(await make_pool())
    make_old(file)
    await make_pool()
    assert not Path(file.code_path).exists()
    assert not Path(file.wasm_path).exists()


async def test_files_in_use_stay_however_long_their_process_runs(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "_TOUCH_EVERY_S", 0.05)
    pool = await make_pool()
    file = await code_of(pool)
    make_old(file)
    paths = (Path(file.code_path), Path(file.wasm_path))
    await until("they are young again", lambda: all(time.time() - path.stat().st_mtime < UNUSED_S for path in paths))
    await make_pool()
    assert await pool.run(file, b"[1]") == Completed(b"[1]", logs="")


def make_old(file: ModuleFile) -> None:
    """As if it had been used last more than a month ago."""
    long_ago = time.time() - UNUSED_S - 60
    for path in (file.code_path, file.wasm_path):
        os.utime(path, (long_ago, long_ago))


async def test_files_are_for_the_platform_alone(make_pool: MakePool) -> None:
    file = await code_of(await make_pool())
    folder = Path(file.code_path).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.name for path in folder.iterdir()} == {Path(file.code_path).name, Path(file.wasm_path).name}


async def test_a_module_that_cannot_run_is_remembered_as_such(make_pool: MakePool) -> None:
    pool = await make_pool()
    broken = case_module("unknown_import")
    assert isinstance(await prepare(pool, broken), GuestBrokeAbi)
    assert isinstance(await pool.ensure_module(module_sha256(broken), never), GuestBrokeAbi)


async def test_bytes_that_are_not_the_module_are_refused(make_pool: MakePool) -> None:
    pool = await make_pool()

    async def load_another() -> bytes:
        return case_module("trap")

    with pytest.raises(PlatformUnavailable, match="another SHA-256"):
        await pool.ensure_module(module_sha256(ECHO), load_another)


async def test_what_loading_raises_reaches_the_caller_and_is_tried_again_the_next_time(
    make_pool: MakePool,
) -> None:
    pool = await make_pool()

    async def fail() -> bytes:
        raise PlatformUnavailable("the database is gone")

    with pytest.raises(PlatformUnavailable, match="the database is gone"):
        await pool.ensure_module(module_sha256(ECHO), fail)
    assert isinstance(await prepare(pool, ECHO), ModuleFile)


async def test_a_translation_has_a_deadline(tmp_path: Path, fork_server: ForkServer) -> None:
    # One function of 100,000 additions takes the translator far longer than this deadline.
    body = "(local.set 0 (i32.add (local.get 0) (i32.const 1)))" * 100_000
    slow = wat(f"(module (func (param i32) {body}))")
    files = Modules(tmp_path / "modules", LIMITS, fork_server, timeout_s=0.1)
    files.open()

    async def load() -> bytes:
        return slow

    try:
        outcome = await files.ensure(module_sha256(slow), load)
    finally:
        await files.close()
    assert outcome == GuestBrokeAbi("translating it to machine code took longer than 0.1 s")


async def test_modules_that_take_long_to_translate_do_not_hold_up_a_quick_one(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    def slow(number: int) -> bytes:
        body = f"(local.set 0 (i32.add (local.get 0) (i32.const {number})))" * 20_000
        return wat("(module " + f"(func (param i32) {body})" * 20 + ")")

    modules_ = [slow(number) for number in range(4)]
    files = Modules(tmp_path / "modules", LIMITS, fork_server, timeout_s=600.0)
    files.open()

    def ensure(wasm: bytes) -> asyncio.Task[object]:
        async def load() -> bytes:
            return wasm

        return asyncio.create_task(files.ensure(module_sha256(wasm), load))

    try:
        crowd = [ensure(wasm) for wasm in modules_]
        await asyncio.sleep(0)
        assert isinstance(await ensure(ECHO), ModuleFile)
        assert sum(task.done() for task in crowd) <= 2
    finally:
        await files.close()


# A translator that a module takes with it.
DYING = """
import socket, sys
from projectnil.sandbox.protocol import Ready, encode_frame
sock = socket.socket(fileno=int(sys.argv[1]))
sock.recv(65536)
sock.sendall(encode_frame(Ready(), 1))
sock.recv(65536)
"""


class DeadlyForkServer(ForkServer):
    """Its first processes die of the first request, the others are real."""

    def __init__(self, deadly: int) -> None:
        super().__init__()
        self.left = deadly
        self.dead: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        return 0 if self.left >= 0 else super().pid

    async def fork(self, theirs: socket.socket) -> ProcessHandle:
        self.left -= 1
        if self.left < 0:
            return await super().fork(theirs)
        command = [sys.executable, "-c", DYING, str(theirs.fileno())]
        self.dead.append(subprocess.Popen(command, pass_fds=(theirs.fileno(),)))  # noqa: ASYNC220 # it starts at once
        return ProcessHandle(self.dead[-1].pid)

    def close(self) -> None:
        super().close()
        for process in self.dead:
            process.wait()


@pytest.mark.parametrize("deaths", [1, 2])
async def test_a_module_that_its_translator_dies_of_twice_cannot_run(tmp_path: Path, deaths: int) -> None:
    fork_server = DeadlyForkServer(deaths)
    files = Modules(tmp_path / "modules", LIMITS, fork_server)
    files.open()

    async def load() -> bytes:
        return ECHO

    try:
        outcome = await files.ensure(module_sha256(ECHO), load)
        assert await files.ensure(module_sha256(ECHO), never) == outcome
        # Other modules are none the worse for it.
        assert isinstance(await files.ensure(module_sha256(SPINNER), load_spinner), ModuleFile)
    finally:
        await files.close()
        fork_server.close()
    if deaths == 1:  # perhaps it was killed
        assert isinstance(outcome, ModuleFile)
    else:
        assert isinstance(outcome, GuestBrokeAbi)
        assert "died twice; most likely that takes more memory than the platform allows" in outcome.problem


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
async def test_a_cache_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "modules"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(PlatformUnavailable, match="is writable by others"):
        await unstarted_pool(directory).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
async def test_a_cache_that_belongs_to_another_user_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "modules"
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, 12345)
    with pytest.raises(PlatformUnavailable, match="belongs to user 12345"):
        await unstarted_pool(directory).start()


async def test_a_cache_that_is_a_link_to_somewhere_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (tmp_path / "modules").symlink_to(elsewhere)
    with pytest.raises(PlatformUnavailable, match="is of the wrong kind"):
        await unstarted_pool(tmp_path / "modules").start()


async def test_a_full_cache_says_so_and_what_is_in_it_runs_all_the_same(make_pool: MakePool, tmp_path: Path) -> None:
    with small_disk(tmp_path / "modules", 20 * MIB) as folder:
        pool = await make_pool()
        await code_of(pool)
        assert pool.status().cache_problem is None
        filler = fill(folder)
        assert "is full (0 MiB and " in str(pool.status().cache_problem)
        with pytest.raises(PlatformUnavailable, match=r"could not be stored in .*: No space left on device"):
            await code_of(pool, case_module("trap"))
        assert "No space left on device" in str(pool.status().cache_problem)
        assert await execute(pool, ECHO, b"[1]") == Completed(b"[1]", logs="")
        filler.unlink()
        await code_of(pool, case_module("trap"))
        assert pool.status().cache_problem is None


async def test_code_that_others_could_have_written_is_made_again(make_pool: MakePool) -> None:
    file = await code_of(await make_pool())
    damage_file(file.code_path, b"poison")
    os.chmod(file.code_path, 0o666)  # noqa: PTH101, S103 # the poison
    assert await execute(await make_pool(), ECHO) == Completed(b"{}", logs="")
    assert os.stat(file.code_path).st_mode & 0o777 == 0o600  # noqa: PTH116 # an async test


async def test_machine_code_that_changed_by_a_bit_or_belongs_to_another_module_does_not_run(
    make_pool: MakePool,
) -> None:
    pool = await make_pool()
    file, other = await code_of(pool), await code_of(pool, case_module("trap"))
    content = bytearray(Path(file.code_path).read_bytes())
    content[len(content) // 2] ^= 0x10
    for damage in (bytes(content), Path(other.code_path).read_bytes()):
        Path(file.code_path).write_bytes(damage)
        fresh = await make_pool()
        with pytest.raises(PlatformUnavailable, match=r"could not run the module: .* is damaged$"):
            await execute(fresh, ECHO)
        assert await execute(fresh, ECHO) == Completed(b"{}", logs="")


async def test_a_trap_that_cannot_be_explained_for_want_of_the_module_is_not_the_guests_fault(
    make_pool: MakePool,
) -> None:
    pool, unreachable = await make_pool(), case_module("unreachable")
    file = await code_of(pool, unreachable)
    Path(file.wasm_path).unlink()
    with pytest.raises(PlatformUnavailable, match="No such file or directory"):
        await pool.run(file, b"{}")
    assert isinstance(await execute(pool, unreachable), Failed)


@pytest.mark.parametrize("damage", [b"", b"not machine code", None])
async def test_damaged_code_fails_one_execution_as_the_platforms_fault_and_is_made_again(
    make_pool: MakePool, damage: bytes | None
) -> None:
    file = await code_of(await make_pool())
    damage_file(file.code_path, damage)
    pool = await make_pool()
    try:
        outcome = await execute(pool, ECHO)
    except PlatformUnavailable as error:
        assert "could not run the module" in str(error)  # a missing file is noticed earlier than a bad one
        outcome = await execute(pool, ECHO)
    assert outcome == Completed(b"{}", logs="")


async def test_a_process_that_runs_guests_refuses_to_translate_and_the_other_way_round(fork_server: ForkServer) -> None:
    for article, role, request in (
        ("an", Role.EXECUTOR, Translate(ECHO)),
        ("a", Role.TRANSLATOR, Run("code", "wasm", b"{}")),
    ):
        process = await SandboxProcess.start(fork_server, role, LIMITS, None, lambda _: None)
        reply = await process.ask(request, 20.0)
        assert isinstance(reply, CannotRun)
        assert f"it failed: TypeError: {article} {role} only" in reply.problem
        await process.ended()


def test_a_sha256_names_a_module() -> None:
    assert module_sha256(b"") == ModuleSha256("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


@pytest.fixture
def nothing_just_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the last use of every file were a while ago."""
    monkeypatch.setattr(code_cache, "_JUST_USED_S", -60.0)


async def only_echo(_: list[ModuleSha256]) -> set[ModuleSha256]:
    return {module_sha256(ECHO)}


@pytest.mark.usefixtures("nothing_just_used")
async def test_modules_that_no_function_has_are_removed_the_second_time_they_are_found(make_pool: MakePool) -> None:
    pool = await make_pool()
    kept, gone = await code_of(pool), await code_of(pool, case_module("trap"))
    assert await pool.remove_unwanted_modules(only_echo) == []
    assert Path(gone.code_path).exists()
    assert await pool.remove_unwanted_modules(only_echo) == [gone.sha256]
    assert {path.name for path in Path(kept.code_path).parent.iterdir()} == {
        Path(kept.code_path).name,
        Path(kept.wasm_path).name,
    }
    assert await execute(pool, ECHO, b"[1]") == Completed(b"[1]", logs="")
    # The same module may come back with another function.
    assert isinstance(await execute(pool, case_module("trap")), Failed)
    assert Path(gone.code_path).exists()


@pytest.mark.usefixtures("nothing_just_used")
async def test_a_guest_whose_module_is_removed_while_it_runs_is_finished(make_pool: MakePool) -> None:
    pool = await make_pool()
    spin = await code_of(pool, case_module("infinite_loop"))
    await pool.admit()
    running = asyncio.create_task(pool.run(spin, b"{}"))
    await until("a busy process", lambda: pool.status().busy == 1)
    for _ in range(2):
        await pool.remove_unwanted_modules(only_echo)
    assert not Path(spin.code_path).exists()
    outcome = await running
    assert isinstance(outcome, Failed)
    assert "0.3 s" in outcome.error.describe()


async def test_a_module_that_was_used_a_moment_ago_is_left_for_the_next_time(make_pool: MakePool) -> None:
    pool = await make_pool()
    gone = await code_of(pool, case_module("trap"))
    for _ in range(3):
        assert await pool.remove_unwanted_modules(only_echo) == []
    make_old(gone)
    assert await pool.remove_unwanted_modules(only_echo) == [gone.sha256]


@pytest.mark.usefixtures("nothing_just_used")
async def test_a_process_that_shares_the_cache_makes_again_what_another_removed(make_pool: MakePool) -> None:
    pool, other = await make_pool(), await make_pool()
    trap = case_module("trap")
    await code_of(pool, trap)
    await code_of(other, trap)
    await other.remove_unwanted_modules(only_echo)  # each process looks as often as the other
    for _ in range(2):
        await pool.remove_unwanted_modules(only_echo)
    assert isinstance(await execute(other, trap), Failed)
