"""Numbers as text: reading is what Python's float() does, writing comes back as the same number.

Also the corrections of asc's standard library, each compared with an asc that lacks it.
"""

import math
import random
import struct
from pathlib import Path

import pytest

from tests.support.asc import compile_fresh
from tests.support.guest import Guest

from .conftest import Run

pytestmark = pytest.mark.asyncio(loop_scope="session")

DECADES = range(-320, 309)
EACH_DECADE = 200
AT_ONCE = 15_000

# The bits of each text's number, in hexadecimal, if all ways to read it agree.
READING = """import { JSON } from "json-as";
@json class Input { texts: string[] = []; }
@json class Field { f: f64 = 0; }
function bits(n: f64): string { return reinterpret<u64>(n).toString(16); }
export function handle(input: string): string {
  const texts = JSON.parse<Input>(input).texts;
  const list = JSON.parse<f64[]>("[" + texts.join(",") + "]");
  const members: string[] = [];
  for (let i = 0; i < texts.length; i++) members.push(`"k${i}":${texts[i]}`);
  const map = JSON.parse<Map<string, f64>>("{" + members.join(",") + "}");
  const any = JSON.parse<JSON.Arr>("[" + texts.join(",") + "]");
  const out: string[] = [];
  for (let i = 0; i < texts.length; i++) {
    const text = texts[i];
    const read = bits(list[i]);
    const obj = JSON.parse<JSON.Obj>(`{"f":${text}}`);
    const ways = [
      bits(parseFloat(text)), bits(F64.parseFloat(text)), bits(f64.parse(text)), bits(JSON.parse<f64>(text)),
      bits(map.get(`k${i}`)), bits(any.at(i).get<f64>()), bits(obj.get("f")!.get<f64>()), bits(obj.getAs<f64>("f")),
      bits(JSON.parse<Field>(`{"f":${text}}`).f), bits(JSON.parse<JSON.Box<f64>>(text).value),
    ];
    for (let w = 0; w < ways.length; w++) if (ways[w] != read) throw new Error(`${text}, way ${w}: ${ways[w]}`);
    out.push(read);
  }
  return JSON.stringify(out);
}
"""
READING_F32 = """import { JSON } from "json-as";
@json class Input { texts: string[] = []; }
export function handle(input: string): string {
  const texts = JSON.parse<Input>(input).texts;
  const out: u32[] = [];
  for (let i = 0; i < texts.length; i++) {
    const read = reinterpret<u32>(JSON.parse<f32>(texts[i]));
    if (read != reinterpret<u32>(f32.parse(texts[i]))) throw new Error(texts[i]);
    out.push(read);
  }
  return JSON.stringify(out);
}
"""
WRITING = """import { JSON } from "json-as";
@json class Input { bits: u64[] = []; }
@json class Output { json: f64[] = []; text: string[] = []; json32: f32[] = []; text32: string[] = []; }
export function handle(input: string): string {
  const bits = JSON.parse<Input>(input).bits, output = new Output();
  for (let i = 0; i < bits.length; i++) {
    const number = reinterpret<f64>(bits[i]), narrow = reinterpret<f32>(<u32>bits[i]);
    output.json.push(number);
    output.text.push(number.toString());
    output.json32.push(isFinite(narrow) ? narrow : 0);
    output.text32.push(isFinite(narrow) ? narrow.toString() : "0");
  }
  return JSON.stringify(output);
}
"""


def bits_of(number: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", number))[0])


def number_of(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


def narrow_of(bits: int) -> float:
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def rounded_to_f32(number: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


def in_every_decade() -> list[str]:
    chance = random.Random(38)  # noqa: S311 # the same numbers each time
    texts = []
    for decade in DECADES:
        for _ in range(EACH_DECADE):
            # As Python spells it, or with all digits of the fraction that was drawn.
            text = f"{chance.uniform(1, 10)!r}e{decade}"
            if not math.isinf(float(text)):
                texts.append(chance.choice([repr(float(text)), text, text.replace("e", "1234567e").replace("e", "E")]))
    return texts


def midpoint(lower: float, upper: float) -> str:
    """All digits of the number halfway between two."""
    (a, b), (c, d) = lower.as_integer_ratio(), upper.as_integer_ratio()
    numerator, denominator = a * d + c * b, 2 * b * d
    twos = denominator.bit_length() - 1
    return f"{numerator * 5**twos}e-{twos}"


def around(tie: str) -> list[str]:
    digits, _, exponent = tie.partition("e")
    above, below = f"{digits}1e{int(exponent) - 1}", f"{int(digits) - 1}e{exponent}"
    far_above = f"{digits}{'0' * 800}1e{int(exponent) - 801}"
    return [tie, above, below, far_above, f"-{tie}"]


def halfway_cases() -> list[str]:
    chance = random.Random(7)  # noqa: S311 # the same numbers each time
    bits = [chance.getrandbits(62) for _ in range(100)] + [chance.getrandbits(n) for n in range(1, 53)] + [0, 1]
    finite = [n for n in bits if math.isfinite(number_of(n + 1))]
    return [text for n in finite for text in around(midpoint(number_of(n), number_of(n + 1)))]


ODD = ["0", "-0", "0.0", "-0e5", "1e-400", "4.9e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "1e23"]
ODD += ["1.7976931348623157e308", "9007199254740993", "0.1", "1" + "0" * 400 + "e-400", "0." + "0" * 400 + "1e400"]
ODD += ["1.9102944168861843e+41", "179769313486231570000000000000000000000e270", "123456789012345678901234567890"]


async def test_a_number_is_read_as_python_reads_it_whichever_way(run: Run) -> None:
    texts = in_every_decade() + halfway_cases() + ODD
    for first in range(0, len(texts), AT_ONCE):
        some = texts[first : first + AT_ONCE]
        read = await run(READING, {"texts": some})
        assert isinstance(read, list), read
        wrong = [text for text, bits in zip(some, read, strict=True) if int(bits, 16) != bits_of(float(text))]
        assert not wrong, wrong[:5]


async def test_an_f32_is_rounded_once(run: Run) -> None:
    chance = random.Random(32)  # noqa: S311 # the same numbers each time
    bits = [chance.getrandbits(n % 30 + 1) for n in range(300)]
    pairs = [(narrow_of(n), narrow_of(n + 1)) for n in bits]
    wanted = [n + (n & 1) for n in bits], [n + 1 for n in bits], bits
    texts = [around(midpoint(*pair))[:3] for pair in pairs]
    for place in range(3):
        assert await run(READING_F32, {"texts": [three[place] for three in texts]}) == wanted[place]


async def test_a_number_that_is_written_comes_back(run: Run) -> None:
    chance = random.Random(64)  # noqa: S311 # the same numbers each time
    numbers = [number_of(chance.getrandbits(64)) for _ in range(4_000)]
    numbers += [round(chance.uniform(-1e6, 1e6), places % 8) for places in range(2_000)]
    numbers += [float(chance.randrange(10 ** (digits % 25 + 1))) for digits in range(2_000)]
    finite = [number for number in numbers if math.isfinite(number)]
    for first in range(0, len(finite), AT_ONCE):
        some = finite[first : first + AT_ONCE]
        written = await run(WRITING, {"bits": [bits_of(number) for number in some]})
        assert isinstance(written, dict), written
        assert [float(n) for n in written["json"]] == [float(n) for n in written["text"]] == some
        narrow = [narrow_of(bits_of(number) & 0xFFFFFFFF) for number in some]
        wanted = [n if math.isfinite(n) else 0 for n in narrow]
        for texts in written["json32"], written["text32"]:
            assert [rounded_to_f32(float(text)) for text in texts] == wanted


NEEDED = """export function handle(input: string): string {
  const wrong = parseFloat("1.9102944168861843e+41") != <f64>1.9102944168861843e+41;
  const roundedTwice = f32.parse("1.00000005960464477540") != reinterpret<f32>(0x3f800001);
  const notRefused = Date.fromString("2026-02-30").getUTCDate() == 2;
  return `[${wrong}, ${roundedTwice}, ${notRefused}]`;
}
"""


async def test_ascs_own_library_still_needs_the_patches(tmp_path: Path) -> None:
    """When one of these is false, asc has been corrected: remove that patch from json-as/std/patches.mjs."""
    assert Guest(compile_fresh(NEEDED, tmp_path, transform=())).run({}) == [True, True, True]


async def test_the_patched_library_refuses_what_is_no_date(run: Run) -> None:
    assert str(await run(NEEDED, {})).startswith('"2026-02-30" is not a date')
