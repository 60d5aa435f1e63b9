import asyncio
import os
import signal
from pathlib import Path

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from projectnil.domain.errors import PlatformUnavailable
from projectnil.domain.executions import Completed, Failed
from projectnil.domain.functions import module_sha256
from projectnil.domain.limits import MIB, Limits
from projectnil.sandbox.code_cache import ModuleFile
from projectnil.sandbox.forking import ForkServer
from projectnil.sandbox.modules import SNAPSHOT_AFTER
from projectnil.sandbox.pool import SandboxPool
from projectnil.sandbox.protocol import NoSnapshot, Snapshot
from projectnil.sandbox.translator import take_snapshot
from projectnil.sandbox.wasm_format import SectionId, section
from tests.sandbox.guests import CASES, LIMITS, MakePool, case_module, execute, prepare, translated, wat
from tests.support.asc import compile_fresh
from tests.support.waiting import until

# A snapshot is made with what time other processes leave.
PATIENT = structs.replace(LIMITS, execution_timeout_s=60.0)

ABI = """
  (global $top (mut i32) (i32.const 4096))
  (func (export "__new") (param $size i32) (param $class i32) (result i32)
    (global.set $top (i32.add (global.get $top) (i32.const 8)))
    (i32.store (i32.sub (global.get $top) (i32.const 4)) (local.get $size))
    (global.get $top)
    (global.set $top (i32.add (global.get $top) (i32.add (local.get $size) (i32.const 8)))))
  (func (export "__pin") (param i32) (result i32) (local.get 0))
"""

# Its start section leaves something of every kind behind; handle traps unless it finds all of it.
STARTER = f"""(module
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  (memory (export "memory") 1 9)
  {ABI}
  (global $fixed i32 (i32.const 77))
  (global $small (mut i32) (i32.const 1))
  (global $large (mut i64) (i64.const 1))
  (global $single (mut f32) (f32.const 1))
  (global $double (mut f64) (f64.const 1))
  (data (i32.const 16) "replaced later")
  (data (i32.const 100) "kept")
  (func $start
    (global.set $small (i32.const -2147483648))
    (global.set $large (i64.const -9223372036854775807))
    (global.set $single (f32.reinterpret_i32 (i32.const 0x7fa00001)))
    (global.set $double (f64.reinterpret_i64 (i64.const 0xfff4000000000001)))
    (memory.fill (i32.const 16) (i32.const 0) (i32.const 14))
    (drop (memory.grow (i32.const 2)))
    (i64.store (i32.const 0x2fff8) (i64.const -1))
    (i32.store (i32.const 4094) (i32.const 0x01020304)))
  (start $start)
  (func $check (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
  (func (export "handle") (param $input i32) (result i32)
    (call $check (i32.eq (global.get $fixed) (i32.const 77)))
    (call $check (i32.eq (global.get $small) (i32.const -2147483648)))
    (call $check (i64.eq (global.get $large) (i64.const -9223372036854775807)))
    (call $check (i32.eq (i32.reinterpret_f32 (global.get $single)) (i32.const 0x7fa00001)))
    (call $check (i64.eq (i64.reinterpret_f64 (global.get $double)) (i64.const 0xfff4000000000001)))
    (call $check (i64.eqz (i64.load (i32.const 16))))
    (call $check (i32.eq (i32.load (i32.const 100)) (i32.const 0x7470656b)))
    (call $check (i32.eq (memory.size) (i32.const 3)))
    (call $check (i64.eq (i64.load (i32.const 0x2fff8)) (i64.const -1)))
    (call $check (i32.eq (i32.load (i32.const 4094)) (i32.const 0x01020304)))
    (call $check (i32.eq (memory.grow (i32.const 6)) (i32.const 3)))
    (call $check (i32.eq (memory.grow (i32.const 1)) (i32.const -1)))
    (global.set $small (i32.const 5))
    (i64.store (i32.const 0x2fff8) (i64.const 0))
    (local.get $input))
)"""

# Reads what its start section made, and says so; most of that is zeros.
TYPESCRIPT = """
@json class Name { name: string = ""; }
const squares = new Map<string, i32>();
for (let i = 0; i < 100; i++) squares.set(i.toString(), i * i);
const ratio: f64 = 1.0 / 3.0;
const blank = new StaticArray<u64>(100_000);
let calls = 0;
import { JSON } from "json-as";
export function handle(input: string): string {
  const name = JSON.parse<Name>(input).name;
  squares.set(name, ++calls + <i32>blank[calls]);
  console.log(name);
  if (name == "stop") throw new Error("as asked");
  return `[${squares.get("9")},${squares.get(name)},${squares.size},${ratio},${JSON.stringify(name)}]`;
}
"""


async def until_replaced(pool: SandboxPool, wasm: bytes) -> ModuleFile:
    """Use the module until a snapshot has taken its place."""

    async def load() -> bytes:
        return wasm

    async with asyncio.timeout(120):
        while True:
            file = await pool.ensure_module(module_sha256(wasm), load)
            assert isinstance(file, ModuleFile)
            if file.is_snapshot:
                return file
            await asyncio.sleep(0.01)


def starter(start: str, *fields: str, handle: str = "(local.get 0)") -> bytes:
    """A module that returns its input, and whose start section does as told."""
    imports = [field for field in fields if field.startswith("(import")]
    others = [field for field in fields if not field.startswith("(import")]
    memory = "" if any("(memory" in field for field in others) else '(memory (export "memory") 1)'
    return wat(f"""(module {" ".join(imports)} {memory} {ABI} {" ".join(others)}
      (func $start {start}) (start $start)
      (func (export "handle") (param i32) (result i32) {handle}))""")


async def test_a_snapshot_begins_with_all_that_the_start_section_left(make_pool: MakePool) -> None:
    pool, wasm = await make_pool(PATIENT), wat(STARTER)
    assert await execute(pool, wasm, b"[1]") == Completed(b"[1]", "")
    file = await until_replaced(pool, wasm)
    assert section(Path(file.wasm_path).read_bytes(), SectionId.START) is None
    for _ in range(3):  # and nothing of one execution is left to the next
        assert await execute(pool, wasm, b"[1]") == Completed(b"[1]", "")


async def test_an_assemblyscript_module_does_the_same_after_its_start_section_as_with_it(
    make_pool: MakePool, tmp_path: Path
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    wasm, pool = compile_fresh(TYPESCRIPT, folder), await make_pool(Limits())
    inputs = [b'{"name":"Ada"}', b'{"name":"7"}', b'{"name":"stop"}', b"{}"]
    before = [await execute(pool, wasm, given) for given in inputs]
    file = await until_replaced(pool, wasm)
    after = [await execute(pool, wasm, given) for given in inputs]
    assert after == before
    assert before[0] == Completed(b'[81,1,101,0.3333333333333333,"Ada"]', "Ada\n")
    assert isinstance(before[2], Failed)
    disk_bytes = Path(file.code_path).stat().st_blocks * 512
    assert disk_bytes < Path(file.code_path).stat().st_size / 2, "its zeros take no place"


UNSAFE = {
    "its start section calls seed": starter(
        "(drop (call $seed))", '(import "env" "seed" (func $seed (result f64)))'
    ),
    "its start section calls console.log": case_module("log_in_start_section"),
    "its start section fails": starter("unreachable"),
    "its start section leaves more than 16 MiB of memory": starter("(drop (memory.grow (i32.const 256)))"),
    "it uses table.set": starter("(table.set 0 (i32.const 0) (ref.null func))", "(table 1 funcref)"),
    "it uses table.grow": starter("(drop (table.grow 0 (ref.null func) (i32.const 1)))", "(table 1 funcref)"),
    "it uses table.fill": starter(
        "(table.fill 0 (i32.const 0) (ref.null func) (i32.const 1))", "(table 1 funcref)"
    ),
    "it uses table.copy": starter(
        "(table.copy (i32.const 0) (i32.const 0) (i32.const 1))", "(table 1 funcref)"
    ),
    "it uses table.init": starter(
        "(table.init $e (i32.const 0) (i32.const 0) (i32.const 1))", "(table 1 funcref)", "(elem $e func $start)"
    ),
    "it uses elem.drop": starter("(elem.drop $e)", "(elem $e func $start)"),
    "it uses memory.init": starter(
        "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 1))", '(data $d "later")'
    ),
    "it uses data.drop": starter("(data.drop $d)", '(data $d "later")'),
    "its global 1 is mutable and not a number": starter("", "(global (mut funcref) (ref.null func))"),
}  # fmt: skip


@pytest.mark.parametrize("reason", UNSAFE)
async def test_a_module_is_kept_as_it_is_when_a_snapshot_could_differ(
    tmp_path: Path, fork_server: ForkServer, reason: str
) -> None:
    roomy = Limits(memory_bytes=64 * MIB)
    file = await translated(tmp_path / "modules", fork_server, UNSAFE[reason], roomy)
    assert await take_snapshot(fork_server, roomy, file) == NoSnapshot(reason)


async def test_an_instruction_written_in_more_bytes_than_needed_is_seen_too(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    plain = starter("(data.drop 0) nop", '(data $d "later")')
    # data.drop 0; nop is FC 09 00 01. A LEB128 may be longer than needed: FC 89 00 00.
    disguised = plain.replace(bytes.fromhex("fc090001"), bytes.fromhex("fc890000"))
    assert disguised != plain
    file = await translated(tmp_path / "modules", fork_server, disguised)
    assert await take_snapshot(fork_server, PATIENT, file) == NoSnapshot("it uses data.drop")


async def test_a_start_section_that_does_not_end_is_ended(tmp_path: Path, fork_server: ForkServer) -> None:
    file = await translated(tmp_path / "modules", fork_server, starter("(loop (br 0))"))
    with pytest.raises(PlatformUnavailable, match="not ready in time"):
        await take_snapshot(fork_server, LIMITS, file)


async def test_globals_are_told_apart_whatever_a_module_calls_its_own_exports(make_pool: MakePool) -> None:
    wasm = starter(
        "(global.set $a (i32.const 11)) (global.set $b (i32.const 22))",
        '(global $a (export "global2") (mut i32) (i32.const 0))',
        '(global $b (export "global1") (mut i32) (i32.const 0))',
        '(func $first (export "global0") (if (i32.ne (global.get $a) (i32.const 11)) (then unreachable)))',
        '(func $check (export "global+") (if (i32.ne (global.get $b) (i32.const 22)) (then unreachable)))',
        handle="(call $first) (call $check) (local.get 0)",
    )
    pool = await make_pool(PATIENT)
    await until_replaced(pool, wasm)
    assert await execute(pool, wasm, b"[1]") == Completed(b"[1]", "")


async def test_a_snapshot_may_be_as_large_as_it_says(make_pool: MakePool) -> None:
    # 10 MiB without a zero, far more than a reply to an execution may have.
    wasm = starter(
        "(drop (memory.grow (i32.const 159))) (memory.fill (i32.const 65536) (i32.const 7) (i32.const 10420224))"
    )
    pool = await make_pool(Limits(execution_timeout_s=60))
    await until_replaced(pool, wasm)
    assert await execute(pool, wasm, b"[1]") == Completed(b"[1]", "")


async def test_a_start_section_gets_no_more_memory_than_a_guest(tmp_path: Path, fork_server: ForkServer) -> None:
    greedy = starter("(if (i32.eq (memory.grow (i32.const 32)) (i32.const -1)) (then unreachable))")
    file = await translated(tmp_path / "modules", fork_server, greedy)
    assert await take_snapshot(fork_server, PATIENT, file) == NoSnapshot("its start section fails")
    assert isinstance(await take_snapshot(fork_server, Limits(), file), Snapshot)


async def test_a_module_that_must_stay_as_it_is_goes_on_running_and_is_not_tried_again(make_pool: MakePool) -> None:
    pool, wasm = await make_pool(PATIENT), case_module("log_in_start_section")
    with capture_logs() as lines:
        async with asyncio.timeout(120):
            while not (kept := [line for line in lines if line["event"] == "module.kept_as_it_is"]):
                await execute(pool, wasm)
        outcomes = [await execute(pool, wasm) for _ in range(5 * SNAPSHOT_AFTER)]
    assert [line["reason"] for line in kept] == ["its start section calls console.log"]
    assert {outcome.logs for outcome in outcomes} == {(CASES / "log_in_start_section" / "logs.txt").read_text()}
    assert {line["event"] for line in lines} == {"module.translated", "module.kept_as_it_is"}


async def test_a_module_without_a_start_section_is_left_alone(make_pool: MakePool) -> None:
    pool = await make_pool(PATIENT)
    with capture_logs() as lines:
        for _ in range(3 * SNAPSHOT_AFTER):
            await execute(pool, case_module("echo"))
        await until_replaced(pool, wat(STARTER))  # one at a time: whatever the echo waited for is over
    assert [line["event"] for line in lines] == ["module.translated", "module.translated", "module.snapshot_taken"]


async def test_a_snapshot_outlives_the_pool_and_is_for_one_limit_of_memory(make_pool: MakePool) -> None:
    wasm = wat(STARTER)
    first = await until_replaced(await make_pool(PATIENT), wasm)

    async def never() -> bytes:
        raise AssertionError("the module was there already")

    assert await (await make_pool(PATIENT)).ensure_module(first.sha256, never) == first
    other = await (await make_pool(Limits())).ensure_module(first.sha256, never)
    assert isinstance(other, ModuleFile)
    assert not other.is_snapshot


async def test_without_its_damaged_snapshot_a_module_runs_as_it_is(make_pool: MakePool) -> None:
    wasm = wat(STARTER)
    file = await until_replaced(await make_pool(PATIENT), wasm)
    Path(file.code_path).write_bytes(b"not machine code")
    pool = await make_pool(PATIENT)
    with pytest.raises(PlatformUnavailable, match="could not run the module"):
        await execute(pool, wasm)
    for _ in range(3 * SNAPSHOT_AFTER):
        assert await execute(pool, wasm, b"[1]") == Completed(b"[1]", "")
    assert not Path(file.code_path).exists()
    assert (await until_replaced(await make_pool(PATIENT), wasm)).code_path == file.code_path


async def test_no_snapshot_is_taken_of_a_module_that_is_another_by_now(make_pool: MakePool) -> None:
    pool, wasm = await make_pool(PATIENT), wat(STARTER)
    file = await prepare(pool, wasm)
    assert isinstance(file, ModuleFile)
    path = Path(file.wasm_path)
    path.write_bytes(starter("(i32.store8 (i32.const 16) (i32.const 1))"))
    with capture_logs() as lines:
        async with asyncio.timeout(120):
            while not lines:
                assert await execute(pool, wasm, b"[1]") == Completed(b"[1]", "")
    assert [(line["event"], line["error"]) for line in lines] == [("module.snapshot_failed", f"{path.name} is damaged")]


async def test_a_snapshot_under_which_a_process_was_lost_is_not_used_any_more(make_pool: MakePool) -> None:
    spins_at_0 = "(loop $again (br_if $again (i32.eq (i32.load16_u (local.get 0)) (i32.const 0x30)))) (local.get 0)"
    wasm = starter("(i32.store8 (i32.const 16) (i32.const 1))", handle=spins_at_0)
    pool = await make_pool(PATIENT)
    file = await until_replaced(pool, wasm)
    (pid,) = pool.process_ids()
    running = asyncio.create_task(execute(pool, wasm, b"0"))
    await until("a busy process", lambda: pool.status().busy == 1)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(PlatformUnavailable, match="was lost before the function finished"):
        await running
    for _ in range(3 * SNAPSHOT_AFTER):
        assert await execute(pool, wasm, b"1") == Completed(b"1", "")
    assert not Path(file.code_path).exists()


async def test_a_snapshot_that_another_process_made_is_used(make_pool: MakePool) -> None:
    wasm = wat(STARTER)
    slow, quick = await make_pool(PATIENT), await make_pool(PATIENT)
    await execute(slow, wasm)
    file = await until_replaced(quick, wasm)
    made_at = Path(file.code_path).stat().st_ino
    assert await until_replaced(slow, wasm) == file
    assert Path(file.code_path).stat().st_ino == made_at


async def test_nothing_is_made_for_a_pool_that_has_stopped(make_pool: MakePool) -> None:
    pool = await make_pool(PATIENT)
    await pool.stop(0)
    with pytest.raises(PlatformUnavailable, match="stopping"):
        await execute(pool, wat(STARTER))
