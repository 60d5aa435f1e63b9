/*
 * Counts the days, and the working days, from one date to another. It shows `Date`, which counts in UTC here, the check
 * of what a caller sends as a date, and a list in the input that may be left out. `Date.now()` would give the present.
 */
import { JSON } from "json-as";

@json
class Input {
  from: string = "";
  to: string = "";
  holidays: string[] = [];
}

@json
class Output {
  days: i32 = 0;
  workingDays: i32 = 0;
  startsOn: string = "";
  lastDay: string = "";
}

const DAY_MS: i64 = 86_400_000;
const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** A date such as 2024-02-29. Writing it back tells whether it exists: 2023-02-29 would become 2023-03-01. */
function parseDay(text: string, field: string): Date {
  if (text.length == 10 && text.charAt(4) == "-" && text.charAt(7) == "-") {
    const month = I32.parseInt(text.slice(5, 7)) - 1;
    const day = new Date(Date.UTC(I32.parseInt(text.slice(0, 4)), month, I32.parseInt(text.slice(8))));
    if (isoDay(day) == text) return day;
  }
  throw new Error(`${field}: "${text}" is not a date such as 2024-02-29`);
}

function isoDay(day: Date): string {
  return day.toISOString().slice(0, 10);
}

export function handle(input: string): string {
  const wanted = JSON.parse<Input>(input);
  const from = parseDay(wanted.from, "from");
  const to = parseDay(wanted.to, "to");
  if (to.getTime() < from.getTime()) throw new Error("to is before from");

  const output = new Output();
  output.startsOn = WEEKDAYS[from.getUTCDay()];
  output.days = <i32>((to.getTime() - from.getTime()) / DAY_MS);
  for (let time = from.getTime(); time < to.getTime(); time += DAY_MS) {
    const day = new Date(time);
    const isWeekend = day.getUTCDay() == 0 || day.getUTCDay() == 6;
    if (!isWeekend && !wanted.holidays.includes(isoDay(day))) output.workingDays++;
    output.lastDay = isoDay(day);
  }
  return JSON.stringify(output);
}
