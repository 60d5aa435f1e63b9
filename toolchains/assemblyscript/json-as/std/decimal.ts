// Decimal text to the nearest f64 or f32, ties to even, for every spelling. It takes the place of asc's own strtod, which is
// wrong by powers of ten from 1e38 on: patches.mjs adds this file to asc's library as util/decimal.
//
// Most numbers are one exact multiplication or division. The others are multiplied out in 128 bits; where the error of
// that could change the rounding, the digits are compared with the midpoint between the two candidates in whole numbers.

import { CharCode, isSpace } from "./string";

/** Digits that always fit a u64. */
export const U64_DIGITS = 19;

/** 10^(FIRST + i * STEP), in 128 bits rounded down, the highest of them set: upper half, lower half. */
// @ts-ignore: decorator
@lazy const POWERS = memory.data<u64>([
  0x8049a4ac0c5811ae, 0x205b896d777d6278, // 10^-351
  0xcf42894a5dce35ea, 0x52064cac828675b9, // 10^-324
  0xa76c582338ed2621, 0xaf2af2b80af6f24e, // 10^-297
  0x873e4f75e2224e68, 0x5a7744a6e804a291, // 10^-270
  0xda7f5bf590966848, 0xaf39a475506a899e, // 10^-243
  0xb080392cc4349dec, 0xbd8d794d96aacfb3, // 10^-216
  0x8e938662882af53e, 0x547eb47b7282ee9c, // 10^-189
  0xe65829b3046b0afa, 0x0cb4a5a3112a5112, // 10^-162
  0xba121a4650e4ddeb, 0x92f34d62616ce413, // 10^-135
  0x964e858c91ba2655, 0x3a6a07f8d510f86f, // 10^-108
  0xf2d56790ab41c2a2, 0xfae27299423fb9c3, // 10^-81
  0xc428d05aa4751e4c, 0xaa97e14c3c26b886, // 10^-54
  0x9e74d1b791e07e48, 0x775ea264cf55347d, // 10^-27
  0x8000000000000000, 0x0000000000000000, // 10^0
  0xcecb8f27f4200f3a, 0x0000000000000000, // 10^27
  0xa70c3c40a64e6c51, 0x999090b65f67d924, // 10^54
  0x86f0ac99b4e8dafd, 0x69a028bb3ded71a3, // 10^81
  0xda01ee641a708de9, 0xe80e6f4820cc9495, // 10^108
  0xb01ae745b101e9e4, 0x5ec05dcff72e7f8f, // 10^135
  0x8e41ade9fbebc27d, 0x14588f13be847307, // 10^162
  0xe5d3ef282a242e81, 0x8f1668c8a86da5fa, // 10^189
  0xb9a74a0637ce2ee1, 0x6d953e2bd7173692, // 10^216
  0x95f83d0a1fb69cd9, 0x4abdaf101564f98e, // 10^243
  0xf24a01a73cf2dccf, 0xbc633b39673c8cec, // 10^270
  0xc3b8358109e84f07, 0x0a862f80ec4700c8  // 10^297
]);
const FIRST = -351;
const STEP = 27; // 5^26 fits a u64

/** Above the error of the product, in units of the last of its 128 bits. */
const SLACK: u64 = 16;
/** The same in units of its 64th bit, when digits after the nineteenth were left out. */
const SLACK_OF_REST: u64 = 65;

/** 800 digits decide every tie: no midpoint between two f64 has more (767). */
const MOST_DIGITS = 800;
const BIG_BYTES = 1024;
// @ts-ignore: decorator
@lazy const LEFT = memory.data(BIG_BYTES, 8);
// @ts-ignore: decorator
@lazy const RIGHT = memory.data(BIG_BYTES, 8);

/** The upper 64 bits of the last `multiply`. */
let high: u64 = 0;

function multiply(a: u64, b: u64): u64 {
  const a0 = a & 0xffffffff, a1 = a >> 32, b0 = b & 0xffffffff, b1 = b >> 32;
  const low = a0 * b0;
  const middle = a1 * b0 + (low >> 32);
  const other = a0 * b1 + (middle & 0xffffffff);
  high = a1 * b1 + (middle >> 32) + (other >> 32);
  return (other << 32) | (low & 0xffffffff);
}

/**
 * The T nearest to significand * 10^exponent.
 *
 * significand: the first `taken` digits, at most 19, leading zeros aside. rest: whether a digit other than 0 follows them.
 * [start, end): the text of all digits, with or without a point among them; read only if it has to be.
 */
export function fromDecimal<T extends number>(
  significand: u64, exponent: i32, taken: i32, rest: bool, start: usize, end: usize
): T {
  if (!significand) return <T>0;
  if (!rest) {
    if (sizeof<T>() == 8 && significand <= <u64>1 << 53 && exponent >= -22 && exponent <= 22) {
      return <T>(exponent < 0 ? <f64>significand / tenTo(-exponent) : <f64>significand * tenTo(exponent));
    }
    if (sizeof<T>() == 4 && significand <= <u64>1 << 24 && exponent >= -10 && exponent <= 10) {
      const ten = <f32>tenTo(abs(exponent));
      return <T>(exponent < 0 ? <f32>significand / ten : <f32>significand * ten);
    }
  }
  if (exponent < FIRST) return <T>0; // under 1e-332
  if (exponent > 308) return <T>Infinity;
  return scaled<T>(significand, exponent, taken, rest, start, end);
}

/** Exact, for 0 to 22. */
function tenTo(exponent: i32): f64 {
  let power: f64 = 1;
  for (; exponent > 0; exponent--) power *= 10;
  return power;
}

function scaled<T>(significand: u64, exponent: i32, taken: i32, rest: bool, start: usize, end: usize): T {
  const index = (exponent - FIRST) / STEP;
  const coarse = FIRST + index * STEP;
  let fine: u64 = 1;
  for (let i = coarse; i < exponent; i++) fine *= 5;
  const shift = clz(fine);
  fine <<= shift;
  const power = POWERS + (<usize>index << 4);

  // upper:lower = coarse power * fine power, then * significand; the binary exponent is that of the 128th bit.
  multiply(fine, load<u64>(power, 8));
  let carry = high;
  let lower = multiply(fine, load<u64>(power)) + carry;
  let upper = high + u64(lower < carry);
  let binary = ((coarse * 217706) >> 16) + (exponent - coarse) + 63 - <i32>shift + 1;
  if (!(upper >> 63)) {
    upper = (upper << 1) | (lower >> 63);
    lower <<= 1;
    binary--;
  }
  const zeros = clz(significand);
  const normal = significand << zeros;
  multiply(normal, lower);
  carry = high;
  lower = multiply(normal, upper) + carry;
  upper = high + u64(lower < carry);
  binary += 64 - <i32>zeros;
  if (!(upper >> 63)) {
    upper = (upper << 1) | (lower >> 63);
    lower <<= 1;
    binary--;
  }
  return rounded<T>(upper, lower, binary, exponent + taken, rest, start, end);
}

/** upper:lower has its highest bit set, which is worth 2^binary. point: the value is 0.digits * 10^point. */
function rounded<T>(upper: u64, lower: u64, binary: i32, point: i32, rest: bool, start: usize, end: usize): T {
  const precision = sizeof<T>() == 8 ? 53 : 24;
  const bias = sizeof<T>() == 8 ? 1023 : 127;
  if (binary > bias) return <T>Infinity;
  const missing = max(1 - bias - binary, 0); // bits that a subnormal number lacks
  const kept = precision - missing;
  if (kept < 0) {
    // Below half of the least number, or so close that the digits after the nineteenth may reach it.
    const close = kept == -1 && upper >= u64.MAX_VALUE - SLACK_OF_REST;
    const over = close && compareWithMidpoint(1, binary + 1, point, start, end) > 0;
    return sizeof<T>() == 8 ? <T>reinterpret<f64>(u64(over)) : <T>reinterpret<f32>(u32(over));
  }
  const dropped = <u64>(64 - kept);
  let mantissa = kept ? upper >> dropped : 0;
  const remainder = kept ? upper & ((<u64>1 << dropped) - 1) : upper;
  const half = <u64>1 << (dropped - 1);
  let up = remainder > half || (remainder == half && lower > SLACK);
  const unclear = rest
    ? remainder >= half - SLACK_OF_REST && remainder <= half
    : (remainder == half && lower <= SLACK) || (remainder == half - 1 && lower > u64.MAX_VALUE - SLACK);
  if (unclear) {
    const order = compareWithMidpoint((mantissa << 1) + 1, binary - kept, point, start, end);
    up = order > 0 || (order == 0 && (mantissa & 1) == 1);
  }
  mantissa += u64(up);
  // A mantissa that became too long carries into the exponent, as it should.
  const biased = missing ? 0 : <u64>(binary + bias - 1);
  if (sizeof<T>() == 8) return <T>reinterpret<f64>((biased << 52) + mantissa);
  return <T>reinterpret<f32>(<u32>((biased << 23) + mantissa));
}

/** The sign of 0.digits * 10^point - midpoint * 2^binary. */
function compareWithMidpoint(midpoint: u64, binary: i32, point: i32, start: usize, end: usize): i32 {
  store<u32>(LEFT, 0);
  store<u32>(RIGHT, <u32>midpoint);
  store<u32>(RIGHT, <u32>(midpoint >> 32), 4);
  let left = 1, right = 2, digits = 0, more = false;
  for (; start < end; start += 2) {
    const digit = <u32>load<u16>(start) - CharCode._0;
    if (digit > 9 || (!digits && !digit)) continue;
    if (digits < MOST_DIGITS) {
      left = multiplyAdd(LEFT, left, 10, digit);
      digits++;
    } else if (digit) {
      more = true;
      break;
    }
  }
  if (more) {
    left = multiplyAdd(LEFT, left, 10, 1);
    digits++;
  }
  const exponent = point - digits; // 10^exponent = 5^exponent * 2^exponent
  for (let i = 0; i < exponent; i++) left = multiplyAdd(LEFT, left, 5, 0);
  for (let i = 0; i > exponent; i--) right = multiplyAdd(RIGHT, right, 5, 0);
  const shift = exponent - binary;
  if (shift > 0) left = shiftLeft(LEFT, left, shift);
  else right = shiftLeft(RIGHT, right, -shift);
  return compareBig(left, right);
}

/** Multiplies the whole number at `big`, of `length` u32, lowest first. Returns its new length. */
function multiplyAdd(big: usize, length: i32, factor: u64, carry: u64): i32 {
  for (let i = 0; i < length; i++, big += 4) {
    carry += <u64>load<u32>(big) * factor;
    store<u32>(big, <u32>carry);
    carry >>= 32;
  }
  if (!carry) return length;
  store<u32>(big, <u32>carry);
  return length + 1;
}

function shiftLeft(big: usize, length: i32, bits: i32): i32 {
  const words = bits >> 5;
  memory.copy(big + (<usize>words << 2), big, <usize>length << 2);
  memory.fill(big, 0, <usize>words << 2);
  return words + multiplyAdd(big + (<usize>words << 2), length, <u64>1 << (bits & 31), 0);
}

function compareBig(left: i32, right: i32): i32 {
  while (left && !load<u32>(LEFT + (<usize>(left - 1) << 2))) left--;
  while (right && !load<u32>(RIGHT + (<usize>(right - 1) << 2))) right--;
  if (left != right) return left < right ? -1 : 1;
  for (let i = <usize>left; i > 0; i--) {
    const a = load<u32>(LEFT + ((i - 1) << 2)), b = load<u32>(RIGHT + ((i - 1) << 2));
    if (a != b) return a < b ? -1 : 1;
  }
  return 0;
}

/** parseFloat: the longest number that the text begins with, or NaN. */
export function strtod(text: string): f64 {
  return parsePrefix<f64>(text);
}

/** The same for f32.parse, rounded once. */
export function strtof(text: string): f32 {
  return parsePrefix<f32>(text);
}

function parsePrefix<T extends number>(text: string): T {
  let at = changetype<usize>(text);
  const end = at + (<usize>text.length << 1);
  while (at < end && isSpace(load<u16>(at))) at += 2;
  let sign: T = 1;
  if (at < end) {
    const first = <u32>load<u16>(at);
    if (first == CharCode.MINUS) sign = -1;
    if (first == CharCode.MINUS || first == CharCode.PLUS) at += 2;
  }
  // Infinity, as four UTF-16 units at a time
  if (end - at >= 16 && load<u64>(at) == 0x690066006E0049 && load<u64>(at, 8) == 0x7900740069006E) {
    return <T>Infinity * sign;
  }
  return copysign<T>(parseDigits<T>(at, end), sign);
}

function parseDigits<T extends number>(start: usize, end: usize): T {
  let significand: u64 = 0, taken = 0, exponent = 0, digits = 0;
  let rest = false, pointed = false, at = start;
  for (; at < end; at += 2) {
    const code = <u32>load<u16>(at);
    const digit = code - CharCode._0;
    if (code == CharCode.DOT && !pointed) {
      pointed = true;
      continue;
    }
    if (digit > 9) break;
    digits++;
    if (pointed) exponent--;
    if (!taken && !digit) continue;
    if (taken < U64_DIGITS) {
      significand = significand * 10 + digit;
      taken++;
    } else {
      exponent++;
      if (digit) rest = true;
    }
  }
  if (!digits) return <T>NaN;
  exponent += parseExponent(at, end);
  return fromDecimal<T>(significand, exponent, taken, rest, start, at);
}

/** The exponent at `at`, 0 if none is there. One beyond all that matters is cut off at 99,999,999. */
export function parseExponent(at: usize, end: usize): i32 {
  if (at >= end || (load<u16>(at) | 32) != 0x65 /* e */) return 0;
  at += 2;
  let negative = false;
  if (at < end) {
    const sign = <u32>load<u16>(at);
    negative = sign == CharCode.MINUS;
    if (negative || sign == CharCode.PLUS) at += 2;
  }
  let exponent = 0;
  for (; at < end; at += 2) {
    const digit = <u32>load<u16>(at) - CharCode._0;
    if (digit > 9) break;
    if (exponent < 10_000_000) exponent = exponent * 10 + <i32>digit;
  }
  return negative ? -exponent : exponent;
}
