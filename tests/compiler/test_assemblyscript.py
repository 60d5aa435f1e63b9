"""AssemblyScript on the real Node and asc: what compiles, what is rejected, and in which words."""

import random
import re

import pytest

from projectnil.compiler.assemblyscript.toolchain import AssemblyScript
from projectnil.compiler.messages import MESSAGE_BYTES
from projectnil.domain.compilation import Compiled, Crashed, Rejected
from tests.support.asc import without_lines

from .conftest import EXAMPLES, FreshCompiler

pytestmark = pytest.mark.asyncio(loop_scope="session")

ECHO = "export function handle(input: string): string { return input; }"
HANDLE = "export function handle(input: string): string"


def json_function(fields: str, expression: str) -> str:
    return f"""import {{ JSON }} from "json-as";
@json
class Data {{ {fields} }}
{HANDLE} {{
  const data = JSON.parse<Data>(input);
  return JSON.stringify({expression});
}}
"""


# Classes of the same names with other fields, alone and nested: what one leaves behind would show in the next.
SHAPES = [
    *((EXAMPLES / name / "function.ts").read_text() for name in ("hello", "add")),
    """import { JSON } from "json-as";
type Id = string;
@json
class Input { id: Id = ""; inner: Output = new Output(); }
@json
class Output { id: i64 = 0; }
export function handle(input: string): string { return JSON.stringify(JSON.parse<Input>(input).inner); }
""",
    """import { JSON } from "json-as";
type Id = i32;
@json
class Output { id: Id = 1; map: Map<string, Id> = new Map(); }
export function handle(input: string): string { return JSON.stringify(JSON.parse<Output>(input)); }
""",
]
BROKEN = [
    json_function("name: Missing = 0;", "data"),
    "export function handle(input: string): string {",
    "export function other(): void {}",
    json_function('@json({ lazy: "odd" }) name: string = "";', "dat"),
]


async def wasm_of(toolchain: AssemblyScript, source: str) -> bytes:
    outcome = await toolchain.compile(source)
    assert isinstance(outcome, Compiled), outcome
    return outcome.wasm


async def message_of(toolchain: AssemblyScript, source: str) -> str:
    outcome = await toolchain.compile(source)
    assert isinstance(outcome, Rejected | Crashed), "it compiled"
    return outcome.message


# A small one, a large one and one with much JSON: a fresh asc takes seconds for each.
@pytest.mark.parametrize("example", ["hello", "order-total", "markdown"])
async def test_an_example_compiles_to_the_bytes_of_a_fresh_asc(
    toolchain: AssemblyScript, fresh_asc: FreshCompiler, example: str
) -> None:
    source = (EXAMPLES / example / "function.ts").read_text()
    assert without_lines(await wasm_of(toolchain, source)) == fresh_asc(source)


async def test_no_compilation_leaves_a_trace_in_the_next(toolchain: AssemblyScript, fresh_asc: FreshCompiler) -> None:
    order = random.Random(20)  # noqa: S311 # the same orders each time
    for _ in range(20):
        await toolchain.compile(order.choice(BROKEN))
        source = order.choice(SHAPES)
        assert without_lines(await wasm_of(toolchain, source)) == fresh_asc(source)


async def test_a_module_carries_no_path_of_the_server(toolchain: AssemblyScript) -> None:
    source = f'{HANDLE} {{ throw new Error("no"); }}'
    wasm = await wasm_of(toolchain, source)
    assert "function.ts".encode("utf-16-le") in wasm
    assert "/function.ts".encode("utf-16-le") not in wasm


async def test_an_error_is_shown_where_the_user_made_it(toolchain: AssemblyScript) -> None:
    message = await message_of(toolchain, f"\n\n{HANDLE} {{\n  return 1;\n}}\n")
    assert "ERROR TS2322: Type 'i32' is not assignable to type '~lib/string/String'." in message
    assert "in function.ts(4,10)" in message


async def test_an_error_in_a_json_class_is_shown_where_the_user_made_it(toolchain: AssemblyScript) -> None:
    message = await message_of(toolchain, json_function("\n  name: Missing = new Missing();\n", "data"))
    assert "Cannot find name 'Missing'" in message
    assert "in function.ts(4,9)" in message


async def test_every_error_is_listed(toolchain: AssemblyScript) -> None:
    message = await message_of(toolchain, f"{HANDLE} {{ let a: i32 = missing; return other; }}")
    assert "Cannot find name 'missing'" in message
    assert "Cannot find name 'other'" in message


@pytest.mark.parametrize("source", BROKEN)
async def test_a_message_has_no_colours_and_no_path(toolchain: AssemblyScript, source: str) -> None:
    message = await message_of(toolchain, source)
    assert "\x1b" not in message
    assert not re.search(r"(?:^|[\s'\"(])/|file:", message), message


async def test_a_huge_message_is_cut(toolchain: AssemblyScript) -> None:
    lines = "\n".join(f"missing{n}();" for n in range(2000))
    message = await message_of(toolchain, f"{lines}\n{ECHO}")
    assert len(message.encode()) <= MESSAGE_BYTES
    assert message.endswith("bytes more")


async def test_warnings_about_the_users_own_code_come_with_the_module(toolchain: AssemblyScript) -> None:
    source = (
        f"{HANDLE} {{\n  let wide: usize = input.length;\n  let narrow: u32 = wide;\n  return narrow.toString();\n}}"
    )
    outcome = await toolchain.compile(source)
    assert isinstance(outcome, Compiled)
    assert "WARNING AS201" in outcome.diagnostics
    assert "in function.ts(3,21)" in outcome.diagnostics


async def test_warnings_about_the_libraries_are_kept_from_the_user(toolchain: AssemblyScript) -> None:
    outcome = await toolchain.compile((EXAMPLES / "flatten" / "function.ts").read_text())
    assert outcome == Compiled(outcome.wasm if isinstance(outcome, Compiled) else b"", "")


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd",
        "/etc/passwd",
        "./function.wasm",
        "../node_modules/assemblyscript/std/assembly/array",
        "./node_modules/../../function",
        "assemblyscript/std/assembly/array",
        "~lib/../../../../../../../../etc/passwd",
        "json-as/../../package",
        pytest.param("json-as/" + "a" * 300, id="a name longer than the file system allows"),
        pytest.param("json-as/" + "a/" * 3_000, id="a path longer than the kernel allows"),
        pytest.param("json-as/\\0x", id="NUL"),
        pytest.param("json-as/\\ud800", id="a lone surrogate"),
        "json-as/index.ts/x",
        "xjb-as/LICENSE",
    ],
)
async def test_a_source_cannot_read_files_of_the_machine(toolchain: AssemblyScript, path: str) -> None:
    message = await message_of(toolchain, f'import {{ x }} from "{path}";\n{HANDLE} {{ return x; }}')
    assert re.search(r"ERROR TS6054: File '.*' not found", message)


async def test_a_reference_comment_reads_no_file(toolchain: AssemblyScript, fresh_asc: FreshCompiler) -> None:
    await wasm_of(toolchain, f'/// <reference path="/etc/passwd" />\n{ECHO}')


async def test_a_source_may_import_the_parts_of_json_as(toolchain: AssemblyScript) -> None:
    await wasm_of(
        toolchain, f'import {{ JSON as J }} from "json-as/assembly";\n{HANDLE} {{ return J.stringify(input); }}'
    )


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("export function other(): void {}", f"{HANDLE} is missing"),
        ("function handle(input: string): string { return input; }", f"{HANDLE} is missing"),
        ("const x = 1;", f"{HANDLE} is missing"),
        ("export const handle = 1;", "handle must be a function"),
        ("export function handle<T>(input: T): T { return input; }", "handle must be a function"),
        ("export class handle {}", "handle must be a function"),
        ("export function handle(input: i32): i32 { return input; }", "it is (i32) => i32"),
        ('export function handle(): string { return ""; }', "it is () => string"),
        ('export function handle(input: string = ""): string { return input; }', "it is (string?) => string"),
        ("export function handle(input: string): string | null { return null; }", "it is (string) => string | null"),
        ("export function handle(input: string): void {}", "it is (string) => void"),
    ],
)
async def test_a_source_without_a_proper_handle_is_told_what_is_missing(
    toolchain: AssemblyScript, source: str, problem: str
) -> None:
    assert problem in await message_of(toolchain, source)


@pytest.mark.parametrize(
    "source",
    [
        "function run(input: string): string { return input; }\nexport { run as handle };",
        f"{ECHO}\nexport function helper(): i32 {{ return 1; }}",
        f"/* \N{FOX FACE} \N{LATIN SMALL LETTER E WITH ACUTE} */ {ECHO}",
        f"\N{BYTE ORDER MARK}{ECHO}",
        ECHO.replace("{ ", "{\r\n"),
    ],
)
async def test_unusual_but_right_sources_compile(toolchain: AssemblyScript, source: str) -> None:
    await wasm_of(toolchain, source)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "}",
        "\\",
        "`${",
        '"',
        "/*",
        "\x01\x02",
        "@json",
        "class",
        "import",
        "\N{FOX FACE}",
        "<html></html>",
        "{}" * 500,
    ],
)
async def test_nonsense_is_rejected_with_a_message(toolchain: AssemblyScript, source: str) -> None:
    assert await message_of(toolchain, source)


@pytest.mark.parametrize(
    "body", ["return " + "(" * 20_000 + "input" + ")" * 20_000 + ";", "{" * 3_000 + "}" * 3_000 + "return input;"]
)
async def test_a_source_that_crashes_the_compiler_is_rejected_and_the_next_one_compiles(
    toolchain: AssemblyScript, fresh_asc: FreshCompiler, body: str
) -> None:
    message = await message_of(toolchain, f"{HANDLE} {{ {body} }}")
    assert "the AssemblyScript compiler crashed on this source" in message
    assert "nested too deeply" in message
    assert without_lines(await wasm_of(toolchain, SHAPES[0])) == fresh_asc(SHAPES[0])
