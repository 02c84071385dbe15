import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { Bench } from './bench.ts';
import { share, shownLatency } from './figures.ts';
import type { Row } from './table.ts';

/** What clients call: the gateway's API, or its raw peer. */
export type Door = { url: string; key: string };

/** How messages are posted: by so many clients, each as soon as it has its answer, or each once in `everyMs`. */
type Posting = {
  kind: 'individual' | 'bulk';
  count: number;
  clients: number;
  /** Null: they never pause. */
  everyMs: number | null;
};

type Posted = { latencies: number[]; perSecond: number };

/** Posts messages of 2 KB; answers the ms to each answer, those of a paced client from when its call was due. */
export async function postMessages(
  { url, key }: Door,
  users: readonly string[],
  { kind, count, clients, everyMs }: Posting,
): Promise<Posted> {
  const dispatcher = new Agent({ connections: clients });
  const latencies: number[] = [];
  const startedAt = performance.now();
  let next = 0;
  const client = async (): Promise<void> => {
    for (let turn = 0; ; turn += 1) {
      const n = next++;
      if (n >= count) return;
      // Each at a random time of its own interval: clients know nothing of each other.
      const dueAt = everyMs === null ? performance.now() : startedAt + (turn + Math.random()) * everyMs;
      await sleep(Math.max(0, dueAt - performance.now()));
      const answer = await request(`${url}/v1/sub-accounts/bench/messages`, {
        method: 'POST',
        dispatcher,
        body: messageOf(n, kind, users[n % users.length] ?? ''),
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      });
      const said = await answer.body.text();
      if (answer.statusCode !== 202) throw new Error(`${answer.statusCode}: ${said}`);
      latencies.push(performance.now() - dueAt);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const perSecond = (count * 1_000) / (performance.now() - startedAt);
  await dispatcher.close();
  return { latencies, perSecond };
}

export const text = 'Dear reader,\n'.padEnd(2_000, 'what is new with us, and what it means for you. ');

/** How many contacts get mail. */
export const writtenTo = 1_000;

/**
 * Where a message goes: to a stranger, and to a contact. The provider throws away what it took: to deliver it costs more than
 * all the rest, and would go on while the next figure is measured.
 */
export function recipientsOf(n: number): [string, string] {
  return [`reader-${n}@swallows.test`, `contact-${n % writtenTo}@swallows.test`];
}

/** How many messages `measureAccepting` leaves behind. */
export const acceptedCount = 2_200;

/**
 * How soon the API answers twenty clients. The raw peer answers on the same HTTP server when it has written and synced
 * a file and one row.
 */
export async function measureAccepting(
  bench: Bench,
  doors: { ours: Door; raw: Door },
  users: readonly string[],
): Promise<Row[]> {
  const clients = 20;
  const everyMs = 250;
  const kind = 'individual';
  for (const door of [doors.raw, doors.ours])
    await postMessages(door, users, { kind, count: 200, clients, everyMs: null });
  const rows: Row[] = [];
  for (const [pace, posting, aim] of [
    ['never pause', { count: 1_500, everyMs: null }, 'p50 ≤ 8'],
    [`call every ${everyMs} ms each`, { count: 500, everyMs }, 'p50 ≤ 8'],
  ] as const) {
    const raw = await postMessages(doors.raw, users, { ...posting, kind, clients });
    const ours = await postMessages(doors.ours, users, { ...posting, kind, clients });
    rows.push({
      what: `API: ms to the answer to a message, ${clients} clients that ${pace} (p50, p99; messages a second)`,
      raw: shownPosted(raw),
      ours: shownPosted(ours),
      ratio: (share(ours.latencies, 0.5) / share(raw.latencies, 0.5)).toFixed(2),
      aim,
      sample: `${posting.count}`,
      load: bench.load(),
    });
  }
  return rows;
}

function shownPosted({ latencies, perSecond }: Posted): string {
  return `${shownLatency(latencies)}; ${perSecond.toFixed(0)}`;
}

function messageOf(n: number, kind: Posting['kind'], userId: string): string {
  return JSON.stringify({ kind, user_id: userId, subject: `Mail ${n}`, text, to: recipientsOf(n) });
}
