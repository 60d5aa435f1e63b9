// The API of json-as. What reads is in read.ts, what writes in write.ts; the code for each @json class is made by
// ../transform.mjs out of the functions whose names begin with two underscores.

import { E_INDEXOUTOFRANGE } from "util/error";
import { OBJECT, TOTAL_OVERHEAD } from "rt/common";
import { rememberInput } from "./failure";
import { make, parse as parseText, read, readLater, standard, zero } from "./read";
import { stringify as stringifyValue, stringifyObject, write, writeField, writeText } from "./write";
import { unsupported } from "./unsupported";

export namespace JSON {
  /** A field that json-as reads when it is first asked for. Here it is read at once. */
  export type Lazy<T> = T;
  export type Types = u16;

  /** What a JSON.Value holds. A class with @json is Struct + idof<T>(). */
  export namespace Types {
    export const Null: u16 = 0;
    export const Raw: u16 = 1;
    export const U8: u16 = 2;
    export const U16: u16 = 3;
    export const U32: u16 = 4;
    export const U64: u16 = 5;
    export const I8: u16 = 6;
    export const I16: u16 = 7;
    export const I32: u16 = 8;
    export const I64: u16 = 9;
    export const F32: u16 = 10;
    export const F64: u16 = 11;
    export const Bool: u16 = 12;
    export const String: u16 = 13;
    export const Object: u16 = 14;
    export const Array: u16 = 15;
    export const Map: u16 = 16;
    export const Struct: u16 = 17;
    export const TypedArray: u16 = 18;
    export const ArrayBuffer: u16 = 19;
  }

  /**
   * Reads a T from JSON text, and ends the function with a message that names the place if the text is not JSON or holds
   * what a T cannot hold. out: an object to fill instead of a new one.
   */
  export function parse<T>(data: string, out: T = zero<T>()): T {
    return parseText<T>(data, isReference<T>() ? changetype<usize>(out) : 0);
  }

  /** The JSON text of a value. */
  export function stringify<T>(data: T, _out: string | null = null): string {
    return stringifyValue<T>(data);
  }

  export namespace Memory {
    /** json-as frees its buffer here. An execution's memory goes when it ends. */
    export function shrink(): void {}
  }

  export namespace internal {
    export function stringify<T>(data: T): string {
      return stringifyValue<T>(data);
    }
    export function parse<T>(data: string): T {
      return parseText<T>(data, 0);
    }
  }

  // ---- For the code that the transform makes ----------------------------------------------------------------------

  export function __input(text: string): void {
    rememberInput(text);
  }

  // @ts-ignore: decorator
  @inline
  export function __read<T>(): T {
    return read<T>();
  }

  export function __standard<T>(): T {
    return standard<T>();
  }

  // @ts-ignore: decorator
  @inline
  export function __field<T>(key: string, value: T): void {
    writeField<T>(key, value);
  }

  export function __object<T>(object: T): string {
    return stringifyObject<T>(object);
  }

  /** Sets a field that may be assigned in a constructor only. */
  export function __set<T>(object: usize, offset: usize, value: T): void {
    store<T>(object + offset, value);
    if (isManaged<T>()) __link(object, changetype<usize>(value), false);
  }

  // UTF-16 units of a key, as many as the name says.
  // @ts-ignore: decorator
  @inline
  export function __units4(key: usize, offset: usize): u64 {
    return load<u64>(key + offset);
  }
  // @ts-ignore: decorator
  @inline
  export function __units2(key: usize, offset: usize): u32 {
    return load<u32>(key + offset);
  }
  // @ts-ignore: decorator
  @inline
  export function __unit(key: usize, offset: usize): u32 {
    return load<u16>(key + offset);
  }

  /** Whether a field for an object has none. */
  // @ts-ignore: decorator
  @inline
  export function __isMissing(object: usize, offset: usize): bool {
    return !load<usize>(object + offset);
  }

  export function __holds<T>(self: T, condition: (self: T) => bool): bool {
    return condition(self);
  }

  // ---- Values of any kind -----------------------------------------------------------------------------------------

  /** JSON text, taken and given as it is. */
  export class Raw {
    constructor(public data: string) {}
    set(data: string): void {
      this.data = data;
    }
    toString(): string {
      return this.data;
    }
    static from(data: string): JSON.Raw {
      return new JSON.Raw(data);
    }
  }

  /** A number or a boolean that may be null. */
  export class Box<T> {
    constructor(public value: T) {
      if (isReference<T>()) ERROR("JSON.Box holds numbers and booleans: for other types write T | null");
    }
    set(value: T): Box<T> {
      this.value = value;
      return this;
    }
    toString(): string {
      return stringifyValue<T>(this.value);
    }
    static from<T>(value: T): Box<T> {
      return new Box<T>(value);
    }
    static fromValue<T>(value: JSON.Value): Box<T> | null {
      if (value.type == JSON.Types.Null) return null;
      return new Box<T>(value.get<T>());
    }
  }

  /** Any JSON value, and any value that has a JSON form. */
  // @ts-ignore: decorator
  @final
  export class Value {
    private _type: u16 = Types.Null;
    /** In how many objects and lists it lies, if it is yet to be read. `bits` is its place then, in the text in `held`. */
    private later: u8 = 0;
    private bits: u64 = 0;
    /** What is no number and no boolean; of a number that no f64 holds to the last digit, its text. */
    private held: usize = 0;
    private writer: ((held: usize) => void) | null = null;

    private constructor() {}

    get type(): u16 {
      return this._type;
    }

    static empty(): JSON.Value {
      return new JSON.Value();
    }

    static from<T>(value: T): JSON.Value {
      if (isManaged<T>() && !isNullable<T>()) if (value instanceof JSON.Value) return changetype<JSON.Value>(value);
      const made = new JSON.Value();
      made.setTyped<T>(value);
      return made;
    }

    /** As `from`, for functions that may be called with `null` by itself: see `set`. */
    static __from<T>(value: T): JSON.Value {
      if (isInteger<T>() && nameof<T>() == "usize" && !value) return JSON.Value.empty();
      return JSON.Value.from<T>(value);
    }

    setNull(): void {
      this.keep(Types.Null, 0);
    }

    /** text: how it was spelled, where that says more than an f64 can hold. */
    setNumber(value: f64, text: string | null): void {
      this.keep(Types.F64, changetype<usize>(text));
      this.bits = reinterpret<u64>(value);
    }

    /** An object or a list that lies in the text from and to so many bytes, to be read when it is asked for. */
    __setLater(isObject: bool, text: string, from: u32, to: u32, level: u8): void {
      this.keep(isObject ? Types.Object : Types.Array, changetype<usize>(text));
      this.bits = (<u64>to << 32) | from;
      this.later = level;
    }

    private readNow(): void {
      const text = changetype<string>(this.held);
      if (this.later) readLater(this, text, <u32>this.bits, <u32>(this.bits >> 32), this.later);
    }

    /** asc takes `null` by itself for a usize, so that a usize of 0 is null here. JSON.Value.from tells them apart. */
    set<T>(value: T): void {
      if (isInteger<T>() && nameof<T>() == "usize" && !value) this.setNull();
      else this.setTyped<T>(value);
    }

    /** A reference that is null is null. */
    private setTyped<T>(value: T): void {
      if (isBoolean<T>()) this.keepNumber(Types.Bool, u64(value));
      else if (isInteger<T>()) this.keepNumber(integerType<T>(), <u64>value);
      else if (isFloat<T>()) {
        if (sizeof<T>() == 4) this.keepNumber(Types.F32, reinterpret<u64>(<f64>value));
        else this.keepNumber(Types.F64, reinterpret<u64>(<f64>value));
      } else if (isManaged<T>()) {
        if (changetype<usize>(value) == 0) this.setNull();
        else this.setReference<nonnull<T>>(changetype<nonnull<T>>(value));
      } else unsupported<T>();
    }

    private setReference<T>(value: T): void {
      const held = changetype<usize>(value);
      if (isString<T>()) this.keep(Types.String, held);
      else if (value instanceof JSON.Value) this.copy(changetype<JSON.Value>(value));
      else if (value instanceof JSON.Box) this.setTyped(value.value);
      else if (value instanceof JSON.Raw) this.keep(Types.Raw, held);
      else if (value instanceof JSON.Obj) this.keep(Types.Object, held);
      else if (value instanceof JSON.Arr) this.keep(Types.Array, held);
      else if (isArray<T>() && idof<T>() == idof<JSON.Value[]>()) {
        this.keep(Types.Array, changetype<usize>(JSON.Arr.from<JSON.Value[]>(changetype<JSON.Value[]>(value))));
      } else {
        this.keep(otherType<T>(), held);
        this.writer = (held: usize): void => { write<T>(changetype<T>(held)); };
      }
    }

    private copy(other: JSON.Value): void {
      other.readNow();
      this.keep(other._type, other.held);
      this.bits = other.bits;
      this.writer = other.writer;
    }

    private keep(type: u16, held: usize): void {
      this._type = type;
      this.later = 0;
      this.bits = 0;
      this.writer = null;
      this.held = held;
      if (held) __link(changetype<usize>(this), held, false);
    }

    private keepNumber(type: u16, bits: u64): void {
      this.keep(type, 0);
      this.bits = bits;
    }

    /** The value as a T, or the end of the function if it is something else. A number fits a type that holds it exactly. */
    get<T>(): T {
      if (isBoolean<T>()) {
        if (this._type != Types.Bool) this.refuse<T>("true or false");
        return <T>this.bits;
      }
      if (isInteger<T>() || isFloat<T>()) {
        if (this._type < Types.U8 || this._type > Types.F64) this.refuse<T>("a number");
        return this.number<T>();
      }
      if (this._type == Types.Null) {
        if (!isNullable<T>() && idof<nonnull<T>>() != idof<JSON.Value>()) this.refuse<T>("");
        if (isNullable<T>()) return changetype<T>(0);
      }
      return changetype<T>(this.reference<nonnull<T>>());
    }

    private reference<T>(): T {
      if (idof<T>() == idof<JSON.Value>()) return changetype<T>(this);
      this.readNow();
      if (isString<T>()) {
        if (this._type != Types.String) this.refuse<T>("a string");
      } else if (isArray<T>() && idof<T>() == idof<JSON.Value[]>() && this._type == Types.Array) {
        return changetype<T>(changetype<JSON.Arr>(this.held)._items);
      } else if (this._type < Types.String && this._type != Types.Raw) this.refuse<T>("");
      else if (changetype<OBJECT>(this.held - TOTAL_OVERHEAD).rtId != idof<T>()) this.refuse<T>("");
      return changetype<T>(this.held);
    }

    private refuse<T>(what: string): void {
      const wanted = what.length ? what : `of type ${typeName<T>()}`;
      throw new Error(`a JSON.Value that holds ${this.shown()} is not ${wanted}`);
    }

    private shown(): string {
      const text = stringifyValue<JSON.Value>(this);
      return text.length > 60 ? text.substring(0, 60) + "..." : text;
    }

    /** A fraction that is cut off, or a number that does not fit, is an error; the last digits of an f64 are not. */
    private number<T>(): T {
      if (!isFloat<T>()) return parseText<T>(stringifyValue<JSON.Value>(this), 0);
      const value = this.asDouble();
      if (isNaN(value) || abs(value) <= <f64>(sizeof<T>() == 4 ? f32.MAX_VALUE : f64.MAX_VALUE)) return <T>value;
      return this.held || sizeof<T>() == 4 && abs(value) < Infinity
        ? parseText<T>(stringifyValue<JSON.Value>(this), 0)
        : <T>value;
    }

    private asDouble(): f64 {
      if (this._type == Types.F32 || this._type == Types.F64) return reinterpret<f64>(this.bits);
      if (this._type >= Types.I8) return <f64><i64>this.bits;
      return <f64>this.bits;
    }

    as<T>(): T {
      return this.get<T>();
    }

    asBox<T>(): Box<T> | null {
      return Box.fromValue<T>(this);
    }

    toString(): string {
      return stringifyValue<JSON.Value>(this);
    }

    __write(): void {
      this.readNow();
      const type = this._type;
      const writer = this.writer;
      if (writer != null) writer(this.held);
      else if (type == Types.Null) writeText("null");
      else if (type == Types.Bool) write<bool>(<bool>this.bits);
      else if (type == Types.F64 && this.held) writeText(changetype<string>(this.held));
      else if (type == Types.F64) write<f64>(reinterpret<f64>(this.bits));
      else if (type == Types.F32) write<f32>(<f32>reinterpret<f64>(this.bits));
      else if (type >= Types.I8 && type <= Types.I64) write<i64>(<i64>this.bits);
      else if (type >= Types.U8 && type <= Types.U64) write<u64>(this.bits);
      else if (type == Types.String) write<string>(changetype<string>(this.held));
      else if (type == Types.Object) write<JSON.Obj>(changetype<JSON.Obj>(this.held));
      else if (type == Types.Array) write<JSON.Arr>(changetype<JSON.Arr>(this.held));
      else writeText(changetype<JSON.Raw>(this.held).data);
    }

    @unsafe private __visit(cookie: u32): void {
      if (this.held) __visit(this.held, cookie);
      const writer = this.writer;
      if (writer != null) __visit(changetype<usize>(writer), cookie);
    }
  }

  function integerType<T>(): u16 {
    const size = sizeof<T>();
    return (isSigned<T>() ? Types.I8 : Types.U8) + <u16>(size == 8 ? 3 : size >> 1);
  }

  function typeName<T>(): string {
    if (!isManaged<T>()) return nameof<T>();
    const type = changetype<nonnull<T>>(0);
    if (type instanceof JSON.Obj || type instanceof JSON.Arr || type instanceof JSON.Raw) return "JSON." + nameof<T>();
    return nameof<T>();
  }

  function otherType<T>(): u16 {
    const type = changetype<T>(0);
    if (type instanceof Map) return Types.Map;
    if (type instanceof ArrayBufferView) return Types.TypedArray;
    if (type instanceof ArrayBuffer) return Types.ArrayBuffer;
    return Types.Struct + <u16>idof<T>();
  }

  /** An object with any keys, in the order in which they were set. */
  // @ts-ignore: decorator
  @final
  export class Obj {
    _members: Map<string, JSON.Value> = new Map<string, JSON.Value>();

    get size(): i32 {
      return this._members.size;
    }
    set<T>(key: string, value: T): void {
      this._members.set(key, JSON.Value.__from<T>(value));
    }
    get(key: string): JSON.Value | null {
      return this._members.has(key) ? this._members.get(key) : null;
    }
    /** As `get(key)!.get<T>()`; 0, false or null if there is no such key. */
    getAs<T>(key: string): T {
      if (this._members.has(key)) return this._members.get(key).get<T>();
      if (isManaged<T>() && !isNullable<T>()) throw new Error(`the object has no key "${key}"`);
      return zero<T>();
    }
    has(key: string): bool {
      return this._members.has(key);
    }
    delete(key: string): bool {
      return this._members.delete(key);
    }
    clear(): void {
      this._members.clear();
    }
    keys(): string[] {
      return this._members.keys();
    }
    values(): JSON.Value[] {
      return this._members.values();
    }
    toString(): string {
      return stringifyValue<JSON.Obj>(this);
    }
    static from<T>(value: T): JSON.Obj {
      if (value instanceof JSON.Obj) return changetype<JSON.Obj>(value);
      return parseText<JSON.Obj>(stringifyValue<T>(value), 0);
    }
  }

  /** A list of any values. */
  // @ts-ignore: decorator
  @final
  export class Arr {
    _items: JSON.Value[] = [];

    get length(): i32 {
      return this._items.length;
    }
    at(index: i32): JSON.Value {
      if (<u32>index >= <u32>this._items.length) throw new RangeError(E_INDEXOUTOFRANGE);
      return unchecked(this._items[index]);
    }
    getAs<T>(index: i32): T {
      return this.at(index).get<T>();
    }
    set<T>(index: i32, value: T): void {
      if (<u32>index >= <u32>this._items.length) throw new RangeError(E_INDEXOUTOFRANGE);
      this._items[index] = JSON.Value.__from<T>(value);
    }
    push<T>(value: T): void {
      this._items.push(JSON.Value.__from<T>(value));
    }
    pop(): JSON.Value {
      return this._items.pop();
    }
    shift(): JSON.Value {
      return this._items.shift();
    }
    unshift<T>(value: T): i32 {
      return this._items.unshift(JSON.Value.__from<T>(value));
    }
    clear(): void {
      this._items.length = 0;
    }
    reverse(): JSON.Arr {
      this._items.reverse();
      return this;
    }
    fill<T>(value: T, start: i32 = 0, end: i32 = i32.MAX_VALUE): JSON.Arr {
      this._items.fill(JSON.Value.__from<T>(value), start, end);
      return this;
    }
    copyWithin(target: i32, start: i32, end: i32 = i32.MAX_VALUE): JSON.Arr {
      this._items.copyWithin(target, start, end);
      return this;
    }
    slice(start: i32 = 0, end: i32 = i32.MAX_VALUE): JSON.Arr {
      return Arr.of(this._items.slice(start, end));
    }
    splice(start: i32, deleteCount: i32 = i32.MAX_VALUE): JSON.Arr {
      return Arr.of(this._items.splice(start, deleteCount));
    }
    concat(other: JSON.Arr): JSON.Arr {
      return Arr.of(this._items.concat(other._items));
    }
    indexOf<T>(value: T, fromIndex: i32 = 0): i32 {
      return this.texts().indexOf(JSON.Value.__from<T>(value).toString(), fromIndex);
    }
    lastIndexOf<T>(value: T, fromIndex: i32 = i32.MAX_VALUE): i32 {
      return this.texts().lastIndexOf(JSON.Value.__from<T>(value).toString(), fromIndex < 0 ? fromIndex : min(fromIndex, this.length - 1));
    }
    includes<T>(value: T, fromIndex: i32 = 0): bool {
      return this.indexOf<T>(value, fromIndex) >= 0;
    }
    /** Values are equal if their JSON is. */
    private texts(): string[] {
      return this._items.map<string>((value) => stringifyValue<JSON.Value>(value));
    }
    forEach(fn: (value: JSON.Value, index: i32, array: JSON.Arr) => void): void {
      for (let i = 0; i < this.length; i++) fn(this.at(i), i, this);
    }
    map(fn: (value: JSON.Value, index: i32, array: JSON.Arr) => JSON.Value): JSON.Arr {
      const made = new JSON.Arr();
      for (let i = 0; i < this.length; i++) made.push(fn(this.at(i), i, this));
      return made;
    }
    filter(fn: (value: JSON.Value, index: i32, array: JSON.Arr) => bool): JSON.Arr {
      const made = new JSON.Arr();
      for (let i = 0; i < this.length; i++) if (fn(this.at(i), i, this)) made.push(this.at(i));
      return made;
    }
    find(fn: (value: JSON.Value, index: i32, array: JSON.Arr) => bool): JSON.Value | null {
      const i = this.findIndex(fn);
      return i < 0 ? null : this.at(i);
    }
    findIndex(fn: (value: JSON.Value, index: i32, array: JSON.Arr) => bool): i32 {
      for (let i = 0; i < this.length; i++) if (fn(this.at(i), i, this)) return i;
      return -1;
    }
    findLast(fn: (value: JSON.Value, index: i32, array: JSON.Arr) => bool): JSON.Value | null {
      const i = this.findLastIndex(fn);
      return i < 0 ? null : this.at(i);
    }
    findLastIndex(fn: (value: JSON.Value, index: i32, array: JSON.Arr) => bool): i32 {
      for (let i = this.length - 1; i >= 0; i--) if (fn(this.at(i), i, this)) return i;
      return -1;
    }
    every(fn: (value: JSON.Value, index: i32, array: JSON.Arr) => bool): bool {
      for (let i = 0; i < this.length; i++) if (!fn(this.at(i), i, this)) return false;
      return true;
    }
    some(fn: (value: JSON.Value, index: i32, array: JSON.Arr) => bool): bool {
      return this.findIndex(fn) >= 0;
    }
    reduce<U>(fn: (acc: U, value: JSON.Value, index: i32, array: JSON.Arr) => U, initialValue: U): U {
      for (let i = 0; i < this.length; i++) initialValue = fn(initialValue, this.at(i), i, this);
      return initialValue;
    }
    reduceRight<U>(fn: (acc: U, value: JSON.Value, index: i32, array: JSON.Arr) => U, initialValue: U): U {
      for (let i = this.length - 1; i >= 0; i--) initialValue = fn(initialValue, this.at(i), i, this);
      return initialValue;
    }
    sort(comparator: (a: JSON.Value, b: JSON.Value) => i32): JSON.Arr {
      this._items.sort(comparator);
      return this;
    }
    join(separator: string = ","): string {
      const texts: string[] = [];
      for (let i = 0; i < this.length; i++) {
        const value = this.at(i);
        if (value.type == Types.String) texts.push(value.get<string>());
        else texts.push(value.type == Types.Null ? "" : stringifyValue<JSON.Value>(value));
      }
      return texts.join(separator);
    }
    toString(): string {
      return stringifyValue<JSON.Arr>(this);
    }
    @operator("[]") private __get(index: i32): JSON.Value {
      return this.at(index);
    }
    @operator("[]=") private __set(index: i32, value: JSON.Value): void {
      this.set<JSON.Value>(index, value);
    }
    private static of(items: JSON.Value[]): JSON.Arr {
      const made = new JSON.Arr();
      made._items = items;
      return made;
    }
    static from<T>(value: T): JSON.Arr {
      if (value instanceof JSON.Arr) return changetype<JSON.Arr>(value);
      return idof<T>() == idof<JSON.Value[]>() ? Arr.of(changetype<JSON.Value[]>(value)) : unreachable();
    }
  }
}
