/*
 * Flattens any JSON object: {"a": {"b": [1]}} becomes {"a.b.0": 1}. The shape of the input is not known when the function
 * is written, so it is read as `JSON.Value`, which holds any JSON and tells at run time what it is. An empty object or
 * list stays as it is. Where two values would get the same key, the function refuses, rather than lose one of them.
 */
import { JSON } from "json-as";

function flatten(path: string, value: JSON.Value, into: Map<string, JSON.Value>): void {
  const prefix = path.length > 0 ? path + "." : "";
  if (value.type == JSON.Types.Object && value.get<JSON.Obj>().keys().length > 0) {
    const object = value.get<JSON.Obj>();
    const keys = object.keys();
    for (let i = 0; i < keys.length; i++) flatten(prefix + keys[i], object.get(keys[i])!, into);
  } else if (value.type == JSON.Types.Array && value.get<JSON.Arr>().length > 0) {
    const items = value.get<JSON.Arr>();
    for (let i = 0; i < items.length; i++) flatten(prefix + i.toString(), items.at(i), into);
  } else if (into.has(path)) {
    throw new Error(`two values have the key "${path}"`);
  } else if (path.length > 0 || value.type != JSON.Types.Object) {
    into.set(path, value);
  }
}

export function handle(input: string): string {
  const flat = new Map<string, JSON.Value>();
  flatten("", JSON.parse<JSON.Value>(input), flat);
  return JSON.stringify(flat);
}
