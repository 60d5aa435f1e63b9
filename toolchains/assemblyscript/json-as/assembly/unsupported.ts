/** Reached at compile time by a type that JSON cannot hold: transform.mjs finds it there and names the field. */
export function unsupported<T>(): void {
  throw new Error(`JSON cannot hold a value of type ${nameof<T>()}`);
}
