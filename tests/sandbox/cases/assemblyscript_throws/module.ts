// module.wasm: asc module.ts -o module.wasm --exportRuntime --runtime incremental --optimize (AssemblyScript 0.28.20)
export function handle(input: string): string {
  throw new Error("no such order: " + input);
}
