/*
 * Turns a title into the part of a web address: lower case, accents removed, everything else a hyphen. It shows work
 * on single characters, a lookup table, and a limit that the caller may give or leave out: a number that may be
 * missing is a `JSON.Box`, since a plain number cannot be null.
 */
import { JSON } from "json-as";

@json
class Input {
  title: string = "";
  maxLength: JSON.Box<i32> | null = null;
}

@json
class Output {
  slug: string = "";
}

const ACCENTED = "àáâãåçèéêëìíîïñòóôõùúûýÿ";
const PLAIN = "aaaaaceeeeiiiinoooouuuyy";

function plain(character: string): string {
  if (character == "ä") return "ae";
  if (character == "ö") return "oe";
  if (character == "ü") return "ue";
  if (character == "ß") return "ss";
  const at = ACCENTED.indexOf(character);
  return at < 0 ? character : PLAIN.charAt(at);
}

function isAllowed(character: string): bool {
  return (character >= "a" && character <= "z") || (character >= "0" && character <= "9");
}

/** An accent that follows its letter, as a character of its own. */
function isAccent(unit: i32): bool {
  return unit >= 0x300 && unit <= 0x36f;
}

function slugOf(title: string): string {
  let slug = "";
  const text = title.toLowerCase();
  for (let i = 0; i < text.length; i++) {
    if (isAccent(text.charCodeAt(i))) continue;
    const piece = plain(text.charAt(i));
    if (isAllowed(piece.charAt(0))) slug += piece;
    else if (slug.length > 0 && !slug.endsWith("-")) slug += "-";
  }
  return withoutLastHyphen(slug);
}

function withoutLastHyphen(slug: string): string {
  return slug.endsWith("-") ? slug.slice(0, -1) : slug;
}

export function handle(input: string): string {
  const wanted = JSON.parse<Input>(input);
  const output = new Output();
  output.slug = slugOf(wanted.title);
  const limit = wanted.maxLength;
  if (limit != null) {
    if (limit.value < 1) throw new Error("maxLength must be at least 1");
    output.slug = withoutLastHyphen(output.slug.slice(0, limit.value));
  }
  return JSON.stringify(output);
}
