/**
 * Figures in the text format of Prometheus (version 0.0.4). Counters and histograms are of this process, as its memory
 * and its descriptors are, and live in it; gauges are read when somebody asks. To count costs one look into a map.
 *
 * Labels have values of closed lists (states, reasons, codes): never an id, an address, or anything of a tenant.
 */

/** A figure with all its series. */
export type Metric = {
  name: string;
  type: 'counter' | 'gauge' | 'histogram';
  /** What it tells, in a sentence. */
  help: string;
  /** Names of the labels, in the order in which their values are given. */
  labels: readonly string[];
  /** The lines of its series; `readings` are a gauge's. */
  lines(readings: readonly Reading[]): string[];
};

/** What a gauge stands at; `labels` are the values, in the order of their names. */
export type Reading = { labels?: readonly string[]; value: number };

export type Counter = Metric & {
  /** Counts one, or `count` of them. */
  add(labels: readonly string[], count?: number): void;
};

export type Histogram = Metric & {
  /** `seconds` may be below 0 where two clocks are compared; it counts as 0. */
  observe(labels: readonly string[], seconds: number): void;
};

type Named = Pick<Metric, 'name' | 'help'> & { labels?: readonly string[] };

/** A list that is no closed list after all must not fill the memory: what comes later is counted as `other`. */
const seriesMax = 500;

/** Makes a figure that only grows. */
export function counter(named: Named): Counter {
  const { labels = [] } = named;
  const series = createSeries(labels, () => ({ count: 0 }));
  return {
    ...named,
    labels,
    type: 'counter',
    add(values, count = 1) {
      series.of(values).count += count;
    },
    lines: () => series.all().map(([shown, { count }]) => line(named.name, shown, count)),
  };
}

/** Upper ends of the parts that durations are counted in, in seconds: from a query to a retry of hours. */
const secondsUpTo = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600];

/** Makes a figure of durations. */
export function histogram(named: Named): Histogram {
  const { name, labels = [] } = named;
  const series = createSeries(labels, () => ({ counts: secondsUpTo.map(() => 0), count: 0, sum: 0 }));
  return {
    ...named,
    labels,
    type: 'histogram',
    observe(values, seconds) {
      const one = series.of(values);
      const taken = Math.max(0, seconds);
      const part = secondsUpTo.findIndex((upTo) => taken <= upTo);
      if (part !== -1) one.counts[part] = (one.counts[part] ?? 0) + 1;
      one.count += 1;
      one.sum += taken;
    },
    lines: () =>
      series.all().flatMap(([shown, { counts, count, sum }]) => {
        let upToHere = 0;
        const buckets = secondsUpTo.map((upTo, part) => {
          upToHere += counts[part] ?? 0;
          return line(`${name}_bucket`, [...shown, `le="${upTo}"`], upToHere);
        });
        return [
          ...buckets,
          line(`${name}_bucket`, [...shown, 'le="+Inf"'], count),
          line(`${name}_sum`, shown, sum),
          line(`${name}_count`, shown, count),
        ];
      }),
  };
}

/** Names a figure that is read when somebody asks. */
export function gauge(named: Named & { type?: 'counter' | 'gauge' }): Metric {
  const { name, labels = [], type = 'gauge' } = named;
  return {
    ...named,
    labels,
    type,
    lines: (readings) =>
      readings.map(({ labels: values = [], value }) => line(name, pairs(labels, values), value)),
  };
}

/** The text of all of them. A gauge that could not be read is named, and has no line. */
export function metricsText(
  metrics: readonly Metric[],
  readings: ReadonlyMap<Metric, readonly Reading[]>,
): string {
  const lines = metrics.flatMap((metric) => [
    `# HELP ${metric.name} ${metric.help.replaceAll('\\', '\\\\')}`,
    `# TYPE ${metric.name} ${metric.type}`,
    ...metric.lines(readings.get(metric) ?? []),
  ]);
  return `${lines.join('\n')}\n`;
}

/** The series of one figure, by the values of its labels. One without labels is there from the start. */
function createSeries<One>(labels: readonly string[], begin: () => One) {
  const byValues = new Map<string, { shown: string[]; one: One }>();
  const of = (values: readonly string[]): One => {
    const key = values.length === 1 ? (values[0] ?? '') : values.join('\n');
    const known = byValues.get(key);
    if (known !== undefined) return known.one;
    if (byValues.size >= seriesMax && values.some((value) => value !== 'other'))
      return of(labels.map(() => 'other'));
    const one = begin();
    byValues.set(key, { shown: pairs(labels, values), one });
    return one;
  };
  if (labels.length === 0) of([]);
  return {
    of,
    all: (): [string[], One][] => [...byValues.values()].map(({ shown, one }) => [shown, one]),
  };
}

function pairs(labels: readonly string[], values: readonly string[]): string[] {
  return labels.map((label, n) => `${label}="${escaped(values[n] ?? '')}"`);
}

function line(name: string, shown: readonly string[], value: number): string {
  return `${name}${shown.length === 0 ? '' : `{${shown.join(',')}}`} ${value}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
