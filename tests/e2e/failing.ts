// One way to fail for each `what`. The line that is to blame carries the name in a comment: `here: what`.
import { JSON } from "json-as";

@json
class Input {
  what: string = "";
  at: i32 = 0;
}

class Tree {
  left: Tree | null = null;
  depth(): i32 {
    return 1 + this.left!.depth(); // here: null
  }
}

class Box {
  items: i32[] = [];
  get first(): i32 {
    return this.items[0]; // here: getter
  }
  last(): i32 {
    return this.items[this.items.length - 1]; // here: method
  }
}

const table: i32[] = [1, 2, 3];
const names = new Map<string, i32>();

function read(at: i32): i32 {
  return table[at]; // here: read
}

function write(at: i32): void {
  table[at] = 7; // here: write
}

function fail(): void {
  throw new Error("it failed"); // here: throw
}

function ratio(a: i32, b: i32): i32 {
  return a / b; // here: divide
}

function endless(n: i32): i32 {
  return n + endless(n + 1) * 2; // here: endless
}

function lookUp(key: string): i32 {
  let sum = 0;
  for (let i = 0; i < 3; i++) {
    sum += names.get(key); // here: key
  }
  return sum;
}

function pick<T>(list: T[], at: i32): T {
  return list[at]; // here: generic
}

function hoard(size: i32): i32 {
  const all = new StaticArray<u8>(size << 25); // here: memory
  all[5] = 1;
  return all[6];
}

export function handle(input: string): string {
  const wanted = JSON.parse<Input>(input);
  const what = wanted.what;
  const at = wanted.at;
  let result = at;
  if (what == "index") {
    const first = table[0];
    result = first + table[at + 2]; // here: index
  } else if (what == "set") {
    result = at;
    table[-at] = 1; // here: set
    result++;
  } else if (what == "read") {
    result = read(at + 9);
  } else if (what == "write") {
    result = at;
    write(-at);
    result++;
  } else if (what == "key") {
    result = lookUp("missing");
  } else if (what == "generic") {
    result = pick<string>(["a"], at).length + pick<i32>([1], 0);
  } else if (what == "getter") {
    result = new Box().first;
  } else if (what == "method") {
    result = new Box().last() + 1;
  } else if (what == "pop") {
    const box = new Box();
    result = 3;
    box.items.pop(); // here: pop
  } else if (what == "repeat") {
    result = what.repeat(-at).length; // here: repeat
  } else if (what == "throw") {
    result = 5;
    fail();
    result = 6;
  } else if (what == "null") {
    result = new Tree().depth();
  } else if (what == "divide") {
    result = 100 + ratio(7, at - 1);
  } else if (what == "modulo") {
    result = 7;
    result = result % (at - 1); // here: modulo
  } else if (what == "endless") {
    result = endless(at);
  } else if (what == "unreachable") {
    unreachable(); // here: unreachable
  } else if (what == "memory") {
    result = hoard(at * 4);
  } else if (what == "load") {
    result = load<i32>(0xffff_fff0); // here: load
  } else if (what == "assert") {
    assert(at > 1, "at is too small"); // here: assert
  } else if (what == "sort") {
    const sorted = [3, 2, 1, 5, 6];
    sorted.sort((a, b) => {
      const empty = new Array<i32>();
      return a - b + empty[a]; // here: sort
    });
  } else if (what == "map") {
    const halves = table.map<i32>((each) => each / (each - 1)); // here: map
    result = halves[0];
  } else if (what == "many") {
    const one = [1];
    result =
      table[0] +
      one[at] + // here: many
      table[1];
  }
  return result.toString();
}
