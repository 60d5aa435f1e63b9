/*
 * Counts the words of a text and lists the most frequent ones. It shows a Map as a counter, sorting by a function of
 * one's own, and a list of objects in the output. A string is a sequence of UTF-16 units, where an emoji takes two,
 * so characters are counted by their code points.
 */
import { JSON } from "json-as";

@json
class Input {
  text: string = "";
  top: i32 = 3;
}

@json
class Word {
  word: string = "";
  count: i32 = 0;
}

@json
class Output {
  characters: i32 = 0;
  words: i32 = 0;
  top: Word[] = [];
}

const PUNCTUATION = ".,;:!?\"'()[]\r\n\t";

function words(text: string): string[] {
  let spaced = text.toLowerCase();
  for (let i = 0; i < PUNCTUATION.length; i++) {
    spaced = spaced.replaceAll(PUNCTUATION.charAt(i), " ");
  }
  return spaced.split(" ").filter((word) => word.length > 0);
}

function codePoints(text: string): i32 {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const isSecondHalf = (text.charCodeAt(i) & 0xfc00) == 0xdc00;
    if (!isSecondHalf) count++;
  }
  return count;
}

function counted(list: string[]): Word[] {
  const counts = new Map<string, i32>();
  for (let i = 0; i < list.length; i++) {
    const word = list[i];
    counts.set(word, (counts.has(word) ? counts.get(word) : 0) + 1);
  }
  const result: Word[] = [];
  const keys = counts.keys();
  for (let i = 0; i < keys.length; i++) {
    const entry = new Word();
    entry.word = keys[i];
    entry.count = counts.get(keys[i]);
    result.push(entry);
  }
  return result;
}

export function handle(input: string): string {
  const wanted = JSON.parse<Input>(input);
  if (wanted.top < 0) throw new Error("top must not be negative");
  const list = words(wanted.text);
  const output = new Output();
  output.characters = codePoints(wanted.text);
  output.words = list.length;
  output.top = counted(list)
    .sort((a, b) => (a.count != b.count ? b.count - a.count : a.word < b.word ? -1 : 1))
    .slice(0, wanted.top);
  return JSON.stringify(output);
}
