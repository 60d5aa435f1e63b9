// The AssemblyScript compiler, kept warm: a JSON line in for each compilation, a JSON line out.
//
//   node worker.mjs NODE_MODULES
//   in:  {"folder": "/absolute/path"}    a folder that holds function.ts
//   out: {"verdict": "compiled" | "rejected" | "crashed" | "unavailable", "text": "..."}
//
// "compiled" leaves function.wasm in the folder. After "crashed" this process must not be used again.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { LineTable, SOURCE } from "./lines.mjs";

const MODULE = "function.wasm";
const FLAGS = [SOURCE, "-o", MODULE, "--exportRuntime", "--runtime", "incremental", "--optimize"];
// What a source may import besides itself and the standard library, which asc carries within it.
const LIBRARIES = ["json-as", "xjb-as"];
const TEXT_CHARACTERS = 256 * 1024;

const nodeModules = process.argv[2];
const load = (file) => import(pathToFileURL(path.join(nodeModules, file)));
const asc = await load("assemblyscript/dist/asc.js");
const { default: JsonTransform } = await load("json-as/transform.mjs");

// ---- What the compiler may see ------------------------------------------------------------------------------------

/**
 * The libraries' files, listed once, with the text of those that were read. A source can ask for any path: one that is
 * not listed never reaches the disk, so a read that fails is never the source's doing.
 */
const libraryFiles = new Map(LIBRARIES.flatMap(listFiles).map((file) => [file, null]));

function listFiles(library) {
  const entries = readdirSync(path.join(nodeModules, library), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(nodeModules, path.join(entry.parentPath, entry.name)));
}

/** The only file reading asc gets: the source, and the libraries as if they were installed beside it. */
function readFile(folder, source) {
  const installed = path.join(folder, "node_modules") + path.sep;
  return (name, base) => {
    const file = path.resolve(folder, base, name);
    if (file === path.join(folder, SOURCE)) return source;
    if (!file.startsWith(installed)) return null;
    return readLibrary(file.slice(installed.length));
  };
}

function readLibrary(file) {
  if (!libraryFiles.has(file)) return null;
  const text = libraryFiles.get(file) ?? readOrFail(path.join(nodeModules, file));
  libraryFiles.set(file, text);
  return text;
}

function readOrFail(file) {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Unavailable(error);
  }
}

// ---- What a function must export ----------------------------------------------------------------------------------

const SIGNATURE = "export function handle(input: string): string";

class NoHandle extends Error {}

/** Looks at the compiled program, before it is optimized, and changes nothing. asc sets `program`. */
class HandleCheck {
  afterCompile() {
    const problem = handleProblem(this.program);
    if (problem) throw new NoHandle(problem);
  }
}

function handleProblem(program) {
  const file = program.filesByName.get(SOURCE.slice(0, -".ts".length));
  const exported = file?.lookupExport("handle");
  if (!exported) return `${SIGNATURE} is missing`;
  const [instance] = exported.instances?.values() ?? [];
  const signature = instance?.signature;
  if (!signature) return `handle must be a function: ${SIGNATURE}`;
  const string = program.stringInstance.type;
  const fits =
    signature.parameterTypes.length === 1 &&
    signature.requiredParameters === 1 &&
    signature.parameterTypes[0].equals(string) &&
    signature.returnType.equals(string);
  return fits ? null : `handle must be declared as "${SIGNATURE}"; it is ${describe(signature)}`;
}

function describe(signature) {
  const parameters = signature.parameterTypes.map((type, i) => typeName(type) + (i < signature.requiredParameters ? "" : "?"));
  return `(${parameters.join(", ")}) => ${typeName(signature.returnType)}`;
}

const typeName = (type) => type.toString().replaceAll("~lib/string/String", "string");

// ---- One compilation ----------------------------------------------------------------------------------------------

class Unavailable extends Error {}
class Exit extends Error {}

// asc ends the process after a crash of its own; here that ends one compilation.
process.exit = () => {
  throw new Exit();
};

/** What asc and its transforms print, whichever way they do it. */
let printed = "";
const print = (text) => {
  if (printed.length < TEXT_CHARACTERS) printed += text;
};
const stream = { write: print };
for (const level of ["log", "info", "warn", "error", "debug", "trace"]) {
  console[level] = (...words) => print(words.join(" ") + "\n");
}

async function compile(folder) {
  const source = readFileSync(path.join(folder, SOURCE), "utf8");
  let wasm = null;
  printed = "";
  process.chdir(folder);
  try {
    const { error } = await asc.main(FLAGS, {
      stdout: stream,
      stderr: stream,
      transforms: [JsonTransform, HandleCheck, LineTable],
      readFile: readFile(folder, source),
      writeFile: (name, contents) => {
        if (name === MODULE) wasm = contents;
      },
      listFiles: () => [],
    });
    if (error instanceof NoHandle) return { verdict: "rejected", text: `ERROR: ${error.message}` };
    if (error instanceof Unavailable || error instanceof RangeError) throw error;
    if (error) return { verdict: "rejected", text: complaint(folder) };
  } catch (error) {
    if (error instanceof Unavailable) throw error;
    return { verdict: "crashed", text: crash(error, folder) };
  } finally {
    process.chdir("..");
  }
  if (!wasm) return { verdict: "crashed", text: "the compiler produced no module" };
  writeFileSync(path.join(folder, MODULE), wasm);
  return { verdict: "compiled", text: diagnostics(folder) };
}

/** What is wrong with the source. A transform that failed shows in no diagnostic, only in its exception. */
function complaint(folder) {
  const text = diagnostics(folder);
  if (/^ERROR /m.test(text)) return text;
  return `${text}\n(json-as, which writes the code of @json classes, does not accept this source)`;
}

/** asc's diagnostics, without its warnings about the libraries, which the user cannot change. */
function diagnostics(folder) {
  const isNoise = (block) => /^(WARNING|INFO|PEDANTIC)/.test(block) && block.includes("\u2514\u2500 in ~lib/");
  const blocks = printed.split("\n\n").filter((block) => !isNoise(block));
  return withoutPaths(blocks.join("\n\n"), folder);
}

function crash(error, folder) {
  const reason = error instanceof Exit ? crashReason(printed) : `${error.name}: ${error.message}`;
  const advice = /call stack/.test(reason) ? " (is the source nested too deeply?)" : "";
  return withoutPaths(`the AssemblyScript compiler crashed on this source: ${reason}${advice}`, folder);
}

/** asc's own words about its crash: a framed text, with a stack trace whose first line is the reason. */
function crashReason(text) {
  const lines = text.split("\n").map((line) => line.replace(/^\u258C ?/, "").trim());
  const trace = lines.findIndex((line) => line.startsWith("Here is the stack trace"));
  return lines.slice(trace + 1).find((line) => line) ?? "no reason given";
}

function withoutPaths(text, folder) {
  return text
    .split("\n")
    .filter((line) => !/^\s+at .*(?:file:|node:|\/)/.test(line))
    .join("\n")
    .replaceAll(folder + path.sep, "")
    .replaceAll(folder, ".")
    .replaceAll(nodeModules + path.sep, "~lib/");
}

// ---- The conversation ---------------------------------------------------------------------------------------------

async function answer(request) {
  try {
    return await compile(request.folder);
  } catch (error) {
    if (error.code === "EFBIG") return { verdict: "rejected", text: "the module is too large" };
    // A failed system call is the platform's, like a full disk; anything else comes from what the source is like.
    const isPlatforms = error instanceof Unavailable || error.errno !== undefined;
    return { verdict: isPlatforms ? "unavailable" : "crashed", text: `${error.message}` };
  }
}

const reply = (value) => process.stdout.write(JSON.stringify(value) + "\n");

reply({ verdict: "ready" });
for await (const line of createInterface({ input: process.stdin })) {
  const { verdict, text } = await answer(JSON.parse(line));
  reply({ verdict, text: text.toWellFormed().slice(0, TEXT_CHARACTERS).toWellFormed() });
}
