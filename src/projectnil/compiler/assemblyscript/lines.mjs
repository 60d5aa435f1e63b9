// Which line of the source each instruction came from, for the lines of the user's own file alone. It goes into the
// module as the custom section "projectnil.lines", which projectnil/sandbox/wasm_lines.py reads when a function fails.
//
// Binaryen keeps a location with each expression. Only those of the user's file are set. What the optimizer puts among
// them without a location, such as an inlined function of the library, gets the location of what it was put into. The
// methods that json-as adds to a class are library code as well, but for the user's initializers in them.

export const SOURCE = "function.ts";

const SECTION = "projectnil.lines";
const VERSION = 1;
const CODE_SECTION = 10;
const CUSTOM_SECTION = 0;
const PROPAGATE = "propagate-debug-locs";
const START = "~start";
const NAME_CHARACTERS = 100;

/** A transform of asc, which sets `program` and `binaryen`. It changes nothing of the code. */
export class LineTable {
  afterInitialize(program) {
    const { module } = program;
    const source = program.sources.find((each) => each.normalizedPath === SOURCE);
    const set = module.setDebugLocation.bind(module);
    program.options.sourceMap = true;
    module.setDebugLocation = (func, expression, file, line, column) => {
      if (file === source.debugInfoIndex) set(func, expression, file, line, column);
    };
    this.source = source;
  }

  afterCompile(module) {
    const emit = module.emitBinary.bind(module);
    module.emitBinary = () => {
      const { binary, sourceMap } = emit("map");
      const wasm = binary.subarray(0, lastSectionStart(binary)); // what is left out is the URL of the map
      return { binary: append(wasm, this.table(module, wasm, JSON.parse(sourceMap))), sourceMap: "" };
    };
    this.keepLocationsWhileOptimizing();
  }

  /** Fills in locations before anything is inlined, and after each pass that inlines. */
  keepLocationsWhileOptimizing() {
    const { module } = this.program;
    const run = module.runPasses.bind(module);
    const roots = new Map([[START, null]]); // the top level of every file may be inlined into it
    for (const each of locatedInstances(this.program, this.source)) {
      roots.set(each.internalName, rootLocation(each, this.source));
      roots.set(exportWrapper(each), null);
    }
    module.runPasses = (passes, func = 0) => {
      let next = [];
      this.fillIn(run, roots);
      for (const pass of passes) {
        next.push(pass);
        if (!pass.startsWith("inlining")) continue;
        run(next, func);
        this.fillIn(run, roots);
        next = [];
      }
      run(next, func);
    };
  }

  /** In each of the user's functions, what has no location gets that of what is before or around it. */
  fillIn(run, roots) {
    const { module } = this.program;
    const { Function: functions, getExpressionId, BlockId } = this.binaryen;
    for (const [name, location] of roots) {
      const func = module.getFunction(name);
      if (!func) continue;
      const root = functions.getBody(func);
      // A block does nothing itself. As the root, it has nothing around it that its contents could get theirs from.
      if (location && getExpressionId(root) === BlockId) {
        module.setDebugLocation(func, root, this.source.debugInfoIndex, location.line, location.column - 1);
      }
      run([PROPAGATE], func);
    }
  }

  /** The section's content: see wasm_lines.py. */
  table(module, wasm, map) {
    const functions = userFunctions(this.program, this.source);
    const code = codeSection(wasm);
    const bodies = functionBodies(wasm, code, namesInOrder(module, this.binaryen), functions);
    const segments = userSegments(map, this.source.debugInfoIndex, code, functionFinder(functions, this.source));
    const out = new Writer();
    out.unsigned(VERSION);
    out.text(SOURCE);
    out.unsigned(functions.length);
    for (const each of functions) out.text(each.name);
    writeBodies(out, bodies);
    writeSegments(out, segments);
    return out.bytes;
  }
}

// ---- The functions of the source ----------------------------------------------------------------------------------

/** The functions that have code of the source in them: one or more of each that the user wrote, and the top level. */
function locatedInstances(program, source) {
  const instances = [...program.instancesByName.values()].filter((each) => each.debugLocations);
  return [program.filesByName.get(source.internalPath).startFunction, ...instances].filter((each) =>
    each.debugLocations.values().some((range) => range.source === source),
  );
}

/** What Binaryen calls the function through which an exported one is called. */
const exportWrapper = ({ internalName }) => `export:${internalName}`;

/** Where the first instruction of a function came from; null if what the user wrote is only a part of the function. */
function rootLocation({ debugLocations, prototype }, source) {
  const { range } = prototype.declaration;
  const own = [...debugLocations.values()].filter((each) => each.source === source && isWithin(each, range));
  return own.length ? place(source, Math.min(...own.map(({ start }) => start))) : null;
}

const isWithin = (inner, outer) =>
  inner.source === outer.source && inner.start >= outer.start && inner.end <= outer.end;

function place(source, position) {
  return { line: source.lineAt(position), column: source.columnAt() };
}

/** Each function that the user wrote: its name, the names of its instances, and from where to where it goes. */
function userFunctions(program, source) {
  const found = new Map();
  for (const each of locatedInstances(program, source)) {
    const { name, start, end } = asWritten(each.prototype, source);
    const key = end ? `${start}-${end}` : name;
    if (!found.has(key)) found.set(key, { name, instances: [], start, end });
    found.get(key).instances.push(each.internalName, exportWrapper(each));
  }
  return [...found.values()];
}

/**
 * A function by its name in the source, and its place there. A constructor is its class, whose fields' initializers are
 * in it; so is a method that was added to the class, of which only those initializers are the user's.
 */
function asWritten(prototype, source) {
  const { declaration, parent, internalName, name } = prototype;
  const own = declaration.range;
  const ofClass = parent.prototype?.declaration.range;
  if (ofClass?.source === source && (own.source !== source || name === "constructor")) {
    const { start, end } = ofClass;
    return { name: readableName(`${parent.prototype.internalName}#constructor`), start, end };
  }
  if (own.source !== source) return { name: readableName(internalName), start: 0, end: 0 };
  return { name: readableName(nameWithin(prototype, source)), start: own.start, end: own.end };
}

/** An inner function is named after the one around it, or after the class where that one was added to it. */
function nameWithin({ internalName, parent: around }, source) {
  const isAdded = around.prototype?.parent?.prototype && around.prototype.declaration.range.source !== source;
  return isAdded ? `${around.prototype.parent.prototype.internalName}~` + internalName.split("~")[1] : internalName;
}

/** From `function/Tree#depth` to `Tree.depth`. */
function readableName(internalName) {
  const name = internalName.slice(internalName.indexOf("/") + 1);
  const [outer, inner] = name.split("~");
  const readable = outer.replace("start:function", "top level").replaceAll("#", ".");
  return (inner ? `${readable} (inner function)` : readable).slice(0, NAME_CHARACTERS);
}

/** Tells the index of the innermost function around a place in the source; -1 at the top level. */
function functionFinder(functions, source) {
  const ends = functions.flatMap(({ start, end }, index) => {
    if (end === 0) return []; // it has no place of its own
    return [{ position: start, index, isStart: true }, { position: end, index, isStart: false }];
  });
  ends.sort((a, b) => a.position - b.position || a.isStart - b.isStart);
  const open = [];
  const changes = ends.map(({ position, index, isStart }) => {
    if (isStart) open.push(index);
    else open.splice(open.lastIndexOf(index), 1);
    return { ...place(source, position), owner: open.at(-1) ?? -1 };
  });
  return (at) => changes[countBefore(changes, at) - 1]?.owner ?? -1;
}

/** How many of the changes, which are in order, are not after a place. */
function countBefore(changes, at) {
  let [low, high] = [0, changes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const { line, column } = changes[middle];
    if (line < at.line || (line === at.line && column <= at.column)) low = middle + 1;
    else high = middle;
  }
  return low;
}

// ---- The module ---------------------------------------------------------------------------------------------------

class Reader {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }

  unsigned() {
    let [value, shift, byte] = [0, 0, 0];
    do {
      byte = this.bytes[this.at++];
      value |= (byte & 0x7f) << shift;
      shift += 7;
    } while (byte & 0x80);
    return value >>> 0;
  }
}

function* sections(wasm) {
  const reader = new Reader(wasm, 8);
  while (reader.at < wasm.length) {
    const start = reader.at++;
    const size = reader.unsigned();
    yield { id: wasm[start], start, content: reader.at };
    reader.at += size;
  }
}

const lastSectionStart = (wasm) => [...sections(wasm)].at(-1).start;
const codeSection = (wasm) => [...sections(wasm)].find((each) => each.id === CODE_SECTION).content;

/** The names of the functions that have a body, in the order of the code section. */
function namesInOrder(module, binaryen) {
  const all = Array.from({ length: module.getNumFunctions() }, (_, nth) => module.getFunctionByIndex(nth));
  return all.map((each) => binaryen.getFunctionInfo(each)).filter((each) => !each.base).map((each) => each.name);
}

/** Where each body begins, from the start of the code section, and which of the user's functions it is; -1 for none. */
function functionBodies(wasm, code, names, functions) {
  const byName = new Map(functions.flatMap(({ instances }, index) => instances.map((name) => [name, index])));
  const reader = new Reader(wasm, code);
  const count = reader.unsigned();
  return Array.from({ length: count }, (_, nth) => {
    const size = reader.unsigned();
    const offset = reader.at - code;
    reader.at += size;
    return { offset, owner: byName.get(names[nth]) ?? -1 };
  });
}

/** The parts of the code that came from the user's file, and from where in it. */
function userSegments(map, sourceIndex, code, functionAround) {
  const segments = [];
  for (const { offset, source, line, column } of decodeMappings(map.mappings)) {
    const at = source === sourceIndex ? { line, column } : { line: 0, column: 0 };
    const last = segments.at(-1);
    if (last && last.line === at.line && last.column === at.column) continue;
    segments.push({ offset: offset - code, ...at, owner: functionAround(at) });
  }
  return segments;
}

/** Source Map revision 3, of which Binaryen uses one line: the column is the offset in the module. */
function* decodeMappings(mappings) {
  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  let [offset, source, line, column] = [0, 0, 0, 0];
  for (const text of mappings ? mappings.split(",") : []) {
    const fields = [];
    let [value, shift] = [0, 0];
    for (const letter of text) {
      const digit = DIGITS.indexOf(letter);
      value |= (digit & 31) << shift;
      shift += 5;
      if (digit & 32) continue;
      fields.push(value & 1 ? -(value >>> 1) : value >>> 1);
      [value, shift] = [0, 0];
    }
    offset += fields[0];
    if (fields.length === 1) {
      yield { offset, source: -1, line: 0, column: 0 };
      continue;
    }
    [source, line, column] = [source + fields[1], line + fields[2], column + fields[3]];
    yield { offset, source, line: line + 1, column: column + 1 };
  }
}

// ---- The section --------------------------------------------------------------------------------------------------

class Writer {
  bytes = [];

  unsigned(value) {
    for (; value >= 0x80; value >>>= 7) this.bytes.push((value & 0x7f) | 0x80);
    this.bytes.push(value);
  }

  signed(value) {
    this.unsigned(value < 0 ? -value * 2 - 1 : value * 2);
  }

  text(value) {
    const encoded = new TextEncoder().encode(value);
    this.unsigned(encoded.length);
    this.bytes.push(...encoded);
  }
}

function writeBodies(out, bodies) {
  out.unsigned(bodies.length);
  let offset = 0;
  for (const body of bodies) {
    out.unsigned(body.offset - offset);
    out.unsigned(body.owner + 1);
    offset = body.offset;
  }
}

function writeSegments(out, segments) {
  out.unsigned(segments.length);
  let [offset, line, column] = [0, 0, 0];
  for (const segment of segments) {
    out.unsigned(segment.offset - offset);
    out.unsigned(segment.owner + 1);
    out.signed(segment.line - line);
    out.signed(segment.column - column);
    ({ offset, line, column } = segment);
  }
}

function append(wasm, content) {
  const name = new Writer();
  name.text(SECTION);
  const section = new Writer();
  section.unsigned(CUSTOM_SECTION);
  section.unsigned(name.bytes.length + content.length);
  return Buffer.concat([wasm, Buffer.from(section.bytes), Buffer.from(name.bytes), Buffer.from(content)]);
}
