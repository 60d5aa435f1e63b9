// The text that is being read, and the place in it. Whitespace, literals, strings and numbers, as RFC 8259 has them.

import { parseExponent, U64_DIGITS } from "util/decimal";
import { failEnd, failKind, failSyntax } from "./failure";

export const QUOTE: u32 = 0x22;
export const BACKSLASH: u32 = 0x5c;
export const COMMA: u32 = 0x2c;
export const COLON: u32 = 0x3a;
export const MINUS: u32 = 0x2d;
export const POINT: u32 = 0x2e;
export const BRACKET: u32 = 0x5b;
export const BRACKET_END: u32 = 0x5d;
export const BRACE: u32 = 0x7b;
export const BRACE_END: u32 = 0x7d;

/** About 580 levels of JSON.Value overflow the stack when they are written, which would say less. */
const MOST_LEVELS = 400;

// Four UTF-16 units at a time: a lane of the result has its highest bit set where the unit is what is looked for, or lies
// above one that is.
const ONES: u64 = 0x0001000100010001;
const HIGHS: u64 = 0x8000800080008000;

/** The whole text; this keeps it alive. */
export let text: string = "";
/** Where reading is, and where the text ends. */
export let at: usize = 0;
export let end: usize = 0;
let levels = 0;

/** The part of the text that is about to be read by itself, if one is, and where it begins: a path goes on from there. */
let part: string | null = null;
let partStart: usize = 0;

/** A text that is set aside while another is read. */
export class Place {
  constructor(
    readonly text: string,
    readonly at: usize,
    readonly end: usize,
    readonly levels: i32,
    readonly part: string | null,
    readonly partStart: usize,
    readonly outer: Place | null
  ) {}
}
export let outer: Place | null = null;

export function begin(data: string): void {
  if (at) outer = new Place(text, at, end, levels, part, partStart, outer);
  text = data;
  at = changetype<usize>(data);
  end = at + (<usize>data.length << 1);
  levels = 0;
  part = null;
  skipWhitespace();
}

/** As `begin`, for a part of a text, from and to so many bytes after its beginning. */
export function beginPart(data: string, from: usize, to: usize): void {
  begin(data);
  at = changetype<usize>(data) + from;
  end = changetype<usize>(data) + to;
}

export function finish(): void {
  skipWhitespace();
  if (at < end) failSyntax(at);
  const place = outer;
  text = place ? place.text : "";
  at = place ? place.at : 0;
  end = place ? place.end : 0;
  levels = place ? place.levels : 0;
  part = null;
  outer = place ? place.outer : null;
}

/** `start`: where the part lies in the text. */
export function announcePart(given: string | null, start: usize): void {
  part = given;
  partStart = start;
}

/** Moves on, to a place that was found in the text. */
export function moveTo(place: usize): void {
  at = place;
}

/** The next UTF-16 unit, 0 at the end. */
// @ts-ignore: decorator
@inline
export function peek(): u32 {
  return at < end ? <u32>load<u16>(at) : 0;
}

// @ts-ignore: decorator
@inline
function isWhitespace(unit: u32): bool {
  return unit == 0x20 || unit == 0x0a || unit == 0x0d || unit == 0x09;
}

export function skipWhitespace(): void {
  while (at < end && isWhitespace(load<u16>(at))) at += 2;
}

/** Enters the list or object that begins here. Returns whether it has a first member. */
export function enter(close: u32): bool {
  if (++levels > MOST_LEVELS) throw new Error(`JSON is nested more than ${MOST_LEVELS} levels deep`);
  at += 2;
  skipWhitespace();
  if (peek() != close) return true;
  at += 2;
  levels--;
  return false;
}

/** After a member. Returns whether another one follows. */
export function another(close: u32): bool {
  skipWhitespace();
  const unit = peek();
  if (unit == COMMA) {
    at += 2;
    skipWhitespace();
    return true;
  }
  if (unit != close) failSyntax(at);
  at += 2;
  levels--;
  return false;
}

/** Takes `null` if it is here. */
export function takeNull(): bool {
  return peek() == 0x6e && takeWord(0x006c006c0075006e);
}

export function takeTrue(): bool {
  return peek() == 0x74 && takeWord(0x0065007500720074);
}

export function takeFalse(): bool {
  if (peek() != 0x66) return false;
  if (end - at < 10 || load<u64>(at) != 0x0073006c00610066 || load<u16>(at, 8) != 0x65) failSyntax(at);
  at += 10;
  return true;
}

function takeWord(units: u64): bool {
  if (end - at < 8 || load<u64>(at) != units) failSyntax(at);
  at += 8;
  return true;
}

// ---- Strings ------------------------------------------------------------------------------------------------------

/** The key that was read last, as UTF-16: in the text itself, or in `decoded` if it had escapes. */
export let keyStart: usize = 0;
export let keyBytes: usize = 0;
let decoded: string = "";

/** Takes a key and its colon. */
export function takeKey(): void {
  if (peek() != QUOTE) failSyntax(at);
  const start = at + 2;
  const stop = stringStop(start);
  if (load<u16>(stop) == QUOTE) {
    keyStart = start;
    keyBytes = stop - start;
    at = stop + 2;
  } else {
    decoded = decode(start, stop);
    keyStart = changetype<usize>(decoded);
    keyBytes = <usize>decoded.length << 1;
  }
  skipWhitespace();
  if (peek() != COLON) failSyntax(at);
  at += 2;
  skipWhitespace();
}

export function keyText(): string {
  return copy(keyStart, keyStart + keyBytes);
}

/** The string that begins here with its quotation mark. */
export function takeString(): string {
  const start = at + 2;
  const stop = stringStop(start);
  if (load<u16>(stop) != QUOTE) return decode(start, stop);
  at = stop + 2;
  return copy(start, stop);
}

export function copy(start: usize, stop: usize): string {
  const made = changetype<string>(__new(stop - start, idof<string>()));
  memory.copy(changetype<usize>(made), start, stop - start);
  return made;
}

/** The first quotation mark or backslash from `place` on. */
function stringStop(place: usize): usize {
  for (; place + 8 <= end; place += 8) {
    const units = load<u64>(place);
    const quotes = units ^ ONES * QUOTE, slashes = units ^ ONES * BACKSLASH;
    const found = ((quotes - ONES) & ~quotes) | ((slashes - ONES) & ~slashes) | ((units - ONES * 0x20) & ~units);
    if (found & HIGHS) break;
  }
  for (; place < end; place += 2) {
    const unit = <u32>load<u16>(place);
    if (unit == QUOTE || unit == BACKSLASH) return place;
    if (unit < 0x20) failSyntax(place);
  }
  failEnd();
  return 0;
}

/** The string from `start`, whose first backslash is at `stop`. */
function decode(start: usize, stop: usize): string {
  let from = start, length: usize = 0;
  // No escape is shorter than what it stands for.
  const made = __new(closingQuote(stop) - start, idof<string>());
  while (true) {
    memory.copy(made + length, from, stop - from);
    length += stop - from;
    if (load<u16>(stop) == QUOTE) break;
    at = stop + 2;
    store<u16>(made + length, <u16>takeEscape());
    length += 2;
    from = at;
    stop = stringStop(from);
  }
  at = stop + 2;
  return changetype<string>(__renew(made, length));
}

function closingQuote(stop: usize): usize {
  while (load<u16>(stop) != QUOTE) stop = stringStop(min(stop + 4, end));
  return stop;
}

/** What follows a backslash. */
function takeEscape(): u32 {
  const unit = peek();
  at += 2;
  switch (unit) {
    case QUOTE: case BACKSLASH: case 0x2f: return unit;
    case 0x62: return 0x08;
    case 0x66: return 0x0c;
    case 0x6e: return 0x0a;
    case 0x72: return 0x0d;
    case 0x74: return 0x09;
    case 0x75: return takeHex();
    default: failSyntax(at - 2);
  }
  return 0;
}

function takeHex(): u32 {
  let value: u32 = 0;
  for (let i = 0; i < 4; i++, at += 2) {
    const unit = peek(), letter = (unit | 32) - 0x61;
    if (unit - 0x30 < 10) value = (value << 4) | (unit - 0x30);
    else if (letter < 6) value = (value << 4) | (letter + 10);
    else failSyntax(at);
  }
  return value;
}

// ---- Numbers ------------------------------------------------------------------------------------------------------

/** The number that was taken last: see `fromDecimal`. */
export let negative: bool = false;
export let significand: u64 = 0;
export let exponent: i32 = 0;
export let taken: i32 = 0;
export let rest: bool = false;
/** Its text, without the sign, and where its exponent begins. */
export let digitsStart: usize = 0;
export let digitsEnd: usize = 0;

// @ts-ignore: decorator
@inline
function isDigit(unit: u32): bool {
  return unit - 0x30 < 10;
}

export function startsNumber(unit: u32): bool {
  return isDigit(unit) || unit == MINUS;
}

/** Takes the number that begins here. */
export function takeNumber(): void {
  negative = peek() == MINUS;
  if (negative) at += 2;
  digitsStart = at;
  significand = 0;
  exponent = 0;
  taken = 0;
  rest = false;
  if (peek() == 0x30) {
    at += 2;
    if (isDigit(peek())) failSyntax(at); // 007
  } else takeDigits(0);
  if (peek() == POINT) {
    at += 2;
    takeDigits(-1);
  }
  digitsEnd = at;
  if ((peek() | 32) == 0x65) takeExponent();
}

function takeDigits(shift: i32): void {
  // Locals, since globals are memory to the machine.
  let place = at, value = significand, count = taken;
  const start = place, stop = end;
  for (; place < stop; place += 2) {
    const digit = <u32>load<u16>(place) - 0x30;
    if (digit > 9) break;
    if (count >= U64_DIGITS) {
      exponent++;
      if (digit) rest = true;
    } else {
      value = value * 10 + digit;
      if (value) count++;
    }
  }
  at = place;
  if (place == start) place < stop ? failSyntax(place) : failEnd();
  exponent += shift * <i32>((place - start) >> 1);
  significand = value;
  taken = count;
}

function takeExponent(): void {
  exponent += parseExponent(at, end);
  at += 2;
  if (peek() == 0x2b || peek() == MINUS) at += 2;
  if (!isDigit(peek())) at < end ? failSyntax(at) : failEnd();
  while (isDigit(peek())) at += 2;
}

// ---- Values that are not kept -------------------------------------------------------------------------------------

/** Takes any value, and checks that it is JSON. */
export function skipValue(): void {
  const unit = peek();
  if (unit == QUOTE) skipString();
  else if (startsNumber(unit)) takeNumber();
  else if (unit == BRACE || unit == BRACKET) skipMembers(unit == BRACE);
  else if (!takeNull() && !takeTrue() && !takeFalse()) at < end ? failSyntax(at) : failEnd();
}

function skipMembers(keyed: bool): void {
  const close = keyed ? BRACE_END : BRACKET_END;
  if (!enter(close)) return;
  do {
    if (keyed) takeKey();
    skipValue();
  } while (another(close));
}

function skipString(): void {
  let stop = stringStop(at + 2);
  while (load<u16>(stop) != QUOTE) {
    at = stop + 2;
    takeEscape();
    stop = stringStop(at);
  }
  at = stop + 2;
}

/** Ends the function unless a value of the wanted kind begins here. */
export function expect(unit: u32, wanted: string): void {
  if (peek() != unit) failKind(at, wanted);
}
