// module.wasm: asc module.ts -o module.wasm --exportRuntime --runtime incremental --optimize (AssemblyScript 0.28.20)
export function handle(input: string): string {
  console.log("log");
  console.debug("debug");
  console.info("info");
  console.warn("warn");
  console.error("error");
  console.assert(input.length > 1000, "too short");
  console.time("timer");
  console.timeEnd("timer");
  trace("point", 2, 1.5, 2);
  if (input.length == 0) process.exit(1);
  const plausible =
    Math.random() < 1 && Date.now() > 1700000000000 && performance.now() >= 0 &&
    process.time() > 1700000000000 && process.hrtime() >= 0;
  return plausible ? "true" : "false";
}
