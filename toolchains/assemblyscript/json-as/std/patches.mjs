// Corrections of asc's standard library, made in memory when this module is loaded. A test compares each with what an
// unpatched asc does, and fails once asc has been corrected, so that the patch can go (tests/compiler/test_numbers.py).

import { readFileSync } from "node:fs";
import { libraryFiles } from "assemblyscript/asc";

/** [file of asc's library, what it holds, what it should hold] */
const PATCHES = [
  // parseFloat, f64.parse: wrong by powers of ten from 1e38 on.
  ["util/string", "export function strtod(", 'export { strtod, strtof } from "./decimal";\nfunction strtodOfAsc('],
  // f32.parse: rounded twice, to f64 and then to f32.
  ["number", "import { strtol, strtod }", "import { strtol, strtod, strtof }"],
  ["number", "<f32>strtod(value)", "strtof(value)"],
  ["builtins", "import { strtol, strtod, strtob }", "import { strtol, strtod, strtof, strtob }"],
  ["builtins", "<f32>strtod(value)", "strtof(value)"],
  // Date.fromString: the year 0 from what is no date, and the 2nd of March from the 30th of February.
  ["date", "import { E_INVALIDDATE }", 'import { millisecondsOf } from "util/datetime";\nimport { E_INVALIDDATE }'],
  [
    "date",
    "  static fromString(dateTimeString: string): Date {",
    "  static fromString(dateTimeString: string): Date {\n    return new Date(millisecondsOf(dateTimeString));\n  }\n" +
      "\n  private static fromStringOfAsc(dateTimeString: string): Date {",
  ],
];

for (const name of ["decimal", "datetime"]) {
  libraryFiles[`util/${name}`] = readFileSync(new URL(`${name}.ts`, import.meta.url), "utf8");
}
for (const [file, before, after] of PATCHES) {
  const parts = libraryFiles[file].split(before);
  if (parts.length !== 2) throw new Error(`asc's ${file} is not the one that was patched: no single "${before}"`);
  libraryFiles[file] = parts.join(after);
}
