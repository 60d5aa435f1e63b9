/*
 * Renders a small part of Markdown as HTML: headings, paragraphs, lists, **bold**, *italic* and `code`. It shows how to
 * build text piece by piece, and that what comes from outside is escaped before it goes into HTML.
 */
import { JSON } from "json-as";

@json
class Input {
  markdown: string = "";
}

@json
class Output {
  html: string = "";
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** Puts what stands between two marks into an element; a mark without its partner, or right before it, stays as it is. */
function wrapped(text: string, mark: string, element: string): string {
  let result = "";
  let rest = text;
  while (true) {
    const open = rest.indexOf(mark);
    const close = open < 0 ? -1 : rest.indexOf(mark, open + mark.length + 1);
    if (close < 0) return result + rest;
    const inside = rest.slice(open + mark.length, close);
    result += rest.slice(0, open) + `<${element}>${inside}</${element}>`;
    rest = rest.slice(close + mark.length);
  }
}

/** What is between two backticks is code, in which a star marks nothing. */
function withCode(text: string): string {
  const parts = text.split("`");
  let result = parts[0];
  for (let i = 1; i < parts.length; i++) {
    const isClosed = i % 2 == 0 || i + 1 < parts.length;
    if (!isClosed) result += "`" + parts[i];
    else result += i % 2 == 1 ? `<code>${parts[i].replaceAll("*", "&#42;")}</code>` : parts[i];
  }
  return result;
}

function inline(text: string): string {
  return wrapped(wrapped(withCode(escaped(text)), "**", "strong"), "*", "em");
}

function headingLevel(line: string): i32 {
  let level = 0;
  while (level < 6 && line.charAt(level) == "#") level++;
  return line.charAt(level) == " " ? level : 0;
}

function block(lines: string[]): string {
  const level = headingLevel(lines[0]);
  if (level > 0) return `<h${level}>${inline(lines[0].slice(level + 1))}</h${level}>`;
  if (!lines[0].startsWith("- ")) return `<p>${inline(lines.join(" "))}</p>`;
  return "<ul>" + lines.map<string>((line) => `<li>${inline(line.slice(2))}</li>`).join("") + "</ul>";
}

export function handle(input: string): string {
  const blocks = JSON.parse<Input>(input).markdown.replaceAll("\r\n", "\n").split("\n\n");
  const output = new Output();
  const rendered: string[] = [];
  for (let i = 0; i < blocks.length; i++) {
    const text = blocks[i].trim();
    if (text.length > 0) rendered.push(block(text.split("\n")));
  }
  output.html = rendered.join("\n");
  return JSON.stringify(output);
}
