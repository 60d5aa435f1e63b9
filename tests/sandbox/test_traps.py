from projectnil.sandbox import traps
from projectnil.sandbox.wasm_format import SectionId, section
from tests.sandbox.guests import wat

IF_UNREACHABLE = b"\x04\x40\x00"


def gave_up_after_memory_grow(wasm: bytes, trap_offset: int) -> bool:
    """Of a trap in the only function."""
    code = section(wasm, SectionId.CODE)
    assert code is not None
    code.skip_lebs(2)  # how many bodies, how long this one is
    return traps.gave_up_after_memory_grow(wasm, code.at, trap_offset)


def test_the_if_and_the_unreachable_after_a_failed_growth_are_recognised() -> None:
    module = wat(
        "(module (memory 1) (func (if (i32.lt_s (memory.grow (i32.const 1)) (i32.const 0)) (then unreachable))))"
    )
    at = module.index(IF_UNREACHABLE)
    assert gave_up_after_memory_grow(module, at)
    assert gave_up_after_memory_grow(module, at + 2)


def test_growth_that_is_only_one_of_two_ways_to_the_test_is_recognised() -> None:
    # What asc emits for the allocator's first pages.
    module = wat("""(module (memory 1) (func (local i32)
        (if (if (result i32) (local.get 0)
              (then (i32.lt_s (memory.grow (i32.const 1)) (i32.const 0)))
              (else (i32.const 0)))
          (then unreachable))))""")
    assert gave_up_after_memory_grow(module, module.index(IF_UNREACHABLE))


def test_an_unreachable_after_other_work_is_no_failed_growth() -> None:
    module = wat("""(module (memory 1) (func
        (drop (memory.grow (i32.const 1)))
        (i32.store (i32.const 0) (i32.const 1))
        (if (i32.load (i32.const 0)) (then unreachable))))""")
    assert not gave_up_after_memory_grow(module, module.index(IF_UNREACHABLE))


def test_a_constant_that_looks_like_a_failed_growth_does_not_mislead() -> None:
    looks_like_growth = bytes.fromhex("0040004100480440")
    module = wat("(module (memory 1) (func (i64.const 1) drop (f64.const 2) unreachable))").replace(
        bytes.fromhex("0000000000000040"), looks_like_growth
    )
    at = module.index(looks_like_growth) + len(looks_like_growth)
    assert module[at] == 0x00
    assert not gave_up_after_memory_grow(module, at)


def test_instructions_with_every_kind_of_immediate_are_passed_over() -> None:
    module = wat("""(module (memory 1) (table 3 funcref) (type $t (func (param i32) (result i32)))
      (func $f (param i32) (result i32)
        (block (block (br_table 0 1 0 (local.get 0))))
        (drop (call_indirect (type $t) (local.get 0) (i32.const 2)))
        (drop (select (result i64) (i64.const -1) (i64.const 128) (local.get 0)))
        (drop (f32.const 1.5)) (drop (f64.const 1.5)) (drop (ref.null func)) (drop (table.size 0))
        (memory.fill (i32.const 0) (i32.const 0) (i32.const 300))
        (drop (v128.const i32x4 1 2 3 4)) (drop (i8x16.extract_lane_s 3 (v128.load offset=300 (i32.const 0))))
        (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (v128.load (i32.const 0)) (v128.load (i32.const 0))))
        (v128.store8_lane offset=1 2 (i32.const 0) (v128.load8_splat (i32.const 0)))
        (drop (i64.trunc_sat_f64_u (f64.load align=1 (i32.const 9))))
        (if (i32.lt_s (memory.grow (i32.const 1)) (i32.const 0)) (then unreachable))
        (local.get 0)))""")
    assert gave_up_after_memory_grow(module, module.rindex(IF_UNREACHABLE))
