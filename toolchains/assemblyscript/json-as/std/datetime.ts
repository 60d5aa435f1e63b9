// Dates as text, strictly: ISO 8601 as RFC 3339 and ECMAScript have it. It takes the place of asc's own reading, which makes
// the year 0 of what is no date: patches.mjs adds this file to asc's library as util/datetime.

export const INVALID_DATE: i64 = i64.MIN_VALUE;
export const DATE_WANTED: string = "a date (ISO 8601, as in 2026-01-31T12:00:00Z)";
/** The widest range of ECMAScript's Date. */
const MOST_MS: i64 = 8640000000000000;

let place: usize = 0;
let stop: usize = 0;
let valid: bool = false;

/** Milliseconds since 1970, or INVALID_DATE. A time without an offset is UTC. */
export function parseDateTime(text: string): i64 {
  place = changetype<usize>(text);
  stop = place + (<usize>text.length << 1);
  valid = true;
  const year = parseYear();
  const month = take(0x2d) ? digits(2) : 1;
  const day = month && take(0x2d) ? digits(2) : 1;
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) valid = false;
  let ms: i64 = 0;
  if (valid && (take(0x54) || take(0x74) || take(0x20))) ms = parseTime();
  if (!valid || place != stop) return INVALID_DATE;
  ms += daysSince1970(year, month, day) * 86400000;
  return ms < -MOST_MS || ms > MOST_MS ? INVALID_DATE : ms;
}

/** The same for `new Date(text)` and `Date.fromString`. */
export function millisecondsOf(text: string): i64 {
  const ms = parseDateTime(text);
  if (ms == INVALID_DATE) throw new RangeError(`"${text.substring(0, 60)}" is not ${DATE_WANTED}`);
  return ms;
}

/** In the Gregorian calendar, also before it was in use. Years begin in March here, so that a leap day is their last. */
function daysSince1970(year: i32, month: i32, day: i32): i64 {
  if (month < 3) year--;
  const century = <i32>Math.floor(year / 100.0), leap = <i32>Math.floor(year / 4.0), era = <i32>Math.floor(year / 400.0);
  const dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
  return year * 365 + leap - century + era + dayOfYear - 719468;
}

/** Four digits, or a sign and six. */
function parseYear(): i32 {
  if (take(0x2b)) return digits(6);
  return take(0x2d) ? -digits(6) : digits(4);
}

function daysIn(year: i32, month: i32): i32 {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

function parseTime(): i64 {
  const hour = digits(2);
  if (!take(0x3a)) valid = false;
  const minute = digits(2);
  const second = take(0x3a) ? digits(2) : 0;
  const ms = take(0x2e) ? milliseconds() : 0;
  const isMidnight = hour == 24 && minute + second + ms == 0; // of the next day
  if ((hour > 23 && !isMidnight) || minute > 59 || second > 59) valid = false;
  return <i64>(hour * 3600000 + minute * 60000 + second * 1000 + ms) - parseOffset();
}

/** Digits after the third are cut off. */
function milliseconds(): i32 {
  let ms = 0, count = 0;
  for (; isDigitHere(); place += 2) if (count++ < 3) ms = ms * 10 + load<u16>(place) - 0x30;
  if (!count) valid = false;
  for (; count < 3; count++) ms *= 10;
  return ms;
}

/** Z, +05:30, +0530, +05, or nothing. */
function parseOffset(): i32 {
  if (place == stop || take(0x5a) || take(0x7a)) return 0;
  const east = take(0x2b);
  if (!east && !take(0x2d)) valid = false;
  const hours = digits(2);
  const minutes = take(0x3a) || isDigitHere() ? digits(2) : 0;
  if (hours > 23 || minutes > 59) valid = false;
  return (hours * 60 + minutes) * (east ? 60000 : -60000);
}

function take(unit: u16): bool {
  if (place >= stop || load<u16>(place) != unit) return false;
  place += 2;
  return true;
}

function isDigitHere(): bool {
  return place < stop && <u32>load<u16>(place) - 0x30 < 10;
}

function digits(count: i32): i32 {
  let value = 0;
  for (; count > 0; count--, place += 2) {
    if (!isDigitHere()) {
      valid = false;
      return 0;
    }
    value = value * 10 + load<u16>(place) - 0x30;
  }
  return value;
}
