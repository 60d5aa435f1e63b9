/*
 * Checks an order and computes what it costs, in cents so that no money is lost to rounding. It shows nested objects,
 * optional fields (`coupon` may be missing or null), and how a function refuses its input: what `throw` says becomes
 * the execution's errorMessage, so it should tell the caller which field is wrong and why.
 */
import { JSON } from "json-as";

@json
class Item {
  sku: string = "";
  quantity: i32 = 1;
  cents: i64 = -1;
}

@json
class Customer {
  name: string = "";
  country: string = "DE";
}

@json
class Order {
  customer: Customer = new Customer();
  items: Item[] = [];
  coupon: string | null = null;
}

@json
class Line {
  sku: string = "";
  cents: i64 = 0;
}

@json
class Total {
  customer: string = "";
  lines: Line[] = [];
  discountCents: i64 = 0;
  taxCents: i64 = 0;
  totalCents: i64 = 0;
}

// So that no sum comes near the end of i64, where it would begin again from below.
const MOST_PIECES: i32 = 100_000;
const MOST_CENTS: i64 = 10_000_000;

function check(order: Order): void {
  if (order.customer.name.length == 0) throw new Error("customer.name is missing");
  if (order.items.length == 0) throw new Error("items is empty: an order has at least one item");
  for (let i = 0; i < order.items.length; i++) {
    const item = order.items[i];
    if (item.sku.length == 0) throw new Error(`items[${i}].sku is missing`);
    if (item.quantity < 1) throw new Error(`items[${i}].quantity must be at least 1; it is ${item.quantity}`);
    if (item.quantity > MOST_PIECES) throw new Error(`items[${i}].quantity must be at most ${MOST_PIECES}`);
    if (item.cents < 0) throw new Error(`items[${i}].cents is missing or negative`);
    if (item.cents > MOST_CENTS) throw new Error(`items[${i}].cents must be at most ${MOST_CENTS}`);
  }
}

function taxPercent(country: string): i64 {
  if (country == "DE") return 19;
  if (country == "FR") return 20;
  throw new Error(`customer.country: no tax rate is known for ${country}`);
}

function discountPercent(coupon: string | null): i64 {
  if (coupon == null) return 0;
  if (coupon == "WELCOME10") return 10;
  throw new Error(`coupon: ${coupon} is not known`);
}

export function handle(input: string): string {
  const order = JSON.parse<Order>(input);
  check(order);

  const total = new Total();
  total.customer = order.customer.name;
  let sum: i64 = 0;
  for (let i = 0; i < order.items.length; i++) {
    const item = order.items[i];
    const line = new Line();
    line.sku = item.sku;
    line.cents = item.cents * item.quantity;
    total.lines.push(line);
    sum += line.cents;
  }
  total.discountCents = (sum * discountPercent(order.coupon)) / 100;
  const net = sum - total.discountCents;
  total.taxCents = (net * taxPercent(order.customer.country)) / 100;
  total.totalCents = net + total.taxCents;
  return JSON.stringify(total);
}
