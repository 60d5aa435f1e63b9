// From values to text. `write<T>` is made for each type T when a function is compiled. Everything is written behind what is
// in the buffer already, so that a custom serializer can make JSON itself.

import { itoa_buffered } from "util/number";
import { dtoa_buffered, ftoa_buffered } from "xjb-as";
import { JSON } from "./index";
import { unsupported } from "./unsupported";

const FIRST_BYTES: usize = 1024;
/** Room for any number: 24 digits and signs of an f64. */
const NUMBER_BYTES: usize = 128;

const ONES: u64 = 0x0001000100010001;
const HIGHS: u64 = 0x8000800080008000;
const SURROGATE: u64 = 0xd800;

let buffer: usize = 0;
let limit: usize = 0;
let place: usize = 0;

export function stringify<T>(value: T): string {
  const start = place - buffer; // the buffer may move
  write<T>(value);
  return takenFrom(start);
}

/** As `stringify`, for an object that no serializer writes. */
export function stringifyObject<T>(object: T): string {
  const start = place - buffer;
  writeObject<T>(object);
  return takenFrom(start);
}

/** What was written from there on, which leaves the buffer. */
function takenFrom(start: usize): string {
  const bytes = place - buffer - start;
  const made = changetype<string>(__new(bytes, idof<string>()));
  memory.copy(changetype<usize>(made), buffer + start, bytes);
  place = buffer + start;
  return made;
}

/** Makes room for so many bytes. */
function reserve(bytes: usize): void {
  if (place + bytes <= limit) return;
  const used = place - buffer;
  const size = max((limit - buffer) * 2, max(FIRST_BYTES, used + bytes));
  buffer = buffer ? heap.realloc(buffer, size) : heap.alloc(size);
  limit = buffer + size;
  place = buffer + used;
}

/** A text that is JSON already. */
export function writeText(text: string): void {
  const bytes = <usize>text.length << 1;
  reserve(bytes);
  memory.copy(place, changetype<usize>(text), bytes);
  place += bytes;
}

function writeUnit(unit: u16): void {
  reserve(2);
  store<u16>(place, unit);
  place += 2;
}

export function write<T>(value: T): void {
  if (isBoolean<T>()) writeText(value ? "true" : "false");
  else if (isInteger<T>() || isFloat<T>()) writeNumber<T>(value);
  else if (isManaged<T>()) {
    // A list of a type that is not nullable has null where nothing was set.
    if (changetype<usize>(value) == 0) writeText("null");
    else writeReference<nonnull<T>>(changetype<nonnull<T>>(value));
  } else unsupported<T>();
}

function writeReference<T>(value: T): void {
  if (isString<T>()) writeString(changetype<string>(value));
  // @ts-ignore: made by the transform
  else if (isDefined(value.__JSON_TO)) writeText(value.__JSON_TO());
  // @ts-ignore: made by the transform
  else if (isDefined(value.__JSON_WRITE)) writeObject<T>(value);
  else if (isArray<T>() || value instanceof StaticArray || value instanceof ArrayBufferView) writeList<T>(value);
  else if (value instanceof ArrayBuffer) writeList<Uint8Array>(Uint8Array.wrap(value));
  else if (value instanceof Map) {
    writeMap<indexof<T>, valueof<T>>(changetype<Map<indexof<T>, valueof<T>>>(value));
  } else if (value instanceof Set) writeSet<indexof<T>>(changetype<Set<indexof<T>>>(value));
  else if (value instanceof Date) writeString(value.toISOString());
  else if (value instanceof JSON.Box) write(value.value);
  else if (value instanceof JSON.Raw) writeText(value.data);
  else if (value instanceof JSON.Value) value.__write();
  else if (value instanceof JSON.Obj) writeMap<string, JSON.Value>(value._members);
  else if (value instanceof JSON.Arr) writeList<JSON.Value[]>(value._items);
  else unsupported<T>();
}

/** NaN and the infinities are written as such: the platform names the place where it finds one. */
function writeNumber<T>(value: T): void {
  reserve(NUMBER_BYTES);
  const units = isFloat<T>()
    ? sizeof<T>() == 4 ? ftoa_buffered(place, <f32>value) : dtoa_buffered(place, <f64>value)
    // @ts-ignore: T is an integer
    : itoa_buffered<T>(place, value);
  place += <usize>units << 1;
}

// ---- Strings ------------------------------------------------------------------------------------------------------

export function writeString(text: string): void {
  const bytes = <usize>text.length << 1;
  reserve(bytes + 4);
  store<u16>(place, 0x22);
  place += 2;
  let from = changetype<usize>(text);
  const end = from + bytes;
  while (from < end) {
    const stop = plainStop(from, end);
    reserve(stop - from + 16);
    memory.copy(place, from, stop - from);
    place += stop - from;
    from = stop;
    if (from < end) from = writeSpecial(from, end);
  }
  writeUnit(0x22);
}

/** The first unit that may need an escape: a quotation mark, a backslash, a control character, half of a pair. */
function plainStop(from: usize, end: usize): usize {
  for (; from + 8 <= end; from += 8) {
    const units = load<u64>(from), quotes = units ^ ONES * 0x22, slashes = units ^ ONES * 0x5c;
    // The highest bit of a lane is set in all of these for units from 0x8000 on, surrogates among them.
    const found = ((quotes - ONES) & ~quotes) | ((slashes - ONES) & ~slashes) | ((units - ONES * 0x20) & ~units) | units;
    if (found & HIGHS) break;
  }
  for (; from < end; from += 2) {
    const unit = <u32>load<u16>(from);
    if (unit == 0x22 || unit == 0x5c || unit < 0x20 || (unit & 0xf800) == SURROGATE) break;
  }
  return from;
}

/** Writes the unit, or the pair, at `from`. Returns what comes after it. */
function writeSpecial(from: usize, end: usize): usize {
  const unit = <u32>load<u16>(from);
  if ((unit & 0xfc00) == 0xd800 && from + 2 < end && (load<u16>(from, 2) & 0xfc00) == 0xdc00) {
    store<u32>(place, load<u32>(from));
    place += 4;
    return from + 4;
  }
  writeEscape(unit);
  return from + 2;
}

function writeEscape(unit: u32): void {
  let letter: u32 = 0;
  switch (unit) {
    case 0x22: case 0x5c: letter = unit; break;
    case 0x08: letter = 0x62; break;
    case 0x09: letter = 0x74; break;
    case 0x0a: letter = 0x6e; break;
    case 0x0c: letter = 0x66; break;
    case 0x0d: letter = 0x72;
  }
  store<u16>(place, 0x5c);
  store<u16>(place, letter ? letter : 0x75, 2);
  place += 4;
  if (letter) return;
  for (let shift = 12; shift >= 0; shift -= 4) {
    const digit = (unit >> shift) & 15;
    store<u16>(place, digit < 10 ? 0x30 + digit : 0x57 + digit);
    place += 2;
  }
}

// ---- Members ------------------------------------------------------------------------------------------------------

function writeObject<T>(object: T): void {
  const start = place - buffer;
  // @ts-ignore: made by the transform
  object.__JSON_WRITE();
  closeMembers(start, 0x7b, 0x7d);
}

/** Each member was written after a comma; the first of them becomes the opening bracket. */
function closeMembers(start: usize, open: u16, close: u16): void {
  if (place == buffer + start) writeUnit(open);
  else store<u16>(buffer + start, open);
  writeUnit(close);
}

/** A field, whose `key` is `,"name":`. */
export function writeField<T>(key: string, value: T): void {
  writeText(key);
  write<T>(value);
}

function writeList<T>(list: T): void {
  const start = place - buffer;
  // @ts-ignore: T is like an Array
  for (let i = 0, length = list.length; i < length; i++) {
    writeUnit(0x2c);
    // @ts-ignore: T is like an Array
    write<valueof<T>>(load<valueof<T>>(itemsOf<T>(list) + <usize>i * sizeof<valueof<T>>()));
  }
  closeMembers(start, 0x5b, 0x5d);
}

// @ts-ignore: decorator
@inline
function itemsOf<T>(list: T): usize {
  // @ts-ignore: T is like an Array
  if (isDefined(list.dataStart)) return list.dataStart;
  return changetype<usize>(list);
}

function writeSet<V>(set: Set<V>): void {
  writeList<V[]>(set.values());
}

function writeMap<K, V>(map: Map<K, V>): void {
  const start = place - buffer;
  const keys = map.keys(), values = map.values();
  for (let i = 0; i < keys.length; i++) {
    writeUnit(0x2c);
    if (isString<K>()) writeString(changetype<string>(unchecked(keys[i])));
    else if (isReference<K>() || isBoolean<K>()) unsupported<Map<K, V>>();
    else {
      writeUnit(0x22);
      write<K>(unchecked(keys[i]));
      writeUnit(0x22);
    }
    writeUnit(0x3a);
    write<V>(unchecked(values[i]));
  }
  closeMembers(start, 0x7b, 0x7d);
}
