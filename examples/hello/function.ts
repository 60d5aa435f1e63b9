/*
 * Says hello. The smallest complete function: a class for the input, a class for the output, and `handle`,
 * which turns JSON text into JSON text. A field that the caller leaves out keeps its default, so `{}` greets the
 * world. What `console.log` writes is kept with the execution, in `logs`.
 */
import { JSON } from "json-as";

@json
class Input {
  name: string = "world";
}

@json
class Output {
  greeting: string = "";
}

export function handle(input: string): string {
  const who = JSON.parse<Input>(input);
  console.log("greeting " + who.name);

  const output = new Output();
  output.greeting = `Hello, ${who.name}!`;
  return JSON.stringify(output);
}
