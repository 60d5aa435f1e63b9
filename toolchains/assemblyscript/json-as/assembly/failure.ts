// What is said about a text that is not what it should be. The path to the place is found by reading the text again up to
// there, so that it costs nothing where all goes well.

import {
  at, BACKSLASH, BRACE, BRACE_END, BRACKET, BRACKET_END, COMMA, copy, end, moveTo, outer, Place, QUOTE, skipValue,
  startsNumber, text
} from "./text";

const MOST_SHOWN = 60;
const MOST_STEPS = 20;

/** The text that handle was given: its values are called `input`, those of other texts `$`. */
let input: usize = 0;
export function rememberInput(given: string): void {
  input = changetype<usize>(given);
}

/** The value at `place` is of another kind than `wanted`. */
export function failKind(place: usize, wanted: string): void {
  if (place >= end) failEnd();
  moveTo(place);
  skipValue(); // it may be no JSON at all
  fail(place, `${shown(place, at)} is ${kindOf(load<u16>(place))}${wanted}`);
}

/** The value from `place` to here is what the words say. */
export function failValue(place: usize, words: string): void {
  fail(place, `${shown(place, at)} ${words}`);
}

/** No JSON goes on like this. */
export function failSyntax(place: usize): void {
  if (place >= end) failEnd();
  const code = load<u16>(place);
  const unit = code < 0x20 ? "a control character (" + code.toString() + ")" : shown(place, min(place + 24, end));
  const position = (place - changetype<usize>(text)) >> 1;
  fail(place, `this is not JSON: unexpected ${unit} at character ${position + 1}`);
}

export function failEnd(): void {
  fail(end, text.length ? "this is not JSON: the text ends too early" : "this is not JSON: the text is empty");
}

export function fail(place: usize, words: string): void {
  throw new Error(`${root(text, outer)}${path(changetype<usize>(text), place)}: ${words}`);
}

function kindOf(unit: u32): string {
  if (unit == QUOTE) return "a string, not ";
  if (unit == BRACE) return "an object, not ";
  if (unit == BRACKET) return "an array, not ";
  if (startsNumber(unit)) return "a number, not ";
  return unit == 0x6e ? "not " : "a boolean, not ";
}

function shown(start: usize, stop: usize): string {
  const whole = copy(start, stop);
  return whole.length > MOST_SHOWN ? whole.substring(0, MOST_SHOWN) + "..." : whole;
}

/** A text that a custom deserializer was given is named after its place in the text around it. */
function root(given: string, around: Place | null): string {
  if (changetype<usize>(given) == input) return "input";
  if (around == null) return "$";
  const part = around.part;
  if (part == null || changetype<usize>(part) != changetype<usize>(given)) return "$";
  return root(around.text, around.outer) + path(changetype<usize>(around.text), around.partStart);
}

/** `.items[2].cents`: from `start`, where the text begins, to the value at `place`. */
function path(start: usize, place: usize): string {
  const steps: string[] = [];
  const counts: i32[] = []; // -1 in an object that waits for a key, -2 in one that has it, else the index in a list
  for (let p = start; p < place; p += 2) {
    const unit = <u32>load<u16>(p);
    const last = steps.length - 1;
    if (unit == BRACE || unit == BRACKET) {
      steps.push(unit == BRACE ? "" : "[0]");
      counts.push(unit == BRACE ? -1 : 0);
    } else if (unit == BRACE_END || unit == BRACKET_END) {
      steps.pop();
      counts.pop();
    } else if (unit == COMMA && last >= 0) {
      if (counts[last] >= 0) steps[last] = `[${++counts[last]}]`;
      else counts[last] = -1;
    } else if (unit == QUOTE) {
      const from = p;
      for (p += 2; p < place && load<u16>(p) != QUOTE; p += 2) if (load<u16>(p) == BACKSLASH) p += 2;
      if (last >= 0 && counts[last] == -1) {
        steps[last] = step(from + 2, min(p, place));
        counts[last] = -2;
      }
    }
  }
  if (steps.length <= MOST_STEPS) return steps.join("");
  return steps.slice(0, MOST_STEPS / 2).join("") + "..." + steps.slice(-MOST_STEPS / 2).join("");
}

/** `.name`, or `["first name"]`; the key as the text spells it. */
function step(start: usize, stop: usize): string {
  let plain = start < stop;
  for (let p = start; p < stop; p += 2) {
    const unit = <u32>load<u16>(p), digit = unit - 0x30 < 10;
    const letter = (unit | 32) - 0x61 < 26 || unit == 0x5f || unit == 0x24 || (unit > 0x7f && unit < 0xd800);
    if (!letter && !(digit && p > start)) plain = false;
  }
  return plain ? "." + shown(start, stop) : `["${shown(start, stop)}"]`;
}
