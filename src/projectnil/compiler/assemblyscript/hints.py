"""What to do about the compiler's messages that people meet most. docs/writing-functions.md has the same table."""

import re
from functools import cache

import msgspec


class Hint(msgspec.Struct, frozen=True):
    """message: a part of the compiler's, with `...` for anything. advice: for people.

    at: what the line of source that the message shows must contain.
    """

    message: str
    advice: str
    at: str = ""


# The first that fits a message is shown with it.
HINTS = (
    Hint("export function handle(input: string): string is missing", "export it, with this name and these types"),
    Hint("handle must be a function", "write `export function handle`, not a constant or a class of this name"),
    Hint("Not implemented: Exceptions", "there is no `try` and `catch`: test before you act, or `throw`"),
    Hint(
        "Not implemented: Closures",
        "a function inside a function cannot use its variables: pass them, or declare them at the top level",
    ),
    Hint(
        "Variable '...' is used before being assigned",
        "inside another function this is a closure, which does not exist: pass the variable, or declare it at the top "
        "level; elsewhere, give it a value first",
    ),
    Hint("Not implemented: Iterators", "no `for ... of`: count with `for (let i = 0; i < list.length; i++)`"),
    Hint("'const' declarations must be initialized", "no `for ... in`: a `Map` has `keys()`", "for"),
    Hint("Not implemented: Spread operator", "no `...`: use `concat` or `push`"),
    Hint(
        "Not implemented: union types",
        "only `T | null` exists, and no `undefined`; for text or number, read the input as JSON of any shape",
    ),
    Hint("Not implemented: Regular expressions", "use `indexOf`, `split`, `replaceAll` or `charCodeAt`"),
    Hint("Not implemented: Interface hidden classes", "make the interface a class, with a default for each field"),
    Hint("Type '<object>' is not assignable to type 'auto'", "an object needs a class: `const p: Point = { x: 1 }`"),
    Hint(
        "Type '... | null' is not assignable to type '...'",
        "put the value into a `const`, test that for null, then use it",
    ),
    Hint(
        "Type '~lib/string/String' is not assignable to type 'i64'",
        "`new Date` takes milliseconds since 1970; for text, use `Date.fromString(text)`",
        "Date",
    ),
    Hint("Expected 1 arguments, but got 0", "for the present, use `new Date(Date.now())`", "new Date"),
    Hint(
        "Type '~lib/string/String' is not assignable to type 'i32'",
        "use `JSON.parse<i32>(text)` for a number in text; the members of an enum are whole numbers",
    ),
    Hint(
        "Type '...' is not assignable to type '~lib/string/String'",
        "make text of it: `value.toString()`, or `JSON.stringify(value)`",
    ),
    Hint("Conversion from type 'f64' to 'i32' requires an explicit cast", "`<i32>value`, which cuts off a fraction"),
    Hint("Type argument expected", "say of which type: `JSON.parse<Input>(input)`, `new Map<string, i32>()`"),
    Hint(
        "Property 'toFixed' does not exist",
        "count in the smallest unit, as `i64`; or `(Math.round(x * 100) / 100).toString()`, without zeros at the end",
    ),
    Hint("Property 'find' does not exist", "use `findIndex`, and then the index"),
    Hint("Property 'keys' does not exist on type '~lib/object/Object'", "use a `Map`, or `JSON.Obj`"),
    Hint("Cannot find name 'JSON'", '`import { JSON } from "json-as";`'),
    Hint("Cannot find name 'atob'", "there is no base64 in the library: write it yourself, or send the text as it is"),
    Hint("Cannot find name 'fetch'", "a function has no network: send what it needs with the input"),
    Hint("Cannot find name 'setTimeout'", "a function has no timers"),
    Hint("Cannot find name 'Promise'", "a function waits for nothing: return the value itself"),
    Hint("Cannot find name 'any'", "each value has one type; for JSON of any shape there is `JSON.Obj`"),
    Hint("Cannot find name 'undefined'", "use `null`"),
    Hint("Optional properties are not supported", 'give it a default: `name: string = ""`, or `string | null = null`'),
    Hint("Optional parameter must have an initializer", 'give it a default: `function greet(name: string = "you")`'),
    Hint("... has no initializer and is not assigned", 'give the field a default: `name: string = ""`'),
    Hint("'{' expected", "no `async` function: leave the word out, and return the text itself", "async"),
    Hint("Expression expected", "`async`, `await`, `?.` and `??` do not exist"),
    Hint("Identifier expected", "no destructuring: `const a = list[0];`"),
    Hint("Type expected", "each parameter and each result needs its type: `(a: i32): i32`"),
    Hint("must return a value", "every way through the function has to end with `return`"),
    Hint("File '...' not found", "nothing but json-as can be imported"),
)  # fmt: skip


def with_hints(message: str) -> str:
    """The compiler's message with a hint below each part that one is known for, each hint once."""
    shown: set[Hint] = set()
    parts = []
    for part in message.split("\n\n"):
        hint = next((each for each in HINTS if _fits(each, part)), None)
        if hint is not None and hint not in shown:
            shown.add(hint)
            parts.append(f"{part.rstrip()}\n   hint: {hint.advice}")
        else:
            parts.append(part)
    return "\n\n".join(parts)


def _fits(hint: Hint, part: str) -> bool:
    first, _, excerpt = part.lstrip().partition("\n")
    return first.startswith("ERROR") and _pattern(hint.message).search(first) is not None and hint.at in excerpt


@cache
def _pattern(message: str) -> re.Pattern[str]:
    return re.compile(".*?".join(map(re.escape, message.split("..."))))
