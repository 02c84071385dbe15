/** One thing measured several times. */
export type Figure = { median: number; min: number; max: number };

export function figureOf(values: readonly number[]): Figure {
  return { median: share(values, 0.5), min: Math.min(...values), max: Math.max(...values) };
}

/** The value that this share of the values does not exceed: 0.5 is the median, 0.99 the p99. */
export function share(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)];
  if (found === undefined) throw new Error('nothing was measured');
  return found;
}

/** `12.3, 45.6`: p50 and p99, of ms. */
export function shownLatency(latencies: readonly number[]): string {
  return `${share(latencies, 0.5).toFixed(1)}, ${share(latencies, 0.99).toFixed(1)}`;
}

/** `1,234 (1,100-1,300)` */
export function shown({ median, min, max }: Figure, digits = 0): string {
  return `${number(median, digits)} (${number(min, digits)}-${number(max, digits)})`;
}

function number(value: number, digits = 0): string {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Ours against raw, run by run. */
export function ratios(ours: readonly number[], raw: readonly number[]): string {
  return shown(figureOf(ours.map((value, run) => value / (raw[run] ?? Number.NaN))), 2);
}
