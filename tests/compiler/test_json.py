"""What a function reads from JSON is what the JSON says, or the function ends with a message that names the place."""

import json
import random
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from projectnil.compiler.assemblyscript.toolchain import AssemblyScript
from projectnil.domain.compilation import Rejected

from .conftest import Run

pytestmark = pytest.mark.asyncio(loop_scope="session")

# One module for every type: what `read` finds in the text, written again. The text comes within the input, so that
# nothing on the way spells it differently.
EVERYTHING = """import { JSON } from "json-as";
type Cents = i32;
type Ratio = number;
enum Colour { Red, Green = 7 }
@json class Envelope { text: string = ""; }
@json class Item { name: string = "none"; cents: Cents = 7; tags: string[] = []; }
@json class Base { inherited: i32 = 3; }
@json class Page<T> { items: T[] = []; next: Page<T> | null = null; }
class Plain { plain: u8 = 1; }
@json class OnPlain extends Plain { own: u8 = 2; }
@json class Everything extends Base {
  i8: i8[] = []; i16: i16[] = []; i32: i32[] = []; i64: i64[] = []; isize: isize[] = [];
  u8: u8[] = []; u16: u16[] = []; u32: u32[] = []; u64: u64[] = []; usize: usize[] = [];
  f32: f32[] = []; f64: f64[] = []; number: number[] = []; ratio: Ratio = 0; cents: Cents = 0; colour: Colour = 0;
  whole: i32 = 5; byte: u8 = 5; long: i64 = 5; size: usize = 5;
  text: string = "default"; maybe: string | null = null; yes: bool = false; truth: boolean = true;
  item: Item = new Item(); items: Item[] = []; optional: Item | null = null;
  texts: string[] = []; maybes: (string | null)[] = []; somes: (Item | null)[] = []; table: i32[][] = [];
  map: Map<string, i32> = new Map(); byNumber: Map<i32, string> = new Map();
  nested: Map<string, Map<string, Item[]>> = new Map();
  set: Set<i32> = new Set(); fixed: StaticArray<i32> = []; bytes: Uint8Array = new Uint8Array(0);
  floats: Float64Array = new Float64Array(0); buffer: ArrayBuffer = new ArrayBuffer(0);
  when: Date = new Date(0); box: JSON.Box<i32> | null = null; boxes: (JSON.Box<f64> | null)[] = [];
  raw: JSON.Raw = new JSON.Raw("0"); value: JSON.Value = JSON.Value.empty(); values: JSON.Value[] = [];
  obj: JSON.Obj = new JSON.Obj(); arr: JSON.Arr = new JSON.Arr();
  page: Page<i32> = new Page<i32>(); onPlain: OnPlain = new OnPlain();
  @alias("stra\\u00dfe") street: string = ""; @omit hidden: i32 = 1; @omitnull() gone: string | null = null;
  readonly fixedText: string = "r"; private secret: i32 = 4; bare!: string; bareItem!: Item; static shared: i32 = 9;
  constructor(public given: f64) { super(); }
}
export function handle(input: string): string {
  const text = JSON.parse<Envelope>(input).text;
  return JSON.stringify(JSON.parse<Everything>(text.length ? text : input));
}
"""
DEFAULTS = json.loads(
    """{"inherited":3,"i8":[],"i16":[],"i32":[],"i64":[],"isize":[],"u8":[],"u16":[],"u32":[],"u64":[],"usize":[],
    "f32":[],"f64":[],"number":[],"ratio":0,"cents":0,"colour":0,"whole":5,"byte":5,"long":5,"size":5,
    "text":"default","maybe":null,"yes":false,"truth":true,"item":{"name":"none","cents":7,"tags":[]},"items":[],
    "optional":null,"texts":[],"maybes":[],"somes":[],"table":[],"map":{},"byNumber":{},"nested":{},"set":[],"fixed":[],
    "bytes":[],"floats":[],"buffer":[],"when":"1970-01-01T00:00:00.000Z","box":null,"boxes":[],"raw":0,"value":null,
    "values":[],"obj":{},"arr":[],"page":{"items":[],"next":null},"onPlain":{"plain":1,"own":2},"stra\u00dfe":"",
    "fixedText":"r","secret":4,"bare":"","bareItem":{"name":"none","cents":7,"tags":[]},"given":0}"""
)
BITS = {"i8": 8, "i16": 16, "i32": 32, "i64": 64, "isize": 32, "u8": 8, "u16": 16, "u32": 32, "u64": 64, "usize": 32}


async def read(run: Run, text: str) -> object:
    return await run(EVERYTHING, {"text": text})


async def fields(run: Run, text: str) -> dict[str, object]:
    """The fields that are not what they are by default."""
    got = await read(run, text)
    assert isinstance(got, dict), got
    return {key: value for key, value in got.items() if value != DEFAULTS.get(key)}


def spellings(number: int, chance: random.Random) -> list[str]:
    """Ways to write a whole number in JSON."""
    digits, sign = str(abs(number)), "-" if number < 0 else ""
    zeros = "0" * chance.randrange(1, 30)
    place = chance.randrange(1, len(digits)) if len(digits) > 1 else 1
    fraction = digits[place:] or "0"
    return [
        f"{number}",
        f"{number}.{zeros}",
        f"{number}{zeros if number else ''}e-{len(zeros) if number else 3}",
        f"{sign}{digits[:place]}.{fraction}E+{len(digits) - place if digits[place:] else 0}",
        f"{sign}0.{zeros}{digits}e{len(zeros) + len(digits)}",
    ]


async def test_missing_keys_take_the_defaults(run: Run) -> None:
    assert await read(run, "{}") == DEFAULTS
    assert await read(run, ' {\t"unknown" : [ { "a" : null } , "\\u0041\\"" , 1e5 ] \r\n} ') == DEFAULTS


@pytest.mark.parametrize("type_", BITS)
async def test_a_whole_number_is_read_however_it_is_spelled(run: Run, type_: str) -> None:
    chance = random.Random(type_)  # noqa: S311 # the same numbers each time
    bits, least = BITS[type_], -(1 << BITS[type_] - 1) if type_[0] == "i" else 0
    most = least + (1 << bits) - 1
    numbers = [0, 1, 10, least, most, most - 1] + [chance.randint(least, most) for _ in range(30)]
    spelled = [(number, text) for number in numbers for text in spellings(number, chance)] + [(0, "-0"), (0, "-0.0e7")]
    texts = ",".join(text for _, text in spelled)
    assert await fields(run, f'{{"{type_}":[{texts}]}}') == {type_: [number for number, _ in spelled]}


@pytest.mark.parametrize("type_", BITS)
async def test_a_number_that_is_not_whole_or_out_of_range_is_refused(run: Run, type_: str) -> None:
    least = -(1 << BITS[type_] - 1) if type_[0] == "i" else 0
    most = least + (1 << BITS[type_]) - 1
    for number in least - 1, most + 1, most + 10**20:
        for text in spellings(number, random.Random(1)):  # noqa: S311 # the same spellings each time
            message = await read(run, f'{{"{type_}":[0,{text}]}}')
            range_ = f"is out of range: {type_} holds {least} to {most}"
            assert message == f"$.{type_}[1]: {text if len(text) <= 60 else text[:60] + '...'} {range_}"
    for text in "0.5", "19.99", "1e-1", "-0.001", "12345678901234567890.5", f"{most}.000000000000000000001":
        assert await read(run, f'{{"{type_}":[{text}]}}') == f"$.{type_}[0]: {text} is not a whole number ({type_})"


ACCEPTED: list[tuple[str, object]] = [
    ('{"whole":2.5e2,"byte":7.0,"long":9007199254740993,"size":0}',
     {"whole": 250, "byte": 7, "long": 2**53 + 1, "size": 0}),
    ('{"ratio":23.97,"cents":1e3,"colour":7.0,"number":[1,2.5,-0.1]}',
     {"ratio": 23.97, "cents": 1000, "colour": 7, "number": [1, 2.5, -0.1]}),
    ('{"inherited":-3.0,"given":1e21,"secret":12.0,"fixedText":"x","bare":"y"}',
     {"inherited": -3, "given": 1e21, "secret": 12, "fixedText": "x", "bare": "y"}),
    ('{"map":{"a":12.0,"b":1e1,"a":3},"byNumber":{"-7":"x","10":"y"},"set":[1.0,1,2e0]}',
     {"map": {"a": 3, "b": 10}, "byNumber": {"-7": "x", "10": "y"}, "set": [1, 2]}),
    ('{"nested":{"x":{"y":[{"cents":250.0}]}},"table":[[1.0],[],[2,3e0]]}',
     {"nested": {"x": {"y": [{"name": "none", "cents": 250, "tags": []}]}}, "table": [[1], [], [2, 3]]}),
    ('{"items":[{"cents":2.5e2,"name":"a"},{"name":"b","cents":250}]}',
     {"items": [{"name": "a", "cents": 250, "tags": []}, {"name": "b", "cents": 250, "tags": []}]}),
    ('{"fixed":[1.0],"bytes":[255.0,0],"floats":[0.1,1e300],"buffer":[1,2]}',
     {"fixed": [1], "bytes": [255, 0], "floats": [0.1, 1e300], "buffer": [1, 2]}),
    ('{"maybes":["a",null,"null"],"somes":[null,{"name":"x"}],"optional":null,"maybe":null}',
     {"maybes": ["a", None, "null"], "somes": [None, {"name": "x", "cents": 7, "tags": []}]}),
    ('{"box":3.0,"boxes":[null,2.5]}', {"box": 3, "boxes": [None, 2.5]}),
    ('{"box":null,"yes":true,"truth":false}', {"yes": True, "truth": False}),
    ('{"stra\\u00dfe":"x","\\u0074ext":"\\u00e4\\ud83d\\ude00\\"\\\\\\/\\b\\f\\n\\r\\t"}',
     {"straße": "x", "text": 'ä😀"\\/\b\f\n\r\t'}),
    ('{"page":{"items":[1.0],"next":{"items":[2]}},"onPlain":{"plain":9.0}}',
     {"page": {"items": [1], "next": {"items": [2], "next": None}}, "onPlain": {"plain": 9, "own": 2}}),
    ('{"raw":[1.10, {"a" : 2}],"gone":"x"}', {"raw": [1.10, {"a": 2}], "gone": "x"}),
    ('{"hidden":"anything","shared":"anything","item":{"tags":["t"]}}',
     {"item": {"name": "none", "cents": 7, "tags": ["t"]}}),
    ('{"when":"2026-01-31T12:00:00.5+02:00"}', {"when": "2026-01-31T10:00:00.500Z"}),
    ('{"when":"2024-02-29"}', {"when": "2024-02-29T00:00:00.000Z"}),
    ('{"when":"1969-12-31T23:59:59.999999Z"}', {"when": "1969-12-31T23:59:59.999Z"}),
    ('{"when":"0001-01-01T00:00-00:30"}', {"when": "0001-01-01T00:30:00.000Z"}),
    ('{"text":"first","text":"last","whole":1,"whole":2.0}', {"text": "last", "whole": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), ACCEPTED, ids=[text for text, _ in ACCEPTED])
async def test_what_fits_is_read(run: Run, text: str, wanted: object) -> None:
    assert await fields(run, text) == wanted


DATE = "a date (ISO 8601, as in 2026-01-31T12:00:00Z)"
KINDS = {
    '"250"': "a string",
    "250.5": "a number",
    "true": "a boolean",
    "[1]": "an array",
    '{"a":1}': "an object",
    "null": "",
}
# field: the kinds it takes, and what is wanted instead of the others
WANTED: dict[str, tuple[set[str], str]] = {
    "whole": ({"250.5"}, "a whole number (i32)"),
    "byte": ({"250.5"}, "a whole number (u8)"),
    "long": ({"250.5"}, "a whole number (i64)"),
    "ratio": ({"250.5"}, "a number (f64)"),
    "cents": ({"250.5"}, "a whole number (i32)"),
    "colour": ({"250.5"}, "a whole number (i32)"),
    "box": ({"250.5", "null"}, "a whole number (i32)"),
    "text": ({'"250"'}, "a string"),
    "maybe": ({'"250"', "null"}, "a string"),
    "when": ({'"250"'}, DATE),
    "yes": ({"true"}, "true or false"),
    "item": ({'{"a":1}'}, "an object (Item)"),
    "optional": ({'{"a":1}', "null"}, "an object (Item)"),
    "page": ({'{"a":1}'}, "an object (Page<i32>)"),
    "items": ({"[1]"}, "an array"),
    "texts": ({"[1]"}, "an array"),
    "set": ({"[1]"}, "an array"),
    "fixed": ({"[1]"}, "an array"),
    "bytes": ({"[1]"}, "an array"),
    "map": ({'{"a":1}'}, "an object (Map)"),
    "obj": ({'{"a":1}'}, "an object (JSON.Obj)"),
    "arr": ({"[1]"}, "an array (JSON.Arr)"),
    "inherited": ({"250.5"}, "a whole number (i32)"),
    "given": ({"250.5"}, "a number (f64)"),
}


@pytest.mark.parametrize("field", WANTED)
async def test_a_value_of_another_kind_is_refused_wherever_it_stands(run: Run, field: str) -> None:
    takes, wanted = WANTED[field]
    for text, kind in KINDS.items():
        if text in takes:
            continue
        said = f"$.{field}: {text} is {kind}, not {wanted}" if kind else f"$.{field}: {text} is not {wanted}"
        for order in '{"%s":%s,"text":"x"}', '{"text":"x","u8":[1],"unknown":{"a":[]},"%s":%s}':
            assert await read(run, order % (field, text)) == said


REFUSED = {
    '{"items":[{},{},{"cents":19.99}]}': "$.items[2].cents: 19.99 is not a whole number (i32)",
    '{"items":[{"tags":["a",null]}]}': "$.items[0].tags[1]: null is not a string",
    '{"items":[1]}': "$.items[0]: 1 is a number, not an object (Item)",
    '{"texts":["a",1]}': "$.texts[1]: 1 is a number, not a string",
    '{"table":[[1],[2,"3"]]}': '$.table[1][1]: "3" is a string, not a whole number (i32)',
    '{"map":{"a":1,"first name":1.5}}': '$.map["first name"]: 1.5 is not a whole number (i32)',
    '{"byNumber":{"1":"a","b":"c"}}': '$.byNumber.b: the key "b" is not a number (i32)',
    '{"byNumber":{"1.5":"a"}}': '$.byNumber["1.5"]: 1.5 is not a whole number (i32)',
    '{"nested":{"x":{"y":[{"cents":null}]}}}': "$.nested.x.y[0].cents: null is not a whole number (i32)",
    '{"somes":[null,{"name":5}]}': "$.somes[1].name: 5 is a number, not a string",
    '{"boxes":[null,"2"]}': '$.boxes[1]: "2" is a string, not a number (f64)',
    '{"bytes":[1,256]}': "$.bytes[1]: 256 is out of range: u8 holds 0 to 255",
    '{"whole":3000000000}': "$.whole: 3000000000 is out of range: i32 holds -2147483648 to 2147483647",
    '{"ratio":1e400}': "$.ratio: 1e400 is too large for f64",
    '{"f32":[1e39]}': "$.f32[0]: 1e39 is too large for f32",
    '{"when":"tomorrow"}': '$.when: "tomorrow" is not ' + DATE,
    '{"when":"2026-02-29"}': '$.when: "2026-02-29" is not ' + DATE,
    '{"when":"2026-01-31T25:00:00Z"}': '$.when: "2026-01-31T25:00:00Z" is not ' + DATE,
    '{"when":""}': '$.when: "" is not ' + DATE,
    "[]": "$: [] is an array, not an object (Everything)",
    "null": "$: null is not an object (Everything)",
    '{"whole":01}': "$.whole: this is not JSON: unexpected 1} at character 11",
    '{"whole":1.}': "$.whole: this is not JSON: unexpected } at character 12",
    '{"whole":+1}': "$.whole: this is not JSON: unexpected +1} at character 10",
    '{"whole":NaN}': "$.whole: this is not JSON: unexpected NaN} at character 10",
    '{"text":"a\nb"}': "$.text: this is not JSON: unexpected a control character (10) at character 11",
    '{"text":"\\x"}': '$.text: this is not JSON: unexpected x"} at character 11',
    '{"unknown":[1,{]}': "$.unknown[1]: this is not JSON: unexpected ]} at character 16",
    '{"whole":1,}': "$.whole: this is not JSON: unexpected } at character 12",
    '{"whole":1} x': "$: this is not JSON: unexpected x at character 13",
    "{'whole':1}": "$: this is not JSON: unexpected 'whole':1} at character 2",
    '{"items":[{"name":"abc': "$.items[0].name: this is not JSON: the text ends too early",
    " ": "$: this is not JSON: the text ends too early",
    '{"unknown":' + "[" * 400 + "]" * 400 + "}": "JSON is nested more than 400 levels deep",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40])
async def test_what_does_not_fit_is_named_with_its_place(run: Run, text: str) -> None:
    assert await read(run, text) == REFUSED[text]


async def test_what_handle_was_given_is_called_input(run: Run) -> None:
    items = [{"cents": 1}, {"cents": 2}, {"cents": 19.99}]
    assert await run(EVERYTHING, {"items": items}) == "input.items[2].cents: 19.99 is not a whole number (i32)"


ANYTHING = '{"a":[1,2.5,"x\\n",null,true,{}],"big":12345678901234567890,"fine":0.10000000000000000000001,"vast":1e999}'


async def test_values_of_any_kind_keep_every_digit(run: Run) -> None:
    given = {"value": ANYTHING, "obj": ANYTHING, "arr": f"[{ANYTHING}]", "values": f"[{ANYTHING}]", "raw": ANYTHING}
    source = EVERYTHING.replace("return JSON.stringify(", "return JSON.stringify<string>(JSON.stringify(")
    text = ",".join(f'"{field}":{value}' for field, value in given.items())
    written = await run(source.replace("text : input));", "text : input)));"), {"text": f"{{{text}}}"})
    assert isinstance(written, str)
    found = json.loads(written, parse_float=Decimal)
    for field, value in given.items():
        assert found[field] == json.loads(value, parse_float=Decimal)


VALUES = """import { JSON } from "json-as";
@json class Item { n: i32 = 1; }
@json class Input { what: string = ""; value: JSON.Value = JSON.Value.empty(); }
export function handle(input: string): string {
  const given = JSON.parse<Input>(input), value = given.value, what = given.what;
  if (what == "i32") return JSON.stringify(value.get<i32>());
  if (what == "u8") return JSON.stringify(value.get<u8>());
  if (what == "i64") return JSON.stringify(value.get<i64>());
  if (what == "u64") return JSON.stringify(value.as<u64>());
  if (what == "f64") return JSON.stringify(value.get<f64>());
  if (what == "f32") return JSON.stringify(value.get<f32>());
  if (what == "bool") return JSON.stringify(value.get<bool>());
  if (what == "string") return JSON.stringify(value.get<string>());
  if (what == "string?") return JSON.stringify(value.get<string | null>());
  if (what == "Obj") return JSON.stringify(value.get<JSON.Obj>());
  if (what == "Arr") return JSON.stringify(value.get<JSON.Arr>());
  if (what == "list") return JSON.stringify(value.get<JSON.Value[]>());
  if (what == "Item") return JSON.stringify(value.get<Item>());
  if (what == "box") return JSON.stringify(value.asBox<i32>());
  const struct = JSON.Value.from(new Item());
  return `[${struct.get<Item>().n}, ${struct.toString()}, ${JSON.Value.from<i64>(9007199254740993).get<i64>()}]`;
}
"""
HELD = "a JSON.Value that holds"
TAKEN: list[tuple[str, str, object]] = [
    ("i32", "250.0", 250),
    ("i32", "2.5", "$: 2.5 is not a whole number (i32)"),
    ("i32", "3e9", "$: 3000000000 is out of range: i32 holds -2147483648 to 2147483647"),
    ("i32", "true", f"{HELD} true is not a number"),
    ("i32", '"7"', f'{HELD} "7" is not a number'),
    ("i32", "null", f"{HELD} null is not a number"),
    ("u8", "255", 255),
    ("i64", "9007199254740993", 9007199254740993),
    ("u64", "18446744073709551615", 18446744073709551615),
    ("f64", "0.1", 0.1),
    ("f64", "[1]", f"{HELD} [1] is not a number"),
    ("f64", "1e400", "$: 1e400 is too large for f64"),
    ("f32", "0.5", 0.5),
    ("f32", "1e39", "$: 1e+39 is too large for f32"),
    ("bool", "true", True),
    ("bool", "1", f"{HELD} 1 is not true or false"),
    ("string", '"x"', "x"),
    ("string", "5", f"{HELD} 5 is not a string"),
    ("string", "{}", f"{HELD} {{}} is not a string"),
    ("string?", "null", None),
    ("Obj", '{"a":1}', {"a": 1}),
    ("Obj", "[1]", f"{HELD} [1] is not of type JSON.Obj"),
    ("Obj", '"x"', f'{HELD} "x" is not of type JSON.Obj'),
    ("Arr", "[1]", [1]),
    ("Arr", "{}", f"{HELD} {{}} is not of type JSON.Arr"),
    ("list", "[1]", [1]),
    ("Item", '{"n":2}', f'{HELD} {{"n":2}} is not of type Item'),
    ("box", "null", None),
    ("box", "7.0", 7),
    ("", "0", [1, {"n": 1}, 9007199254740993]),
]


@pytest.mark.parametrize(("what", "value", "wanted"), TAKEN)
async def test_a_value_is_taken_as_what_it_is_or_not_at_all(run: Run, what: str, value: str, wanted: object) -> None:
    assert await run(VALUES, f'{{"what":"{what}","value":{value}}}') == wanted


LATER = """import { JSON } from "json-as";
@json class Input { text: string = ""; }
export function handle(input: string): string {
  const text = JSON.parse<Input>(input).text, whole = JSON.parse<JSON.Obj>(text), once = whole.toString();
  const read = JSON.parse<JSON.Obj>(text);
  const list = read.get("list")!.get<JSON.Arr>(), copied = new JSON.Obj();
  copied.set("again", read.get("object")!);
  read.get("object")!.get<JSON.Obj>().set("set", JSON.parse<JSON.Arr>("[1.10]"));
  list.push(list.at(0).get<JSON.Obj>().get("deep")!.get<JSON.Arr>().length);
  return `[${once}, ${read.toString()}, ${copied.toString()}, ${JSON.parse<JSON.Value>(text).get<JSON.Obj>().size}]`;
}
"""


async def test_objects_and_lists_within_a_value_are_read_when_they_are_asked_for(run: Run) -> None:
    deep: object = {"end": [0.5]}
    for level in range(300):
        deep = [deep, level] if level % 2 else {"level": level, "in": deep}
    document: dict[str, Any] = {
        "list": [{"deep": [deep, "\u00e4"]}, []],
        "object": {"a": {"b": [None, {}]}, "": ""},
        "n": 12345678901234567890,
    }
    got = await run(LATER, {"text": json.dumps(document, indent=1)})
    assert isinstance(got, list)
    once, changed, copied, size = got
    assert once == document
    changed_object = {**document["object"], "set": [1.1]}
    assert changed == {**document, "list": [*document["list"], 2], "object": changed_object}
    assert copied == {"again": changed_object}
    assert size == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"obj":{"a":{"b":[1,}]}}}', "$.obj.a.b[1]: this is not JSON: unexpected }]}}} at character 21"),
        ('{"obj":{"a":[["\\x"]]}}', '$.obj.a[0][0]: this is not JSON: unexpected x"]]}} at character 17'),
        ('{"values":[{"a":{"b":01}}]}', "$.values[0].a.b: this is not JSON: unexpected 1}}]} at character 23"),
        ('{"value":{"a":' + "[" * 400 + "]" * 400 + "}}", "JSON is nested more than 400 levels deep"),
    ],
)
async def test_what_is_not_json_is_refused_before_anything_of_it_is_asked_for(run: Run, text: str, words: str) -> None:
    assert await read(run, text) == words


async def test_null_is_found_in_a_list(run: Run) -> None:
    source = """import { JSON } from "json-as";
export function handle(input: string): string {
  const list = JSON.parse<JSON.Arr>("[0,1,null,0,null]");
  const places = `${list.indexOf(null)},${list.lastIndexOf(null)},${list.indexOf(0)},${list.indexOf(2)}`;
  return `[${places},${list.includes(null)}]`;
}
"""
    assert await run(source, {}) == [2, 4, 0, -1, True]


CUSTOM = """import { JSON } from "json-as";
@json class Point {
  constructor(public x: f64, public y: f64) {}
  @serializer("string") serializer(self: Point): string { return JSON.stringify(`${self.x},${self.y}`); }
  @deserializer("string") deserializer(data: string): Point {
    const parts = JSON.parse<string>(data).split(",");
    return new Point(f64.parse(parts[0]), f64.parse(parts[1]));
  }
}
class Bytes extends Uint8Array {}
@json class Input {
  points: Point[] = []; after: string = "";
  @omitif((self: Input) => self.after.length < 3) long: string = "l";
  @omitif("this.after.length < 2") short: string = "s";
}
export function handle(input: string): string {
  const read = JSON.parse<Input>(input);
  const again = JSON.parse<Input>(`{"points":["7,8"]}`, read);
  if (again !== read) throw new Error("not filled in place");
  return JSON.stringify(again);
}
"""


async def test_custom_serializers_conditions_and_objects_to_fill(run: Run) -> None:
    given = {"points": ["1,2.5"], "after": "xy"}
    assert await run(CUSTOM, given) == {"points": ["7.0,8.0"], "after": "xy", "short": "s"}
    message = await run(CUSTOM, {"points": ["1,2", 5]})
    assert message == "input.points[1]: 5 is a number, not a string"


API = r"""
{"first name":"Jairus","lastName":"Tanaka","lastActive":[3,9,2025],"age":18,"pos":{"x":3.4,"y":1.2,"z":8.3},"isVerified":true}
{"first name":"Jairus","lastName":"Tanaka","lastActive":[3,9,2025],"age":18,"pos":{"x":3.4,"y":1.2,"z":8.3},"isVerified":true}
{"name":"J"}
"string"["array"]
a b c d
3.14 true [1,2,3] {"x":1,"y":2,"z":3}
2
{"id":1,"name":"","data":{"key":"value"}}
{"id":1,"name":"","data":42}
{"id":1,"name":"","data":"a string"}
123
null
{"pos":{"x":1.0}}
"a"
{"name":"J","age":null}
{"name":"J","age":18}
{"name":"","owner":{"x":1.5,"y":0,"z":0},"id":3,"tags":["q"],"o":{"x":0,"y":0,"z":2},"r":null}
[7,0]
[1,2]
{"k":1}
{"z":5}
[1,2]
[1,2]
"0a14ff"
3
{"kind":"a","legs":3,"bark":false}
{"animals":[{"kind":"a","legs":4,"bark":true},{"kind":"a","legs":4}]}
{"d":{"n":5}}
{"v":1,"kids":[{"v":2,"kids":[],"next":null}],"next":{"v":3,"kids":[],"next":null}}
{}{}
{"q":1,"z":{"a":1,"b":["x"]}}
{"q":2,"z":{"a":3,"b":[]}}
{"n":1,"s":"t","nul":null,"arr":[1,2],"f":2.5,"p":{"name":"J","age":18},"m":{"pos":{"x":1.0}},"b":true,"big":9007199254740993}
nulltrue1.518446744073709551615"q\"\u0001😀x"
[NaN,Infinity,-Infinity]
"a"41-a--{"k":[]}1["a",null]
{"name":"J","age":18}
{"k":1}
3xtrue1.5
[1]
deep ok"""  # noqa: E501, RUF100


async def test_what_json_as_documents_works(run: Run) -> None:
    source = Path(__file__).with_name("json_as.ts").read_text()
    assert await run(source, {}) == API.strip().split("\n")


@pytest.mark.parametrize(
    ("fields_", "name"),
    [
        ("when: Plain = new Plain();", "Plain"),
        ("\nwhen: Plain[] = [];", "Plain"),
        ("when: Map<string, Plain | null> = new Map();", "Plain"),
        ("when: Map<Plain, i32> = new Map();", "Plain"),
        ("when: () => void = () => {};", "() => void"),
        ("when: Uint8Array | null = null; other: RegExp | null = null;", "RegExp"),
    ],
)
async def test_a_field_that_json_cannot_hold_is_an_error_of_the_compilation(
    toolchain: AssemblyScript, fields_: str, name: str
) -> None:
    source = f"""import {{ JSON }} from "json-as";
class Plain {{ n: i32 = 0; }}
@json class Input {{ {fields_} }}
export function handle(input: string): string {{ return JSON.stringify(JSON.parse<Input>(input)); }}
"""
    outcome = await toolchain.compile(source)
    assert isinstance(outcome, Rejected)
    assert name in outcome.message
    assert f"in function.ts({3 + fields_.count(chr(10))}," in outcome.message


KEYS = """import {{ JSON }} from "json-as";
const NAME = "name";
@json class Base {{ @alias("taken") inherited: i32 = 0; }}
@json class Input extends Base {{
  {}
}}
export function handle(input: string): string {{ return JSON.stringify(JSON.parse<Input>(input)); }}
"""


@pytest.mark.parametrize("argument", ["(NAME)", "(`${NAME}`)", '("a" + "b")', "(7)", "", "()", '("a", "b")'])
async def test_an_alias_that_is_no_string_literal_is_an_error_of_the_compilation(
    toolchain: AssemblyScript, argument: str
) -> None:
    outcome = await toolchain.compile(KEYS.format(f"@alias{argument} field: i32 = 0;"))
    assert isinstance(outcome, Rejected)
    assert "@alias takes one string literal" in outcome.message
    assert "in function.ts(5,3)" in outcome.message


@pytest.mark.parametrize(
    "fields_",
    [
        '@alias("b") a: i32 = 0;\n  b: i32 = 0;',
        '@alias("x") a: i32 = 0;\n  @alias("x") b: i32 = 0;',
        "a: i32 = 0;\n  taken: i32 = 0;",
    ],
)
async def test_two_fields_of_one_key_are_an_error_of_the_compilation(toolchain: AssemblyScript, fields_: str) -> None:
    outcome = await toolchain.compile(KEYS.format(fields_))
    assert isinstance(outcome, Rejected)
    assert "have the same key" in outcome.message
    assert "in function.ts(6," in outcome.message


async def test_an_alias_may_be_a_template_literal_without_substitutions(run: Run) -> None:
    assert await run(KEYS.format("@alias(`first\\tname`) field: i32 = 0;"), {"first\tname": 7}) == {
        "taken": 0,
        "first\tname": 7,
    }


HOLES = """import { JSON } from "json-as";
@json class Point { x: i32 = 1; }
@json class Lists { points: Point[] = new Array<Point>(2); }
class Plain { n: i32 = 0; }
export function handle(input: string): string {
  const texts = new Array<string>(2);
  texts[1] = "a";
  const map = new Map<string, Point>();
  map.set("k", changetype<Point>(0));
  return "[" + [
    JSON.stringify(new Array<Point>(2)), JSON.stringify(new StaticArray<Point>(2)), JSON.stringify(new Array<Date>(1)),
    JSON.stringify(new Array<i32[]>(1)), JSON.stringify(texts), JSON.stringify(new Array<JSON.Value>(1)),
    JSON.stringify(new Array<Map<string, i32>>(1)), JSON.stringify(new Array<JSON.Raw>(1)), JSON.stringify(map),
    JSON.stringify(new Lists()), JSON.stringify(JSON.Value.from(new Array<Point>(1))),
  ].join(",") + "]";
}
"""


async def test_a_hole_in_a_list_is_written_as_null(run: Run) -> None:
    lists = [[None] * 2, [None] * 2, [None], [None], [None, "a"], [None], [None], [None], {"k": None}]
    assert await run(HOLES, {}) == [*lists, {"points": [None, None]}, [None]]


DERIVED = """import { JSON } from "json-as";
class Plain { p: i32 = 1; }
@json class Base extends Plain { b: i32 = 2; }
@json class Middle extends Base { m: i32 = 3; }
@json class Custom extends Middle { @serializer toText(): string { return '"custom"'; } }
@json class Below extends Custom { @omit l: i32 = 4; }
@json class Other extends Base { o: i32 = 5; @serializer toText(self: Other): string { return `[${self.o}]`; } }
export function handle(input: string): string {
  const bases: Base[] = [new Base(), new Middle(), new Custom(), new Below(), new Other()];
  const plains: Plain[] = [new Plain(), new Custom()];
  return `[${JSON.stringify(bases)},${JSON.stringify(plains)},${JSON.stringify<Middle>(new Below())}]`;
}
"""


async def test_a_serializer_of_a_derived_class_is_called_where_its_base_is_written(run: Run) -> None:
    base, middle = {"p": 1, "b": 2}, {"p": 1, "b": 2, "m": 3}
    assert await run(DERIVED, {}) == [[base, middle, "custom", "custom", [5]], [{"p": 1}, "custom"], "custom"]


ENDLESS = """import { JSON } from "json-as";
@json class Side { n: i32 = 1; }
@json class Other { side!: Side; back!: Input; }
@json class Input { side!: Side; next!: Other; }
export function handle(input: string): string {
  return JSON.stringify(JSON.parse<Input>(input));
}
"""


async def test_a_class_that_holds_itself_without_end_has_no_default_value(run: Run) -> None:
    message = await run(ENDLESS, {"x": 9})
    assert isinstance(message, str)
    assert re.match(r"(Input|Other) has no default value: it would hold another of itself without end", message)
    assert "| null" in message


@pytest.mark.parametrize("key", ["1.", "-", ".", "1e", "", "a", "1 "])
async def test_a_key_that_is_not_a_number_is_refused_in_a_map_of_numbers(run: Run, key: str) -> None:
    message = await read(run, f'{{"byNumber":{{"{key}":"x"}}}}')
    assert isinstance(message, str)
    assert message.startswith("$.byNumber")
    assert message.endswith(f': the key "{key}" is not a number (i32)')


async def test_a_number_that_is_the_key_of_two_members_is_refused(run: Run) -> None:
    message = await read(run, '{"byNumber":{"1":"x","1.0":"y"}}')
    assert message == '$.byNumber["1.0"]: the key 1 is in this object twice'


NAMESPACES = """import {{ JSON }} from "json-as";
@json class Point {{ top: i32 = 0; }}
namespace A {{
  @json export class Point {{ a: i32 = 1; }}
  @json export class Far extends Point {{ far: i32 = 2; }}
  export namespace Inner {{ @json export class Near extends Point {{ near: i32 = 3; }} }}
}}
namespace B {{
  @json export class Point {{ b: i32 = 4; }}
  @json export class Own extends Point {{ own: i32 = 5; }}
  @json export class Other extends A.Point {{ other: i32 = 6; }}
}}
@json class Input extends Point {{
  a: A.Point = new A.Point(); b: B.Point = new B.Point(); far: A.Far = new A.Far(); own: B.Own = new B.Own();
  near: A.Inner.Near = new A.Inner.Near(); other: B.Other = new B.Other();
}}
export function handle(input: string): string {{
  return {}.stringify({}.parse<Input>(input));
}}
"""


async def test_classes_of_one_name_in_two_namespaces_are_told_apart(run: Run) -> None:
    assert await run(NAMESPACES.format("JSON", "JSON"), {"b": {"b": 9}, "near": {"a": 7}}) == {
        "top": 0, "a": {"a": 1}, "b": {"b": 9}, "far": {"a": 1, "far": 2}, "own": {"b": 4, "own": 5},
        "near": {"a": 7, "near": 3}, "other": {"a": 1, "other": 6},
    }  # fmt: skip


async def test_the_library_may_be_imported_as_a_namespace(run: Run) -> None:
    source = KEYS.format("n: i32 = 1;").replace("{ JSON }", "* as J").replace("JSON.", "J.JSON.")
    assert await run(source, {"n": 2}) == {"taken": 0, "n": 2}


SIZES = """import { JSON as Json } from "json-as";
@json class Input { size: usize = 0; }
function written<T>(value: T): string { return Json.stringify(value); }
export function handle(input: string): string {
  const size = Json.parse<Input>(input).size, none: Input | null = null;
  return `[${Json.stringify<usize>(0)},${Json.stringify(size)},${Json.Value.from<usize>(0)},` +
    `${Json.Value.from(size)},${Json.Value.from(new Json.Box<usize>(0))},${Json.stringify(null)},` +
    `${Json.Value.from(null)},${written(none)},${Json.stringify<Input | null>(null)}]`;
}
"""


async def test_a_size_of_zero_is_a_number_and_null_is_null(run: Run) -> None:
    assert await run(SIZES, {}) == [0, 0, 0, 0, 0, None, None, None, None]
