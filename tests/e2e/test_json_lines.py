"""What fails because of JSON names the user's own lines, and nothing of the code that is made for @json classes."""

import re
from pathlib import Path

import httpx
import pytest

from tests.support.functions import Json, execute, ready

README = (Path(__file__).parents[2] / "README.md").read_text()
IMPORT = 'import { JSON } from "json-as";\n'

RECEIPT = IMPORT + README.split(IMPORT, 1)[1].split("```", 1)[0]

LINES = """import { JSON } from "json-as";
@json class Line {
  sku: string = "none";
  qty: u8 = 1;
}
@json class Order {
  lines: Line[] = [];
}
export function handle(input: string): string {
  const order = JSON.parse<Order>(input);
  return order.lines.length.toString();
}
"""

BYTES = """import { JSON } from "json-as";
@json class Sub { a: i32 = 1; }
@json class Input {
  n: i32 = 0;
  bytes: u8[] = [];
  sub: Sub = new Sub();
}
export function handle(input: string): string { return JSON.stringify(JSON.parse<Input>(input)); }
"""

OBJECT = """import { JSON } from "json-as";
@json class Plain { a: i32 = 1; }
@json class Input { plain: Plain = new Plain(); texts: string[] = ["a"]; o: JSON.Obj = new JSON.Obj(); }
export function handle(input: string): string {
  const given = JSON.parse<Input>(input);
  return given.o.size.toString();
}
"""

NESTED = """import { JSON } from "json-as";
@json class Order { qty: u8 = 1; constructor() { this.qty = 2; } }
class Reader {
  constructor(private text: string) {}
  read(): Order {
    return JSON.parse<Order>(this.text);
  }
}
function count(order: Order): i32 { return order.qty; }
export function handle(input: string): string {
  const reader = new Reader(input);
  return count(reader.read()).toString();
}
"""

WRITE = """import { JSON } from "json-as";
const none: i32[] = [];
@json class Own {
  @serializer
  write(): string { throw new Error("no text"); }
}
@json class Left {
  a: i32 = 1;
  @omitif((self: Left) => none[self.a] == 1)
  b: i32 = 2;
}
@json class Input { what: i32 = 0; }
export function handle(input: string): string {
  const what = JSON.parse<Input>(input).what;
  if (what == 0) return JSON.stringify(new Own());
  return JSON.stringify(new Left());
}
"""


def fail(http: httpx.Client, source: str, given: Json) -> tuple[str, list[str]]:
    """The error message, and the frames in the log."""
    result: Json = execute(http, ready(http, source), given)
    details = http.get(f"/executions/{result['id']}").json()
    assert result["status"] == "FAILED", result
    assert details["logs"], result
    frames = [line.removeprefix("    at ") for line in details["logs"].splitlines() if line.startswith("    at ")]
    return result["errorMessage"], frames


def line(source: str, code: str) -> int:
    return source.count("\n", 0, source.index(code)) + 1


def place(source: str, code: str) -> str:
    """`line:column` of the code in the source."""
    at = source.index(code)
    return f"{source.count(chr(10), 0, at) + 1}:{at - source.rfind(chr(10), 0, at)}"


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        (RECEIPT, {"items": [{"quantity": "x"}]}, 'input.items[0].quantity: "x" is a string, not a whole number (i16)'),
        (LINES, {"lines": [{"qty": 256}]}, "input.lines[0].qty: 256 is out of range: u8 holds 0 to 255"),
        (BYTES, {"bytes": [256]}, "input.bytes[0]: 256 is out of range: u8 holds 0 to 255"),
        (OBJECT, {"o": []}, "input.o: [] is an array, not an object (JSON.Obj)"),
    ],
)
def test_input_that_does_not_fit_names_the_line_that_read_it(
    http: httpx.Client, source: str, given: Json, message: str
) -> None:
    called_at = line(source, "JSON.parse")
    error, frames = fail(http, source, given)
    assert re.fullmatch(re.escape(f"abort: {message} in function.ts({called_at}:") + r"\d+\)", error)
    [frame] = frames
    assert re.fullmatch(rf"handle \(function\.ts:{called_at}:\d+\)", frame)


def test_a_function_that_was_called_to_read_is_in_the_stack(http: httpx.Client) -> None:
    error, frames = fail(http, NESTED, {"qty": -1})
    assert f" in function.ts({line(NESTED, 'JSON.parse')}:" in error
    assert frames[0].startswith(f"Reader.read (function.ts:{line(NESTED, 'JSON.parse')}:")
    assert not any("Order" in frame or "count" in frame for frame in frames)


def test_a_function_of_the_users_that_writes_is_in_the_stack(http: httpx.Client) -> None:
    error, frames = fail(http, WRITE, {"what": 0})
    assert error == f"abort: no text in function.ts({place(WRITE, 'throw')})"
    assert frames[0].startswith(f"Own.write (function.ts:{place(WRITE, 'throw')})")
    assert "handle" in frames[-1]

    error, frames = fail(http, WRITE, {"what": 1})
    assert f"abort: Index out of range in function.ts({line(WRITE, 'none[self')}:" in error
    assert frames[0].startswith(f"Left (inner function) (function.ts:{line(WRITE, 'none[self')}:")
    assert frames[-1].startswith("handle (function.ts:")


def test_an_initializer_that_fails_is_the_users_line(http: httpx.Client) -> None:
    source = """import { JSON } from "json-as";
@json class Other { a: i32 = 1; }
const sizes: i32[] = [];
function compute(): i32 {
  throw new Error("not today");
}
function none(): i32[] { return []; }
@json class Called {
  first: i32 = 1;
  x: i32 = compute();
  last: i32 = 2;
}
@json class Divided {
  first: string = "a"; other: Other = new Other(); x: i32 = 10 / sizes.length; last: i32 = 2;
}
@json class Indexed {
  x: i32[] = [none()[3]];
}
@json class Input { what: i32 = 0; }
export function handle(input: string): string {
  const what = JSON.parse<Input>(input).what;
  if (what == 0) return JSON.stringify(JSON.parse<Called>(input));
  if (what == 1) return JSON.stringify(JSON.parse<Divided>(input));
  return JSON.stringify(JSON.parse<Indexed>(input));
}
"""
    error, frames = fail(http, source, {"what": 0})
    assert error == "abort: not today in function.ts(5:3)"
    assert frames[0].startswith("compute (function.ts:5:3)")
    assert "handle" in frames[-1]

    error, frames = fail(http, source, {"what": 1})
    assert f" in function.ts({place(source, '10 / sizes')})" in error
    assert frames[0].startswith(f"Divided.constructor (function.ts:{place(source, '10 / sizes')})")
    assert "Called" not in " ".join(frames)

    error, frames = fail(http, source, {"what": 2})
    assert error.startswith(f"abort: Index out of range in function.ts({place(source, 'none()[3]')})")
    assert frames[0].startswith(f"Indexed.constructor (function.ts:{place(source, 'none()[3]')})")


def test_a_constructor_that_fails_is_the_users_line(http: httpx.Client) -> None:
    source = """import { JSON } from "json-as";
@json class Inner {
  a: i32 = 1;
  constructor() {
    throw new Error("no inner");
  }
}
@json class Input {
  b: i32 = 2;
  inner: Inner = new Inner();
}
export function handle(input: string): string {
  return JSON.stringify(JSON.parse<Input>(input));
}
"""
    error, frames = fail(http, source, {})
    assert error == "abort: no inner in function.ts(5:5)"
    assert frames[0].startswith("Inner.constructor (function.ts:5:5)")
    assert frames[-1].startswith(f"handle (function.ts:{line(source, 'JSON.parse')}:")


def test_a_class_without_json_gives_its_name_to_its_own_initializers(http: httpx.Client) -> None:
    source = """class First { list: i32[] = []; }
class Second { at: i32 = 10 / count; }
class Third { list: string[] = []; }
let count: i32 = 1;
export function handle(input: string): string {
  count = new First().list.length + new Third().list.length;
  return new Second().at.toString();
}
"""
    error, frames = fail(http, source, {})
    assert f" in function.ts({place(source, '10 / count')})" in error
    assert re.fullmatch(r"Second\.constructor \(function\.ts:2:26\)(, inlined into handle)?", frames[0])
