/*
 * Mean, median, standard deviation and a moving average of a series of numbers. It shows numbers that may be missing:
 * the caller gives `null` for a measurement that failed, and the result has `null` where there is no answer (the
 * median of nothing). A number that may be null is a `JSON.Box<f64> | null`.
 */
import { JSON } from "json-as";

@json
class Input {
  values: (JSON.Box<f64> | null)[] = [];
  window: i32 = 3;
}

@json
class Output {
  count: i32 = 0;
  missing: i32 = 0;
  mean: JSON.Box<f64> | null = null;
  median: JSON.Box<f64> | null = null;
  deviation: JSON.Box<f64> | null = null;
  movingAverage: f64[] = [];
}

function mean(values: f64[]): f64 {
  return values.reduce((sum, value) => sum + value, 0.0) / values.length;
}

function median(values: f64[]): f64 {
  const sorted = values.slice().sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function deviation(values: f64[]): f64 {
  const center = mean(values);
  let squares = 0.0;
  for (let i = 0; i < values.length; i++) squares += (values[i] - center) ** 2;
  return Math.sqrt(squares / values.length);
}

function movingAverage(values: f64[], window: i32): f64[] {
  const averages: f64[] = [];
  for (let i = window; i <= values.length; i++) averages.push(mean(values.slice(i - window, i)));
  return averages;
}

export function handle(input: string): string {
  const series = JSON.parse<Input>(input);
  if (series.window < 1) throw new Error("window must be at least 1");

  const present: f64[] = [];
  for (let i = 0; i < series.values.length; i++) {
    const value = series.values[i];
    if (value != null) present.push(value.value);
  }

  const output = new Output();
  output.count = present.length;
  output.missing = series.values.length - present.length;
  output.movingAverage = movingAverage(present, series.window);
  if (present.length > 0) {
    output.mean = new JSON.Box<f64>(mean(present));
    output.median = new JSON.Box<f64>(median(present));
    output.deviation = new JSON.Box<f64>(deviation(present));
  }
  return JSON.stringify(output);
}
