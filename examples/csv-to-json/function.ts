/*
 * Reads comma-separated values (RFC 4180: quoted fields, doubled quotes, line breaks inside quotes) and returns one
 * object per row, named by the header line. The keys are not known when the function is written, so a row is a Map,
 * which json-as writes as a JSON object.
 */
import { JSON } from "json-as";

@json
class Input {
  csv: string = "";
  separator: string = ",";
}

@json
class Output {
  rows: Map<string, string>[] = [];
}

class Reader {
  private at: i32 = 0;

  constructor(
    private text: string,
    private separator: string,
  ) {}

  records(): string[][] {
    const records: string[][] = [];
    while (this.at < this.text.length) records.push(this.record());
    return records;
  }

  private record(): string[] {
    const fields = [this.field()];
    while (this.at < this.text.length && this.text.charAt(this.at) == this.separator) {
      this.at++;
      fields.push(this.field());
    }
    const end = this.at;
    if (this.text.charAt(this.at) == "\r") this.at++;
    if (this.text.charAt(this.at) == "\n") this.at++;
    if (this.at == end && end < this.text.length) throw new Error(`text after a quoted field, at character ${end + 1}`);
    return fields;
  }

  private field(): string {
    return this.text.charAt(this.at) == '"' ? this.quoted() : this.bare();
  }

  private bare(): string {
    const start = this.at;
    while (this.at < this.text.length) {
      const character = this.text.charAt(this.at);
      if (character == this.separator || character == "\n" || character == "\r") break;
      this.at++;
    }
    return this.text.slice(start, this.at);
  }

  private quoted(): string {
    let field = "";
    while (true) {
      const end = this.text.indexOf('"', this.at + 1);
      if (end < 0) throw new Error(`a quote that opens at character ${this.at + 1} is never closed`);
      field += this.text.slice(this.at + 1, end);
      this.at = end + 1;
      if (this.text.charAt(this.at) != '"') return field;
      field += '"';
    }
  }
}

export function handle(input: string): string {
  const wanted = JSON.parse<Input>(input);
  if (wanted.separator.length != 1) throw new Error("separator must be one character");
  const records = new Reader(wanted.csv, wanted.separator).records();
  const output = new Output();
  for (let i = 1; i < records.length; i++) {
    if (records[i].length != records[0].length) {
      throw new Error(`record ${i + 1} has ${records[i].length} fields; the header has ${records[0].length}`);
    }
    const row = new Map<string, string>();
    for (let column = 0; column < records[0].length; column++) {
      const name = records[0][column];
      if (row.has(name)) throw new Error(`the header has two fields of the name "${name}"`);
      row.set(name, records[i][column]);
    }
    output.rows.push(row);
  }
  return JSON.stringify(output);
}
