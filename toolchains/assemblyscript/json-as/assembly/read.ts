// From text to values. `read<T>` is made for each type T when a function is compiled; what T is decides what may come.

import { fromDecimal } from "util/decimal";
import { DATE_WANTED, INVALID_DATE, parseDateTime } from "util/datetime";
import { JSON } from "./index";
import { fail, failKind, failValue } from "./failure";
import {
  announcePart, another, at, begin, beginPart, BRACE, BRACE_END, BRACKET, BRACKET_END, copy, digitsEnd, digitsStart, enter, expect, exponent,
  finish, keyText, keyBytes, keyStart, negative, peek, POINT, QUOTE, rest, significand, skipValue,
  startsNumber, takeFalse, takeKey, takeNull, takeNumber, takeString, takeTrue, taken, text
} from "./text";
import { unsupported } from "./unsupported";
import { stringify } from "./write";

/** Deeper than any defaults, unless a class holds itself. */
const MOST_MADE = 100;

/** Reads the whole text. into: the object to fill, or 0 for a new one. */
export function parse<T>(data: string, into: usize): T {
  begin(data);
  const value = read<T>(into);
  finish();
  return value;
}

/** Reads the value that begins here. */
export function read<T>(into: usize = 0): T {
  if (isBoolean<T>()) return readBoolean() as T;
  if (isInteger<T>()) return readInteger<T>();
  if (isFloat<T>()) return readFloat<T>();
  if (isNullable<T>() && takeNull()) return changetype<T>(0);
  if (isManaged<T>()) return changetype<T>(readReference<nonnull<T>>(into));
  unsupported<T>();
  return unreachable();
}

function readReference<T>(into: usize): T {
  const type = changetype<T>(0);
  if (isString<T>()) return changetype<T>(readString());
  // @ts-ignore: made by the transform
  if (isDefined(type.__JSON_FROM)) return readCustom<T>();
  // @ts-ignore: made by the transform
  if (isDefined(type.__JSON_READ)) return readObject<T>(into);
  if (isArray<T>()) return readArray<T>(into);
  if (type instanceof StaticArray) return changetype<T>(readStaticArray<valueof<T>>());
  if (type instanceof ArrayBufferView) return readTypedArray<T>();
  if (type instanceof ArrayBuffer) return changetype<T>(readTypedArray<Uint8Array>().buffer);
  if (type instanceof Map) return readMap<T>(into);
  if (type instanceof Set) return readSet<T>(into);
  if (type instanceof Date) return changetype<T>(readDate());
  if (type instanceof JSON.Box) return readBox<T>();
  if (type instanceof JSON.Raw) return changetype<T>(readRaw());
  if (type instanceof JSON.Value) return changetype<T>(readValue(into));
  if (type instanceof JSON.Obj) return changetype<T>(readObj(into));
  if (type instanceof JSON.Arr) return changetype<T>(readArr(into));
  unsupported<T>();
  return unreachable();
}

// ---- Booleans, numbers, strings -----------------------------------------------------------------------------------

function readBoolean(): bool {
  if (takeTrue()) return true;
  if (!takeFalse()) failKind(at, "true or false");
  return false;
}

function readFloat<T extends number>(): T {
  const start = at;
  if (!startsNumber(peek())) failKind(start, `a number (${nameof<T>()})`);
  takeNumber();
  const value = fromDecimal<T>(significand, exponent, taken, rest, digitsStart, digitsEnd);
  if (value == <T>Infinity) failValue(start, `is too large for ${nameof<T>()}`);
  return negative ? -value : value;
}

function readInteger<T>(): T {
  const start = at;
  const value = readMagnitude(nameof<T>());
  const bits: u64 = 8 * sizeof<T>();
  const most: u64 = isSigned<T>() ? (<u64>1 << (bits - 1)) - 1 : u64.MAX_VALUE >> (64 - bits);
  if (value > (negative ? (isSigned<T>() ? most + 1 : 0) : most) || overflown) failRange<T>(start, most);
  return negative ? <T>(0 - value) : <T>value;
}

function failRange<T>(start: usize, most: u64): void {
  const least = isSigned<T>() ? "-" + (most + 1).toString() : "0";
  failValue(start, `is out of range: ${nameof<T>()} holds ${least} to ${most.toString()}`);
}

/** Whether the last number of `readMagnitude` is beyond 64 bits. */
let overflown = false;

/** The whole number that begins here, without its sign, which is in `negative`. */
function readMagnitude(type: string): u64 {
  const start = at;
  if (!startsNumber(peek())) failKind(start, `a whole number (${type})`);
  overflown = false;
  takeNumber();
  if (!rest && !exponent) return significand;
  return wholePart(start, type);
}

/** The number that was taken last, digit by digit. */
function wholePart(start: usize, type: string): u64 {
  // In `significand` the digits begin after the leading zeros.
  const before = leadingZeros() + taken + exponent;
  let value: u64 = 0, position = 0;
  for (let p = digitsStart; p < digitsEnd; p += 2) {
    const digit = <u32>load<u16>(p) - 0x30;
    if (digit > 9) continue;
    if (position++ < before) value = timesTenPlus(value, digit);
    else if (digit) failValue(start, `is not a whole number (${type})`);
  }
  for (; position < before && value && !overflown; position++) value = timesTenPlus(value, 0);
  return value;
}

function leadingZeros(): i32 {
  let zeros = 0;
  for (let p = digitsStart; p < digitsEnd; p += 2) {
    const unit = <u32>load<u16>(p);
    if (unit == 0x30) zeros++;
    else if (unit != POINT) break;
  }
  return zeros;
}

function timesTenPlus(value: u64, digit: u32): u64 {
  if (value > u64.MAX_VALUE / 10 || (value == u64.MAX_VALUE / 10 && digit > 5)) overflown = true;
  return value * 10 + digit;
}

function readString(): string {
  expect(QUOTE, "a string");
  return takeString();
}

function readDate(): Date {
  const start = at;
  expect(QUOTE, DATE_WANTED);
  const ms = parseDateTime(takeString());
  if (ms == INVALID_DATE) failValue(start, "is not " + DATE_WANTED);
  return new Date(ms);
}

// ---- Classes ------------------------------------------------------------------------------------------------------

function readObject<T>(into: usize): T {
  const object = into ? changetype<T>(into) : begun<T>();
  expect(BRACE, `an object (${nameof<T>()})`);
  if (enter(BRACE_END)) do {
    takeKey();
    // @ts-ignore: made by the transform
    if (!object.__JSON_READ(keyStart, keyBytes)) skipValue();
  } while (another(BRACE_END));
  // @ts-ignore: made by the transform
  object.__JSON_COMPLETE();
  return object;
}

/** A new T without the objects that its fields hold by default: those are made for the keys that are missing. */
function begun<T>(): T {
  const object = changetype<T>(__new(offsetof<T>(), idof<T>()));
  // @ts-ignore: made by the transform
  object.__JSON_DEFAULTS();
  return object;
}

/** How many objects are being made for fields of each other, and the class of the one at the limit. */
let made = 0;
let deepest: u32 = 0;

/** A new T whose fields have their defaults. As in json-as, the constructor is not called. */
export function make<T>(): T {
  if (++made == MOST_MADE) deepest = idof<T>();
  else if (made > MOST_MADE && idof<T>() == deepest) {
    const words = "has no default value: it would hold another of itself without end; give the field for it";
    throw new Error(`${nameof<T>()} ${words} an initializer or "| null"`);
  }
  const object = begun<T>();
  // @ts-ignore: made by the transform
  object.__JSON_COMPLETE();
  made--;
  return object;
}

/** What a field holds that has no initializer. */
export function standard<T>(): T {
  if (isNullable<T>() || !isManaged<T>()) return zero<T>();
  if (isString<T>()) return changetype<T>("");
  const type = changetype<T>(0);
  // @ts-ignore: made by the transform
  if (isDefined(type.__JSON_DEFAULTS)) return make<T>();
  if (type instanceof JSON.Value) return changetype<T>(JSON.Value.empty());
  if (type instanceof JSON.Raw) return changetype<T>(new JSON.Raw("null"));
  if (type instanceof JSON.Box) return standardBox<T>();
  if (type instanceof Date) return changetype<T>(new Date(0));
  if (type instanceof ArrayBuffer) return changetype<T>(new ArrayBuffer(0));
  if (type instanceof StaticArray) return changetype<T>(new StaticArray<valueof<T>>(0));
  if (type instanceof ArrayBufferView) return instantiate<T>(0);
  if (isArray<T>() || type instanceof Map || type instanceof Set) return instantiate<T>();
  if (type instanceof JSON.Obj || type instanceof JSON.Arr) return instantiate<T>();
  return zero<T>();
}

export function zero<T>(): T {
  if (isReference<T>()) return changetype<T>(0);
  return <T>0;
}

function readCustom<T>(): T {
  const start = at;
  skipValue();
  const part = copy(start, at);
  announcePart(part, start);
  // @ts-ignore: made by the transform
  const value = make<T>().__JSON_FROM(part);
  announcePart(null, 0);
  return value;
}

// ---- Lists --------------------------------------------------------------------------------------------------------

function readArray<T>(into: usize): T {
  const array = into ? changetype<T>(into) : instantiate<T>();
  // @ts-ignore: T is an Array
  if (into) array.length = 0;
  expect(BRACKET, "an array");
  if (enter(BRACKET_END)) do {
    // @ts-ignore: T is an Array
    array.push(read<valueof<T>>());
  } while (another(BRACKET_END));
  return array;
}

function readStaticArray<V>(): StaticArray<V> {
  return StaticArray.fromArray<V>(readArray<V[]>(0));
}

function readTypedArray<T>(): T {
  const values = readArray<valueof<T>[]>(0);
  const made = instantiate<T>(values.length);
  // @ts-ignore: T is a typed array
  memory.copy(made.dataStart, values.dataStart, <usize>made.byteLength);
  return made;
}

function readSet<T>(into: usize): T {
  const set = into ? changetype<T>(into) : instantiate<T>();
  fillSet<indexof<T>>(changetype<Set<indexof<T>>>(set));
  return set;
}

function fillSet<V>(set: Set<V>): void {
  if (set.size) set.clear();
  expect(BRACKET, "an array");
  if (enter(BRACKET_END)) do set.add(read<V>()); while (another(BRACKET_END));
}

function readMap<T>(into: usize): T {
  const map = into ? changetype<T>(into) : instantiate<T>();
  fillMap<indexof<T>, valueof<T>>(changetype<Map<indexof<T>, valueof<T>>>(map));
  return map;
}

function fillMap<K, V>(map: Map<K, V>): void {
  if (map.size) map.clear();
  expect(BRACE, "an object (Map)");
  if (enter(BRACE_END)) do {
    takeKey();
    const place = at, key = keyOf<K, V>(place);
    if (!isString<K>() && map.has(key)) fail(place, `the key ${stringify<K>(key)} is in this object twice`);
    map.set(key, read<V>());
  } while (another(BRACE_END));
}

/** A key for a number is spelled as the number is in JSON, within the key's quotation marks. */
function keyOf<K, V>(place: usize): K {
  const key = keyText();
  if (isString<K>()) return changetype<K>(key);
  if (isReference<K>() || isBoolean<K>()) {
    unsupported<Map<K, V>>();
    return unreachable();
  }
  if (!isNumber(key)) fail(place, `the key "${key}" is not a number (${nameof<K>()})`);
  announcePart(key, place);
  begin(key);
  const value = read<K>();
  finish();
  return value;
}

function isNumber(key: string): bool {
  for (let i = 0; i < key.length; i++) if (!"0123456789+-.eE".includes(key.charAt(i))) return false;
  return key.length > 0 && <u32>(key.charCodeAt(key.length - 1) - 0x30) < 10;
}

// ---- What json-as calls JSON.something ----------------------------------------------------------------------------

function readBox<T>(): T {
  // @ts-ignore: T is a JSON.Box
  const value = readSame(changetype<T>(0).value);
  return changetype<T>(JSON.Box.from(value));
}

function readSame<V>(_like: V): V {
  return read<V>();
}

function standardBox<T>(): T {
  // @ts-ignore: T is a JSON.Box
  return changetype<T>(JSON.Box.from(zeroLike(changetype<T>(0).value)));
}

function zeroLike<V>(_like: V): V {
  return zero<V>();
}

function readRaw(): JSON.Raw {
  const start = at;
  skipValue();
  return new JSON.Raw(copy(start, at));
}

/** How many objects and lists of any values are open, one in the other. */
let opened = 0;
/** So many levels of them are read when they are asked for. Their text is gone over once more then. */
const LATER_LEVELS = 3;

/** A value in an object or a list of any values. An object or a list is checked, and read when it is first asked for. */
function readMember(): JSON.Value {
  const unit = peek();
  if ((unit != BRACE && unit != BRACKET) || opened > LATER_LEVELS) return readValue(0);
  const start = at, base = changetype<usize>(text);
  skipValue();
  const value = JSON.Value.empty();
  value.__setLater(unit == BRACE, text, <u32>(start - base), <u32>(at - base), <u8>opened);
  return value;
}

/** Reads what `readMember` put off. from, to: its place in the text, in bytes. */
export function readLater(value: JSON.Value, data: string, from: u32, to: u32, level: u8): void {
  const before = opened;
  opened = level;
  beginPart(data, from, to);
  readValue(changetype<usize>(value));
  finish();
  opened = before;
}

function readValue(into: usize): JSON.Value {
  const value = into ? changetype<JSON.Value>(into) : JSON.Value.empty();
  const unit = peek();
  if (unit == BRACE) value.set(readObj(0));
  else if (unit == BRACKET) value.set(readArr(0));
  else if (unit == QUOTE) value.set(takeString());
  else if (startsNumber(unit)) readNumber(value);
  else if (takeTrue()) value.set(true);
  else if (takeFalse()) value.set(false);
  else {
    skipValue(); // only null is left
    value.setNull();
  }
  return value;
}

/** A number that no f64 holds to the last digit keeps its text. */
function readNumber(value: JSON.Value): void {
  const start = at;
  takeNumber();
  const number = fromDecimal<f64>(significand, exponent, taken, rest, digitsStart, digitsEnd);
  const isExact = taken <= 15 && number != Infinity && (number != 0 || significand == 0);
  value.setNumber(negative ? -number : number, isExact ? null : copy(start, at));
}

function readObj(into: usize): JSON.Obj {
  const object = into ? changetype<JSON.Obj>(into) : new JSON.Obj();
  if (object.size) object.clear();
  expect(BRACE, "an object (JSON.Obj)");
  opened++;
  if (enter(BRACE_END)) do {
    takeKey();
    const key = keyText();
    object._members.set(key, readMember());
  } while (another(BRACE_END));
  opened--;
  return object;
}

function readArr(into: usize): JSON.Arr {
  const array = into ? changetype<JSON.Arr>(into) : new JSON.Arr();
  array.clear();
  expect(BRACKET, "an array (JSON.Arr)");
  opened++;
  if (enter(BRACKET_END)) do array._items.push(readMember()); while (another(BRACKET_END));
  opened--;
  return array;
}
