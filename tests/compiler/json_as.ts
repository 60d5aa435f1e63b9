// The API and the decorators of json-as, and sources whose own names are those that generated code might use.
import { JSON } from "json-as";
function load(key: string): string { return key; }
function store(bytes: string): string { return bytes; }
@json class Vec3 { x: f32 = 0.0; y: f32 = 0.0; z: f32 = 0.0; }
@json class Player { @alias("first name") firstName!: string; lastName!: string; lastActive!: i32[];
  @omitif((self: Player) => self.age < 18) age!: i32; @omitnull() pos!: Vec3 | null; isVerified!: boolean; }
@json class Example { name!: string; @omit SSN!: string; }
@json class DynamicObj { id: i32 = 0; name: string = ""; data!: JSON.Value; }
namespace Foo { export const bar = "a"; export const baz = "b"; }
type Foo = string;
@json class Person { name: string; age: JSON.Box<i32> | null = null; constructor(name: string) { this.name = name; } }
@json({ lazy: "auto" }) class Repo { name: string = ""; owner: Vec3 = new Vec3(); @eager id: i32 = 0; @lazy tags: string[] = []; o: JSON.Lazy<Vec3> = new Vec3(); @optional r: Vec3 | null = null; }
class MyBytes extends Uint8Array { constructor(n: i32 = 0) { super(n); } }
class MyMap extends Map<string, i32> {}
class MyArr extends Array<i32> {}
class MySet extends Set<i32> {}
@json class HexBytes extends Uint8Array { constructor(length: i32 = 0) { super(length); }
  @serializer("string") serializer(self: HexBytes): string { let out = ""; for (let i = 0; i < self.length; i++) out += self[i].toString(16).padStart(2, "0"); return JSON.stringify(out); }
  @deserializer("string") deserializer(data: string): HexBytes { const raw = JSON.parse<string>(data); const out = new HexBytes(raw.length >> 1); for (let i = 0, j = 0; i < raw.length; i += 2, j++) out[j] = <u8>parseInt(raw.substr(i, 2), 16); return out; } }
@json class Dog extends Animal { bark: bool = true; }
@json class Animal { kind: string = "a"; legs: i32 = 4; }
@json class Zoo { animals: Animal[] = []; }
namespace Deep { @json export class In { n: i32 = 0; } }
@json class UsesDeep { d: Deep.In = new Deep.In(); }
@json class Node2 { v: i32 = 0; kids: Node2[] = []; next: Node2 | null = null; }
@json class Empty {}
@json class Pair<A, B> { a: A; b: B; constructor(a: A, b: B) { this.a = a; this.b = b; } }
@serializable class Ser { q: i32 = 1; }
@json class Deriv extends Ser { z: Pair<i32, string[]> = new Pair<i32, string[]>(1, ["x"]); }
let outs: string[] = [];
function p(s: string): void { outs.push(store(load(s))); }
export function handle(input: string): string {
  outs = [];
  const player: Player = { firstName: "Jairus", lastName: "Tanaka", lastActive: [3, 9, 2025], age: 18, pos: { x: 3.4, y: 1.2, z: 8.3 }, isVerified: true };
  const s = JSON.stringify<Player>(player); p(s); p(JSON.stringify(JSON.parse<Player>(s)));
  const e = new Example(); e.name = "J"; e.SSN = "1"; p(JSON.stringify(e));
  const a = JSON.parse<JSON.Value[]>('["string",true,["array"]]'); p(JSON.stringify(a[0]) + JSON.stringify(a[2]));
  const obj = JSON.parse<JSON.Obj>('{"a":3.14,"b":true,"c":[1,2,3],"d":{"x":1,"y":2,"z":3}}');
  p(obj.keys().join(" ")); p(obj.values().map<string>((v) => JSON.stringify(v)).join(" "));
  const y = obj.get("d")!.get<JSON.Obj>().get("y")!; p(y.toString());
  const d = new DynamicObj(); d.id = 1; d.data = JSON.parse<JSON.Value>('{"key":"value"}'); p(JSON.stringify(d)); d.data = JSON.Value.from<i32>(42); p(JSON.stringify(d)); d.data = JSON.Value.from("a string"); p(JSON.stringify(d));
  const box = JSON.Box.from<i32>(123); const value = JSON.Value.from<JSON.Box<i32> | null>(box); const rb = JSON.Box.fromValue<i32>(value); p(rb !== null ? rb!.toString() : "null");
  const nullBox = JSON.Value.from<JSON.Box<i32> | null>(null); p(JSON.stringify(nullBox));
  const map = new Map<string, JSON.Raw>(); map.set("pos", new JSON.Raw('{"x":1.0}')); p(JSON.stringify(map));
  p(JSON.stringify<Foo>(Foo.bar));
  const person = new Person("J"); p(JSON.stringify(person)); person.age = new JSON.Box<i32>(18); p(JSON.stringify(person));
  p(JSON.stringify(JSON.parse<Repo>('{"id":3,"owner":{"x":1.5},"tags":["q"],"o":{"z":2}}')));
  const mb = new MyBytes(2); mb[0] = 7; p(JSON.stringify(mb)); p(JSON.stringify(JSON.parse<MyBytes>("[1,2]")));
  const mm = new MyMap(); mm.set("k", 1); p(JSON.stringify(mm)); p(JSON.stringify(JSON.parse<MyMap>('{"z":5}')));
  p(JSON.stringify(JSON.parse<MyArr>("[1,2.0]"))); p(JSON.stringify(JSON.parse<MySet>("[1,2.0]")));
  const hb = JSON.parse<HexBytes>('"0a14ff"'); p(JSON.stringify(hb)); p(hb.length.toString());
  p(JSON.stringify(JSON.parse<Dog>('{"legs":3.0,"bark":false}')));
  const zoo = new Zoo(); zoo.animals.push(new Dog()); zoo.animals.push(new Animal()); p(JSON.stringify(zoo));
  p(JSON.stringify(JSON.parse<UsesDeep>('{"d":{"n":5}}'))); p(JSON.stringify(JSON.parse<Node2>('{"v":1,"kids":[{"v":2}],"next":{"v":3}}')));
  p(JSON.stringify(new Empty()) + JSON.stringify(JSON.parse<Empty>('{"a":1}')));
  p(JSON.stringify(new Deriv())); p(JSON.stringify(JSON.parse<Deriv>('{"q":2,"z":{"a":3,"b":[]}}')));
  const o = new JSON.Obj(); o.set("n", 1); o.set("s", "t"); o.set("nul", null); o.set("arr", [1, 2]); o.set("f", 2.5); o.set("p", person); o.set("m", map); o.set("b", true); o.set("big", <i64>9007199254740993); p(o.toString());
  p(JSON.stringify(null) + JSON.stringify(true) + JSON.stringify(1.5) + JSON.stringify<u64>(u64.MAX_VALUE) + JSON.stringify("q\"\u0001\ud83d\ude00x"));
  p(JSON.stringify([<f64>NaN, Infinity, -Infinity]));
  const arr = JSON.parse<JSON.Arr>('[1,"a",null,{"k":[]}]'); p(arr[1].toString() + arr.length.toString() + arr.join("-") + arr.indexOf<string>("a").toString() + JSON.stringify(arr.slice(1, 3)));
  p(JSON.Obj.from(person).toString()); p(JSON.Obj.from(mm).toString());
  p(JSON.parse<i32[]>("[3]")[0].toString() + JSON.parse<string>('"x"') + JSON.parse<bool>("true").toString() + JSON.parse<f32>("1.5").toString());
  const reuse: i32[] = [9, 9, 9]; JSON.parse<i32[]>("[1]", reuse); p(JSON.stringify(reuse));
  let deep = "1"; for (let i = 0; i < 398; i++) deep = (i & 1) ? "[" + deep + "]" : '{"a":' + deep + "}"; p(JSON.stringify(JSON.parse<JSON.Value>(deep)) == deep ? "deep ok" : "deep bad");
  return JSON.stringify(outs);
}
