import { orderKeys } from '../filing/events.ts';
import type { Clock } from '../lib/clock.ts';
import type { SendId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import { createWorker } from '../lib/waker.ts';
import type { Worker } from '../lib/waker.ts';
import { inOneGo } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { recordEvents } from '../store/events.ts';
import { readWhereShown } from '../store/public-message.ts';
import { readSends } from '../store/public-send.ts';
import { countHits } from '../store/tracking.ts';
import type { FirstHit } from '../store/tracking.ts';
import type { Opener } from './opener.ts';

/** What of tracked mail was opened and clicked: taken at once, written down by the batch. */
export type Hits = Pick<Worker, 'start' | 'stop'> & {
  /** `n` is the number of a link, 0 for the picture. A machine's is forgotten. Never waits, never throws. */
  take(hit: { sendId: SendId; n: number; opener: Opener }): void;
};

export type HitsDeps = { db: Db; clock: Clock; log: Log; wakePublisher(): void };

/** How long a hit waits to be written down, ms. A process that is killed loses those of so long. */
const gatherMs = 1_000;
/** So many different pictures and links are kept in mind; only what we signed is. More are lost, and said to be. */
const waitingMax = 20_000;
/** So many are written down in a transaction. */
const batchMax = 500;

type Waiting = { sendId: SendId; n: number; opener: 'person' | 'proxy'; atMs: number };

export function createHits({ db, clock, log, wakePublisher }: HitsDeps): Hits {
  // By send and number: whoever hammers on one picture takes one place.
  const waiting = new Map<string, Waiting>();
  let lost = 0;

  const write = async (): Promise<boolean> => {
    if (lost > 0) log.warn({ hits: lost }, 'more mail was opened at once than can be kept in mind');
    lost = 0;
    const batch = new Map([...waiting].slice(0, batchMax));
    if (batch.size === 0) return false;
    const now = clock.monotonic();
    const hits = [...batch.values()].map(({ sendId, n, atMs }) => ({ sendId, n, ageMs: now - atMs }));
    const told = await db.transaction(async (tx) => tell(tx, await countHits(tx, hits), batch));
    // What came again meanwhile has its own turn.
    for (const [key, hit] of batch) if (waiting.get(key) === hit) waiting.delete(key);
    if (told > 0) wakePublisher();
    return batch.size === batchMax;
  };

  const worker = createWorker({
    clock,
    log,
    pollMs: gatherMs,
    failed: 'openings and clicks could not be written down; trying again',
    turn: write,
  });
  return {
    start: () => worker.start(),
    async stop() {
      await worker.stop();
      while (await write());
    },
    take({ sendId, n, opener }) {
      // Providers load pictures in the name of people, and follow links in their own.
      if (opener === 'machine' || (opener === 'proxy' && n > 0)) return;
      const key = keyOf(sendId, n);
      if (waiting.size >= waitingMax && !waiting.has(key)) lost += 1;
      else waiting.set(key, { sendId, n, opener, atMs: clock.monotonic() });
    },
  };
}

function keyOf(sendId: SendId, n: number): string {
  return `${sendId}/${n}`;
}

/** The first of each is an event (W2): later ones show in the send. Answers how many there were. */
async function tell(
  tx: Db,
  first: readonly FirstHit[],
  batch: ReadonlyMap<string, Waiting>,
): Promise<number> {
  for (const [subAccountId, hits] of Map.groupBy(first, (hit) => hit.subAccountId)) {
    const ids = { messages: hits.map(({ messageId }) => messageId), sends: hits.map(({ sendId }) => sendId) };
    const [messages, found] = await inOneGo([
      readWhereShown(tx, subAccountId, [...new Set(ids.messages)]),
      readSends(tx, subAccountId, [...new Set(ids.sends)]),
    ]);
    const sends = new Map(found.map((send) => [send.id, send]));
    const keys = new Map(messages.map((message) => [message.id, orderKeys(message)]));
    await recordEvents(
      tx,
      hits.map(({ sendId, n, url, messageId }) => ({
        type: n === 0 ? 'send.opened' : 'send.clicked',
        sub_account_id: subAccountId,
        order_keys: keys.get(messageId) ?? [],
        data: {
          ...sends.get(sendId),
          ...(n === 0 ? { opened_by: batch.get(keyOf(sendId, n))?.opener } : { url }),
        },
      })),
    );
  }
  return first.length;
}
