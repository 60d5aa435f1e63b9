import { JSON } from "json-as";

@json
class Item {
  name: string = "";
  count: i32 = 0;
  price: f64 = 0.0;
  tags: string[] = [];
}

@json
class Input {
  items: Item[] = [];
  note: string | null = null;
}

@json
class Output {
  names: string = "";
  total: f64 = 0.0;
}

export function handle(input: string): string {
  const order = JSON.parse<Input>(input);
  const output = new Output();
  const names = new Map<string, i32>();
  for (let i = 0; i < order.items.length; i++) {
    const item = order.items[i];
    if (item.count < 0) throw new Error(`item ${i}: count is ${item.count}`);
    output.total += item.price * item.count;
    names.set(item.name.trim().toLowerCase(), item.count);
  }
  output.names = names.keys().sort().join(", ");
  return JSON.stringify(output);
}
