/*
 * Tells for each number of a list whether its check digit is right, by the Luhn formula (ISO/IEC 7812-1, annex B), as
 * bank cards use it. It shows a list of objects built from a list of strings, early `return`, and a field that is left
 * out of the output when it is null: the reason, which only a wrong number has.
 */
import { JSON } from "json-as";

@json
class Input {
  numbers: string[] = [];
}

@json
class Verdict {
  number: string = "";
  valid: bool = false;

  @omitnull()
  reason: string | null = null;
}

@json
class Output {
  verdicts: Verdict[] = [];
}

function problem(number: string): string | null {
  const digits = number.replaceAll(" ", "").replaceAll("-", "");
  if (digits.length < 2) return "too short";
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    let digit = digits.charCodeAt(digits.length - 1 - i) - 48;
    if (digit < 0 || digit > 9) return "not a number";
    if (i % 2 == 1) {
      digit *= 2;
      if (digit > 9) digit -= 9;
    }
    sum += digit;
  }
  return sum % 10 == 0 ? null : "wrong check digit";
}

export function handle(input: string): string {
  const numbers = JSON.parse<Input>(input).numbers;
  const output = new Output();
  for (let i = 0; i < numbers.length; i++) {
    const verdict = new Verdict();
    verdict.number = numbers[i];
    verdict.reason = problem(numbers[i]);
    verdict.valid = verdict.reason == null;
    output.verdicts.push(verdict);
  }
  return JSON.stringify(output);
}
