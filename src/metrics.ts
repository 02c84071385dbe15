import { readdir, readFile } from 'node:fs/promises';
import type { Clock } from './lib/clock.ts';
import { messageOf } from './lib/failure.ts';
import type { Log } from './lib/log.ts';
import { meters, own, stored } from './lib/meters.ts';
import { metricsText } from './lib/metrics.ts';
import type { Metric, Reading } from './lib/metrics.ts';
import { connectionStates } from './provider/connection-states.ts';
import type { ConnectionState } from './provider/connection-states.ts';
import { poolState } from './store/database.ts';
import type { Db } from './store/database.ts';
import { readGauges } from './store/gauges.ts';
import type { Gauges } from './store/gauges.ts';

export type MetricsDeps = {
  db: Db;
  clock: Clock;
  log: Log;
  /** How many mailboxes this node listens to. */
  listeners(): number;
  /** Accepted mail on this node's disk. */
  spooled(): { messages: number; bytes: number };
};

/** What was counted in the database is shown again for so long, whoever asks. */
const keptMs = 5_000;
/** A database that takes longer is left out. */
const answerMsMax = 2_000;

/** Makes what writes all figures down as they stand, in the text format of Prometheus. */
export function createMetrics(deps: MetricsDeps): () => Promise<string> {
  const readStored = createStored(deps);
  return async () => {
    const readings = new Map<Metric, readonly Reading[]>();
    const note = (metric: Metric, ...told: Reading[]) => void readings.set(metric, told);
    const [gauges] = await Promise.all([readStored(), noteOwn(deps, note)]);
    note(stored.up, { value: gauges === null ? 0 : 1 });
    if (gauges !== null) noteStored(gauges, note);
    return metricsText(meters, readings);
  };
}

type Note = (metric: Metric, ...readings: Reading[]) => void;
type Read = Gauges & { seconds: number };

/** One question to the database at a time, and its answer for whoever comes shortly after. Null: it has none. */
function createStored({ db, clock, log }: MetricsDeps): () => Promise<Read | null> {
  const states = Object.keys(connectionStates).filter((state) => !over.has(state)) as ConnectionState[];
  let last: { at: number; read: Read | null } | null = null;
  let running: Promise<Read | null> | null = null;
  const read = async (): Promise<Read | null> => {
    const startedAt = clock.monotonic();
    try {
      const gauges = await readGauges(db, states);
      return { ...gauges, seconds: (clock.monotonic() - startedAt) / 1_000 };
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the figures of the database cannot be read');
      return null;
    }
  };
  return async () => {
    if (last !== null && clock.monotonic() - last.at < keptMs) return last.read;
    running ??= read().then((done) => {
      running = null;
      last = { at: clock.monotonic(), read: done };
      return done;
    });
    const done = new AbortController();
    const late = clock.sleep(answerMsMax, done.signal).then(() => null);
    const answer = await Promise.race([running, late]);
    done.abort();
    return answer;
  };
}

const over: ReadonlySet<string> = new Set(['superseded', 'disconnected']);

function noteStored(gauges: Read, note: Note): void {
  const states = (listed: readonly { state: string; count: number }[]): Reading[] =>
    listed.map(({ state, count }) => ({ labels: [state], value: count }));
  note(stored.answerTime, { value: gauges.seconds });
  note(
    stored.mailboxes,
    ...gauges.mailboxes.map(({ provider, state, count }) => ({ labels: [provider, state], value: count })),
  );
  note(stored.lag, { value: gauges.lag });
  note(
    stored.behind,
    { labels: ['60'], value: gauges.behind60 },
    { labels: ['300'], value: gauges.behind300 },
    { labels: ['3600'], value: gauges.behind3600 },
  );
  note(stored.backlog, { value: gauges.backlog });
  note(stored.tokensOver, { value: gauges.tokensOver });
  note(stored.connections, ...states(gauges.connections));
  note(stored.sends, ...states(gauges.sends));
  note(stored.sendsOverdue, { value: gauges.sendsOverdue });
  note(stored.unpublished, { value: gauges.unpublished });
  note(stored.intakeWaiting, { value: gauges.intakeWaiting });
  note(stored.intakeAge, { value: gauges.intakeAge });
  note(stored.held, { value: gauges.held });
  note(
    stored.deliveries,
    { labels: ['pending'], value: gauges.deliveriesPending },
    { labels: ['parked'], value: gauges.deliveriesParked },
  );
  note(stored.deliveryAge, { value: gauges.deliveryAge });
  note(
    stored.webhooks,
    { labels: ['working'], value: gauges.webhooksWorking },
    { labels: ['failing'], value: gauges.webhooksFailing },
    { labels: ['disabled'], value: gauges.webhooksDisabled },
  );
  note(
    stored.nodes,
    { labels: ['there'], value: gauges.nodesThere },
    { labels: ['gone'], value: gauges.nodesGone },
  );
}

async function noteOwn({ db, listeners, spooled }: MetricsDeps, note: Note): Promise<void> {
  const pool = poolState(db);
  const { messages, bytes } = spooled();
  const memory = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  note(own.listeners, { value: listeners() });
  note(own.spoolMessages, { value: messages });
  note(own.spoolBytes, { value: bytes });
  note(own.pool, { labels: ['used'], value: pool.used }, { labels: ['free'], value: pool.free });
  note(own.poolWaiting, { value: pool.waiting });
  note(own.loopShare, { value: performance.eventLoopUtilization().active / 1_000 });
  note(own.cpu, { value: (user + system) / 1e6 });
  note(own.resident, { value: memory.rss });
  note(own.heap, { value: memory.heapUsed });
  note(own.external, { value: memory.external });
  note(own.startedAt, { value: performance.timeOrigin / 1_000 });
  const files = await readFiles();
  if (files === null) return;
  note(own.openFiles, { value: files.open });
  note(own.filesMax, { value: files.most });
}

/** Null where the system has no /proc. */
async function readFiles(): Promise<{ open: number; most: number } | null> {
  try {
    const [open, limits] = await Promise.all([
      readdir('/proc/self/fd'),
      readFile('/proc/self/limits', 'utf8'),
    ]);
    return { open: open.length, most: Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0) };
  } catch {
    return null;
  }
}
