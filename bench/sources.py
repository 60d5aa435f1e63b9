"""The functions that are measured, beside those that the tests have already."""

from pathlib import Path

_FOLDER = Path(__file__).parent
_EXAMPLES = _FOLDER.parent / "examples"

JSON_AS = (_EXAMPLES / "hello" / "function.ts").read_text()
CPU_BOUND = (_FOLDER / "functions" / "cpu.ts").read_text()


def of_lines(count: int) -> str:
    """A source of so many lines: small functions that call one another, and a handle that calls the last."""
    lines = ["function step0(n: i32): i32 { return n + 1; }"]
    nth = 1
    while len(lines) + 6 <= count - 3:
        lines += [
            f"function step{nth}(n: i32): i32 {{",
            f"  let sum: i32 = step{nth - 1}(n) ^ {nth};",
            f"  for (let i = 0; i < (n & {nth % 7 + 1}); i++) {{",
            f"    if (i % {nth % 5 + 2} == 0) sum += i * {nth}; else sum -= n;",
            "  }",
            "  return sum; }",
        ]
        nth += 1
    lines += ["// nothing here"] * (count - 3 - len(lines))
    lines += [
        "export function handle(input: string): string {",
        f'  return "{{\\"n\\":" + step{nth - 1}(input.length).toString() + "}}";',
        "}",
    ]
    return "\n".join(lines) + "\n"
