/*
 * Adds numbers up. An array of numbers is `f64[]`, the type of every number in JavaScript; whole numbers that fit
 * may be `i32` or `i64` instead. An empty or missing list has the sum 0.
 */
import { JSON } from "json-as";

@json
class Input {
  numbers: f64[] = [];
}

@json
class Output {
  count: i32 = 0;
  sum: f64 = 0.0;
}

export function handle(input: string): string {
  const numbers = JSON.parse<Input>(input).numbers;
  const output = new Output();
  output.count = numbers.length;
  for (let i = 0; i < numbers.length; i++) {
    output.sum += numbers[i];
  }
  return JSON.stringify(output);
}
