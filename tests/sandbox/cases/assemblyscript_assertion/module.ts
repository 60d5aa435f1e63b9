// module.wasm: asc module.ts -o module.wasm --exportRuntime --runtime incremental --optimize (AssemblyScript 0.28.20)
function half(n: i32): i32 {
  assert(n % 2 == 0);
  return n / 2;
}

export function handle(input: string): string {
  return half(input.length).toString();
}
