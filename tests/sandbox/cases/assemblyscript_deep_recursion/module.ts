// module.wasm: asc module.ts -o module.wasm --exportRuntime --runtime incremental --optimize (AssemblyScript 0.28.20)
function depth(n: i32): i32 {
  return n == -1 ? 0 : depth(n + 1) + depth(n + 2);
}

export function handle(input: string): string {
  return depth(input.length).toString();
}
