// Writes the code of @json classes, as an asc transform: asc function.ts --transform json-as
//
// Every class with @json, its base classes and those derived from it get four methods, which assembly/read.ts and write.ts
// call: __JSON_DEFAULTS sets fields to their initializers before reading, but those that hold an object; __JSON_READ takes the
// value of a key; __JSON_COMPLETE sets what still holds none; __JSON_WRITE writes `,"key":value` for each field. Their code
// names the types as the source does, so the compiler resolves them: aliases, generics and enums need no knowledge here. It
// may call what a source is unlikely to redefine, but not `load`: sources have functions of that name.
//
// What is wrong with such code is told at the place of the field or class it is for, but it is not the user's: its places
// are in a twin of the source, which source maps keep apart. Expressions of the user's within it keep their own places.

import "./std/patches.mjs";
import {
  CommonFlags, DiagnosticCategory, DiagnosticCode, DiagnosticMessage, formatDiagnostic, LiteralKind, Node, NodeKind, Parser,
  Range, SourceKind,
} from "assemblyscript";

const LIBRARY = "json-as";
const NAMESPACE = "__JSON"; // JSON, under a name that no source uses
const EXPORT = "JSON"; // what the library exports
const MARKS = ["json", "serializable"];
const COPY = "\0"; // stands where an expression of the user's goes
const UNSUPPORTED = "~lib/json-as/assembly/unsupported/unsupported";

export default class JsonTransform {
  afterParse(parser) {
    for (const source of parser.sources) {
      const isUsers = source.sourceKind === SourceKind.User || source.sourceKind === SourceKind.UserEntry;
      if (isUsers && source.statements.some(importsLibrary)) complete(source, parser);
    }
  }

  /** A type that JSON cannot hold is an error of the compilation. */
  afterCompile() {
    const [unheld] = this.program.elementsByName.get(UNSUPPORTED)?.instances?.values() ?? [];
    if (!unheld) return;
    const { words, range } = complaint(this.program, unheld.typeArguments[0]);
    const message = DiagnosticMessage.create(DiagnosticCode.User_defined_0, DiagnosticCategory.Error, words);
    if (range) message.withRange(range);
    this.stderr.write(formatDiagnostic(message, false, true) + "\n\n");
    throw new Error(words);
  }
}

// ---- What is in a source ------------------------------------------------------------------------------------------

const importsLibrary = (statement) =>
  statement.kind === NodeKind.Import && statement.path.value.split("/")[0] === LIBRARY &&
  (statement.declarations?.length || statement.namespaceName);

function complete(source, parser) {
  const classes = withBases(source.statements);
  for (const declaration of marked(classes)) {
    checkKeys(declaration, classes, parser);
    addMethods(declaration, classes);
  }
  const handle = source.statements.find(isHandle);
  const [input] = handle?.signature.parameters ?? [];
  if (input && handle.body) {
    const [call] = parsed(`${NAMESPACE}.__input(${input.name.text});`, handle.name.range);
    handle.body.statements.unshift(call);
  }
  typeNulls(source, nullTakers(source));
  const path = source.statements.find(importsLibrary).path.value;
  source.statements.unshift(...parsedFile(`import { JSON as ${NAMESPACE} } from "${path}";`, source.range));
}

const isHandle = (node) =>
  node.kind === NodeKind.FunctionDeclaration && node.name.text === "handle" && node.is(CommonFlags.Export);

/** Each class, with the one it derives from if the source has it. */
function withBases(statements) {
  const found = classesOf(statements, "");
  const byName = new Map(found.map(({ declaration, scope }) => [scope + declaration.name.text, declaration]));
  return new Map(found.map(({ declaration, scope }) => [declaration, resolved(declaration.extendsType, scope, byName)]));
}

/** scope: the names of the namespaces around it, as `Outer.Inner.` */
function classesOf(statements, scope) {
  return statements.flatMap((node) => {
    if (node.kind === NodeKind.NamespaceDeclaration) return classesOf(node.members, `${scope}${node.name.text}.`);
    return node.kind === NodeKind.ClassDeclaration ? [{ declaration: node, scope }] : [];
  });
}

/** The class of that name, sought in the scope and those around it. */
function resolved(type, scope, byName) {
  if (!type) return null;
  const found = byName.get(scope + typeNameText(type.name));
  if (found || !scope) return found ?? null;
  return resolved(type, scope.replace(/[^.]+\.$/, ""), byName);
}

/** The classes with @json, the ones they derive from, and those derived from them. */
function marked(classes) {
  const all = new Set();
  const isMarked = (declaration) => decorator(declaration, ...MARKS) || all.has(declaration);
  for (const declaration of classes.keys()) {
    const line = lineOf(declaration, classes);
    const top = line.findLastIndex(isMarked);
    if (top >= 0) for (const one of decorator(declaration, ...MARKS) ? line : line.slice(0, top + 1)) all.add(one);
  }
  return all;
}

/** The class and those it derives from. */
function lineOf(declaration, classes) {
  const line = [declaration];
  for (let base; (base = baseOf(line.at(-1), classes)) && !line.includes(base); ) line.push(base);
  return line;
}

const baseOf = (declaration, classes) => classes.get(declaration);

const decorator = (node, ...names) => node.decorators?.find((one) => names.includes(one.name.text));

// ---- null by itself -------------------------------------------------------------------------------------------------

/** Functions of the library that may be called with `null` and no type, as the source names them. */
function nullTakers(source) {
  const imports = source.statements.filter(importsLibrary);
  const named = imports.flatMap(({ declarations }) => declarations ?? []).filter((one) => one.foreignName.text === EXPORT);
  const spaces = imports.flatMap(({ namespaceName }) => (namespaceName ? [`${namespaceName.text}.${EXPORT}`] : []));
  const names = [...named.map((one) => one.name.text), ...spaces];
  return new Set(names.flatMap((name) => [`${name}.stringify`, `${name}.Value.from`]));
}

/** asc takes `null` by itself for a usize, in which it would be 0. */
function typeNulls(node, takers) {
  if (node.kind === NodeKind.Call && node.args[0]?.kind === NodeKind.Null && !node.typeArguments) {
    if (takers.has(node.expression.range.toString())) node.typeArguments = nullType(node.range);
  }
  for (const child of Object.values(node)) {
    for (const one of Array.isArray(child) ? child : [child]) if (one instanceof Node) typeNulls(one, takers);
  }
}

function nullType(range) {
  const [statement] = parsed("made<string | null>();", range);
  return statement.expression.typeArguments;
}

// ---- The methods of a class ---------------------------------------------------------------------------------------

function addMethods(declaration, classes) {
  const fields = declaration.members.filter(isField);
  // asc has a decorator of this name, which it refuses here. Fields are read at once, whatever they ask for.
  for (const field of fields) field.decorators = field.decorators?.filter((one) => one.name.text !== "lazy") ?? null;
  const kept = fields.filter(isKept);
  const parent = baseOf(declaration, classes);
  const place = declaration.name.range;
  const methods = [
    defaults(fields, parent, place),
    completion(fields, parent, place),
    reading(kept, parent, place),
    writing(kept, parent, place),
    ...custom(declaration),
    ...(needsSerializer(declaration, classes) ? [plainSerializer(place)] : []),
  ];
  for (const { head, statements } of methods) {
    const [made] = parsedFile(`class Made { ${head} {} }`, place);
    const [method] = made.members;
    method.body.statements.push(...statements);
    declaration.members.push(method);
  }
}

function isField(member) {
  return member.kind === NodeKind.FieldDeclaration && !member.is(CommonFlags.Static);
}

const isKept = (field) => !decorator(field, "omit");

function defaults(fields, parent, place) {
  const statements = parent ? parsed("super.__JSON_DEFAULTS();", place) : [];
  for (const field of fields) {
    const code = `if (!(${holdsObject(field)})) { ${initialization(field)} }`;
    statements.push(...parsed(code, field.range, field.initializer));
  }
  return { head: "__JSON_DEFAULTS(): void", statements };
}

function completion(fields, parent, place) {
  const statements = parent ? parsed("super.__JSON_COMPLETE();", place) : [];
  for (const field of fields) {
    const isMissing = `${NAMESPACE}.__isMissing(changetype<usize>(this), offsetof<this>("${field.name.text}"))`;
    const code = `if (${holdsObject(field)}) if (${isMissing}) { ${initialization(field)} }`;
    statements.push(...parsed(code, field.range, field.initializer));
  }
  return { head: "__JSON_COMPLETE(): void", statements };
}

/** Known when the class is compiled, so that no code is left of the condition. */
const holdsObject = (field) => `isManaged<${typeText(field)}>() && !isNullable<${typeText(field)}>()`;

function initialization(field) {
  const type = typeText(field);
  const initial = field.initializer ? COPY : `${NAMESPACE}.__standard<${type}>()`;
  return assignment(field, type, initial);
}

/** Keys are told apart by their length in bytes, and then four UTF-16 units at a time. */
function reading(fields, parent, place) {
  const byLength = Map.groupBy(fields, (field) => keyOf(field).length * 2);
  const statements = [];
  for (const [bytes, alike] of byLength) {
    const tests = alike.map((field) => {
      const set = assignment(field, typeText(field), `${NAMESPACE}.__read<${typeText(field)}>()`);
      return parsed(`if (${isKey(keyOf(field))}) { ${set} return true; }`, field.range);
    });
    const [branch] = parsed(`if (bytes == ${bytes}) {}`, alike[0].range);
    branch.ifTrue.statements.push(...tests.flat());
    statements.push(branch);
  }
  statements.push(...parsed(parent ? "return super.__JSON_READ(key, bytes);" : "return false;", place));
  return { head: "__JSON_READ(key: usize, bytes: usize): bool", statements };
}

function isKey(key) {
  const tests = [];
  const bytes = Buffer.from(key, "utf16le");
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) tests.push(`${NAMESPACE}.__units4(key, ${at}) == ${bytes.readBigUInt64LE(at)}`);
  for (; at + 4 <= bytes.length; at += 4) tests.push(`${NAMESPACE}.__units2(key, ${at}) == ${bytes.readUInt32LE(at)}`);
  for (; at < bytes.length; at += 2) tests.push(`${NAMESPACE}.__unit(key, ${at}) == ${bytes.readUInt16LE(at)}`);
  return tests.join(" && ") || "true";
}

function writing(fields, parent, place) {
  const statements = parent ? parsed("super.__JSON_WRITE();", place) : [];
  for (const field of fields) {
    const key = JSON.stringify(`,${JSON.stringify(keyOf(field))}:`);
    const write = `${NAMESPACE}.__field<${typeText(field)}>(${key}, this.${field.name.text});`;
    const { condition, argument } = omission(field);
    statements.push(...parsed(condition ? `if (!(${condition})) ${write}` : write, field.range, argument));
  }
  return { head: "__JSON_WRITE(): void", statements };
}

/** When the field is left out: an expression or null, and what of the user's is in it. */
function omission(field) {
  if (decorator(field, "omitnull")) return { condition: `changetype<usize>(this.${field.name.text}) == 0` };
  const [argument] = decorator(field, "omitif")?.args ?? [];
  if (!argument) return { condition: null };
  if (argument.kind === NodeKind.Literal) return { condition: argument.value };
  const isFunction = argument.kind === NodeKind.Function || argument.kind === NodeKind.Identifier;
  return { condition: isFunction ? `${NAMESPACE}.__holds<this>(this, ${COPY})` : COPY, argument };
}

/** The methods with @serializer and @deserializer. */
function custom(declaration) {
  const made = [];
  for (const member of declaration.members) {
    if (member.kind !== NodeKind.MethodDeclaration) continue;
    const { name, signature, range } = member;
    if (decorator(member, "serializer")) {
      const call = `return this.${name.text}(${signature.parameters.length ? "this" : ""});`;
      made.push({ head: "__JSON_TO(): string", statements: parsed(call, range) });
    }
    if (decorator(member, "deserializer")) {
      const head = `__JSON_FROM(text: string): ${printed(signature.returnType)}`;
      made.push({ head, statements: parsed(`return this.${name.text}(text);`, range) });
    }
  }
  return made;
}

/** Whether a class has no base and no serializer, but one of those derived from it has: theirs is called then by way of it. */
function needsSerializer(declaration, classes) {
  if (baseOf(declaration, classes) || hasSerializer(declaration)) return false;
  return [...classes.keys()].some((one) => hasSerializer(one) && lineOf(one, classes).includes(declaration));
}

const hasSerializer = (declaration) => declaration.members.some((member) => decorator(member, "serializer"));

const plainSerializer = (place) => ({
  head: "__JSON_TO(): string",
  statements: parsed(`return ${NAMESPACE}.__object<this>(this);`, place),
});

// ---- Fields -------------------------------------------------------------------------------------------------------

/** Asc's errors for an alias that is not known here, and for two fields with one key, inherited ones among them. */
function checkKeys(declaration, classes, parser) {
  const error = (range, words) => parser.error(DiagnosticCode.User_defined_0, range, words);
  const names = new Map();
  for (const field of allFields(declaration, classes).filter(isKept)) {
    const isOwn = declaration.members.includes(field);
    const alias = decorator(field, "alias");
    if (isOwn && alias && aliasOf(field) === null) error(alias.range, `@alias takes one string literal, as in @alias("key")`);
    const key = keyOf(field), name = field.name.text, other = names.get(key) ?? name;
    if (isOwn && other !== name) error(field.range, `the fields ${other} and ${name} have the same key ${JSON.stringify(key)}`);
    names.set(key, name);
  }
}

function allFields(declaration, classes) {
  const line = lineOf(declaration, classes);
  return line.reverse().flatMap((one) => one.members.filter(isField));
}

const keyOf = (field) => aliasOf(field) ?? field.name.text;

/** The text of the field's alias, or null if it has none that is known before the program is compiled. */
function aliasOf(field) {
  const { args } = decorator(field, "alias") ?? {};
  if (args?.length !== 1 || args[0].kind !== NodeKind.Literal) return null;
  const { literalKind, value, tag, parts } = args[0];
  if (literalKind === LiteralKind.Template) return !tag && parts.length === 1 ? parts[0] : null;
  return literalKind === LiteralKind.String ? value : null;
}

function assignment(field, type, value) {
  const name = field.name.text;
  if (!field.is(CommonFlags.Readonly)) return `this.${name} = ${value};`;
  return `${NAMESPACE}.__set<${type}>(changetype<usize>(this), offsetof<this>("${name}"), ${value});`;
}

/** A field without a type is an error that asc reports itself. */
const typeText = (field) => (field.type ? printed(field.type) : "bool");

function printed(type) {
  if (type.kind !== NodeKind.NamedType) return `(${type.range.toString()})`;
  const parameters = type.typeArguments?.length ? `<${type.typeArguments.map(printed).join(", ")}>` : "";
  return typeNameText(type.name) + parameters + (type.isNullable ? " | null" : "");
}

const typeNameText = ({ identifier, next }) => identifier.text + (next ? `.${typeNameText(next)}` : "");

// ---- Code as a syntax tree ----------------------------------------------------------------------------------------

/** The statements of a function's body. */
function parsed(text, range, copied = null) {
  const [made] = parsedFile(`function made(): void { ${text} }`, range, copied);
  return made.body.statements;
}

/**
 * The statements of a file, made for what is at `range` of the user's source: what is wrong with them is told there.
 * copied: the user's expression that goes where the text has COPY, and stays where it is.
 */
function parsedFile(text, range, copied = null) {
  const parser = new Parser();
  const code = copied ? text.replace(COPY, () => copied.range.toString()) : text;
  parser.parseFile(code, "made.ts", true);
  const [error] = parser.diagnostics;
  if (error) throw new Error(`${error.message} in the code for a @json class: ${code}`);
  const [source] = parser.sources;
  const place = copied ? placeBeside(text.indexOf(COPY), copied.range, range) : () => inTwin(range);
  for (const statement of source.statements) moveTo(statement, source, place);
  return source.statements;
}

/** Where a node belongs: in the copied expression, which begins at `at` in the file, or in what was made around it. */
function placeBeside(at, original, range) {
  const made = inTwin(range);
  const shift = original.start - at;
  return ({ start, end }) => {
    const isCopied = start + shift >= original.start && end + shift <= original.end;
    return isCopied ? rangeIn(original.source, start + shift, end + shift) : made;
  };
}

/** Moves a node, and those below it that are still in the source. */
function moveTo(node, source, place) {
  node.range = place(node.range);
  for (const child of Object.values(node)) {
    for (const one of Array.isArray(child) ? child : [child]) {
      if (one instanceof Node && one.range.source === source) moveTo(one, source, place);
    }
  }
}

const twins = new WeakMap();

/** The same place, in what looks like the source in every message but is another file to a source map. */
function inTwin({ source, start, end }) {
  if (!twins.has(source)) {
    twins.set(source, Object.create(source, { debugInfoIndex: { value: -1, writable: true } }));
  }
  return rangeIn(twins.get(source), start, end);
}

function rangeIn(source, start, end) {
  return Object.assign(new Range(start, end), { source });
}

// ---- Types that JSON cannot hold ----------------------------------------------------------------------------------

function complaint(program, type) {
  const name = shortName(type);
  const reason = type.getClass() ? `give ${name} @json, or the field @omit` : "give the field @omit";
  for (const field of fieldsOf(program)) {
    if (!mentions(field.type, type)) continue;
    const words = `the field ${field.name} of ${shortName(field.parent.type)} cannot be JSON: ${name} has no form in it (${reason})`;
    return { words, range: field.declaration.range };
  }
  const range = type.getClass()?.prototype.declaration.range ?? null;
  return { words: `${name} has no form in JSON (give it @json if it is a class of yours)`, range };
}

function* fieldsOf(program) {
  for (const one of program.managedClasses.values()) {
    if (!decorator(one.prototype.declaration, ...MARKS)) continue;
    for (const member of one.members?.values() ?? []) {
      const field = member.instance ?? member;
      if (field.isField && field.parent === one) yield field;
    }
  }
}

function mentions(type, wanted) {
  if (type.nonNullableType === wanted.nonNullableType) return true;
  return type.getClass()?.typeArguments?.some((argument) => mentions(argument, wanted)) ?? false;
}

const shortName = (type) => type.nonNullableType.toString().replace(/[~\w-]+\//g, "");
