// module.wasm: asc module.ts -o module.wasm --exportRuntime --runtime incremental --optimize (AssemblyScript 0.28.20)
export function handle(input: string): string {
  const buffer = new ArrayBuffer(200 << 20);
  return buffer.byteLength.toString();
}
