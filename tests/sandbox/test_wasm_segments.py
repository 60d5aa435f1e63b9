import pytest

from projectnil.sandbox.wasm_segments import segment_problem
from tests.sandbox.guests import wat


@pytest.mark.parametrize(
    "fields",
    [
        "(memory 1) (data (i32.const 65535) \"x\")",
        "(memory 1) (data (i32.const 65536) \"\")",
        "(memory 1) (data \"passive and as long as it likes\")",
        "(memory 1) (global i32 (i32.const 99999)) (data (global.get 0) \"x\")",
        "(table 2 funcref) (func) (elem (i32.const 0) 0 0)",
        "(table 1 funcref) (table 2 funcref) (func) (elem (table 1) (i32.const 0) func 0 0)",
        "(table 2 funcref) (func) (elem (i32.const 0) funcref (ref.func 0) (ref.null func))",
        "(table 1 funcref) (func) (elem func 0 0 0) (elem declare func 0) (elem funcref (ref.func 0) (ref.func 0))",
    ],
)  # fmt: skip
def test_segments_that_fit_are_no_problem(fields: str) -> None:
    assert segment_problem(wat(f"(module {fields})")) is None


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("(memory 1) (data (i32.const 65536) \"x\")", "data segment 0 ends at byte 65,537"),
        ("(memory 1) (data \"\") (data (i32.const -1) \"x\")", "data segment 1 ends at byte 4,294,967,296"),
        ("(memory 1) (data (i32.const -65) \"x\")", "data segment 0 ends at byte 4,294,967,232"),
        ("(table 1 funcref) (func) (elem func 0 0) (elem (i32.const 1) 0)", "element segment 1 ends at element 2"),
        ("(table 1 funcref) (func) (elem (i32.const 0) funcref (ref.func 0) (ref.null func))",
         "element segment 0 ends at element 2, and its table has 1"),
        ("(table 9 funcref) (table 1 funcref) (func) (elem (table 1) (i32.const 0) func 0 0)", "and its table has 1"),
    ],
)  # fmt: skip
def test_a_segment_that_ends_outside_is_named(fields: str, problem: str) -> None:
    found = segment_problem(wat(f"(module {fields})"))
    assert found is not None
    assert problem in found
