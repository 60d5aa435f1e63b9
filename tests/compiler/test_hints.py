"""Each hint beside the message of the real compiler that it is for."""

import pytest

from projectnil.compiler.assemblyscript.hints import HINTS, Hint, with_hints
from projectnil.compiler.assemblyscript.toolchain import AssemblyScript
from projectnil.domain.compilation import Compiled, Rejected

in_session = pytest.mark.asyncio(loop_scope="session")


def handle(body: str, before: str = "") -> str:
    return f"{before}\nexport function handle(input: string): string {{\n  {body}\n}}\n"


ONE = 'return "1";'
JSON = 'import { JSON } from "json-as";'

# One source for each hint, in their order; several for those that people come to in several ways.
SOURCES: dict[str, list[str]] = {
    "export function handle(input: string): string is missing": ["export function run(): void {}"],
    "handle must be a function": ["export const handle = (input: string): string => input;"],
    "Not implemented: Exceptions": [handle('try { return "1"; } catch (e) { return "2"; }')],
    "Not implemented: Closures": [
        handle("let n = 0; [1].forEach((x) => { n += x; }); return n.toString();"),
        handle("return [1].map<i32>((x) => x + input.length).toString();"),
    ],
    "Variable '...' is used before being assigned": [
        handle("let n = 1; function inner(): i32 { return n; } return inner().toString();"),
    ],
    "Not implemented: Iterators": [handle("let n = 0; for (const x of [1]) n += x; return n.toString();")],
    "'const' declarations must be initialized": [handle(f"for (const key in [1]) {{}} {ONE}")],
    "Not implemented: Spread operator": [handle("return [...[1], 2].toString();")],
    "Not implemented: union types": [
        handle(f"let x: string | number = 1; {ONE}"),
        handle(f"let x: string | undefined = null; {ONE}"),
    ],
    "Not implemented: Regular expressions": [handle('return input.replace(/a/, "b");')],
    "Not implemented: Interface hidden classes": [
        handle(f"const p: P = {{ x: 1 }}; {ONE}", "interface P { x: i32; }"),
    ],
    "Type '<object>' is not assignable to type 'auto'": [handle(f"const p = {{ x: 1 }}; {ONE}")],
    "Type '... | null' is not assignable to type '...'": [
        handle(f"const p = new P(); if (p.n != null) return p.n; {ONE}", "class P { n: string | null = null; }"),
        handle("let s: string = null; return s;"),
    ],
    "Type '~lib/string/String' is not assignable to type 'i64'": [
        handle('return new Date("2026-11-21").toISOString();'),
    ],
    "Expected 1 arguments, but got 0": [handle("return new Date().toISOString();")],
    "Type '~lib/string/String' is not assignable to type 'i32'": [
        handle("const n: i32 = input; return n.toString();"),
        handle(ONE, 'enum Colour { Red = "red" }\nlet c = Colour.Red;'),
    ],
    "Type '...' is not assignable to type '~lib/string/String'": [
        handle("return 5;"),
        handle('return "a" + input.length;'),
        handle(f"console.log(1.5); {ONE}"),
    ],
    "Conversion from type 'f64' to 'i32' requires an explicit cast": [
        handle("const x: f64 = 1.5; const y: i32 = x; return y.toString();"),
        handle("const y: i32 = parseInt(input); return y.toString();"),
    ],
    "Type argument expected": [
        handle(f"const a = JSON.parse(input); {ONE}", JSON),
        handle(f"const m = new Map(); {ONE}"),
    ],
    "Property 'toFixed' does not exist": [handle("const x: f64 = 1.5; return x.toFixed(2);")],
    "Property 'find' does not exist": [handle("return [1].find((x) => x > 1).toString();")],
    "Property 'keys' does not exist on type '~lib/object/Object'": [handle("return Object.keys(input).join();")],
    "Cannot find name 'JSON'": [handle("return JSON.stringify(input);")],
    "Cannot find name 'atob'": [handle("return atob(input);")],
    "Cannot find name 'fetch'": [handle("return fetch(input);")],
    "Cannot find name 'setTimeout'": [handle(f"setTimeout(() => {{}}, 10); {ONE}")],
    "Cannot find name 'Promise'": [handle(f"const p = new Promise<i32>(() => {{}}); {ONE}")],
    "Cannot find name 'any'": [handle(f"let x: any = 1; {ONE}")],
    "Cannot find name 'undefined'": [handle("return input == undefined ? input : input;")],
    "Optional properties are not supported": [handle(ONE, "class P { name?: string; }")],
    "Optional parameter must have an initializer": [
        handle("return f();", "function f(a?: string): string { return a; }")
    ],
    "... has no initializer and is not assigned": [handle("return new P().s;", "class P { s: string; }")],
    "'{' expected": ["export async function handle(input: string): Promise<string> { return input; }"],
    "Expression expected": [
        handle("return input?.toString();"),
        handle('return input ?? "x";'),
        handle("return await input;"),
        handle(f"const f = async () => 1; {ONE}"),
    ],
    "Identifier expected": [handle("const [a, b] = [1, 2]; return a.toString();"), handle("const { a } = input;")],
    "Type expected": [
        handle(ONE, "function add(a, b) { return a + b; }"),
        "export function handle(input: string) { return input; }",
    ],
    "must return a value": [handle('if (input == "a") return input;')],
    "File '...' not found": [handle(ONE, 'import * as fs from "fs";')],
}


def test_every_hint_has_a_source() -> None:
    assert list(SOURCES) == [hint.message for hint in HINTS]


@in_session
@pytest.mark.parametrize("hint", HINTS, ids=lambda hint: hint.message)
async def test_a_hint_stands_below_the_message_of_the_compiler(toolchain: AssemblyScript, hint: Hint) -> None:
    for source in SOURCES[hint.message]:
        outcome = await toolchain.compile(source)
        assert isinstance(outcome, Rejected), source
        assert outcome.message.startswith("ERROR")
        assert f"\n   hint: {hint.advice}\n" in f"{outcome.message}\n", outcome.message


@in_session
async def test_the_advice_compiles(toolchain: AssemblyScript) -> None:
    source = handle(
        """
  const x: f64 = 2.345;
  const cents = (Math.round(x * 100) / 100).toString();
  const at = [1, 2].findIndex((each) => each > 1);
  const day = Date.fromString("2026-11-21").toISOString();
  const now = new Date(Date.now()).toISOString();
  const n: i32 = JSON.parse<i32>("12") + <i32>x;
  return `${cents} ${at} ${day} ${now} ${n} ${greet()}`;""",
        'import { JSON } from "json-as"; function greet(name: string = "you"): string { return name; }',
    )
    assert isinstance(await toolchain.compile(source), Compiled)


def test_a_hint_is_shown_once_and_other_text_stays_as_it_is() -> None:
    part = "ERROR TS1140: Type argument expected.\n   :\n 1 | new Map()\n"
    shown = with_hints(f"WARNING AS1: Type argument expected.\n\n{part}\n\n{part}\nFAILURE 2 parse error(s)")
    assert shown.count("hint: ") == 1
    assert shown.replace(f"   hint: {HINTS[18].advice}\n", "").count("Type argument expected") == 3
    assert shown.endswith("FAILURE 2 parse error(s)")
