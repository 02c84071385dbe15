import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import { createWaker } from '../lib/waker.ts';
import type { Db } from '../store/database.ts';
import type { DueWebhook } from '../store/deliveries.ts';
import { publicationMax, publishBatch } from '../store/events.ts';

/** Numbers events and makes their deliveries. Runs on every node; one at a time does the work. */
export type Publisher = {
  start(): void;
  stop(): Promise<void>;
  /** To be called right after a transaction that recorded events has committed; never needed for correctness. */
  wake(): void;
};

/** How long a committed event waits when nobody woke the publisher. */
const pollMs = 1_000;
/** How long to leave a publisher on another node alone; what it does takes milliseconds. */
const busyMs = 10;

/** `published` is told at once which webhooks have deliveries now; without it they are found by polling. */
export function createPublisher(deps: {
  db: Db;
  clock: Clock;
  log: Log;
  published: (webhooks: readonly DueWebhook[]) => void;
}): Publisher {
  const waker = createWaker(deps.clock);
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const done = await publishBatch(deps.db);
        if (done === 'busy') await waker.wait(busyMs);
        else {
          if (done.published > 0) deps.published(done.webhooks);
          if (done.published < publicationMax) await waker.wait(pollMs);
        }
      } catch (error) {
        deps.log.warn({ error: messageOf(error) }, 'events could not be published; trying again');
        await deps.clock.sleep(pollMs, stopping.signal);
      }
    }
  };

  return {
    start() {
      running ??= run();
    },
    async stop() {
      stopping.abort();
      waker.wake();
      await running;
    },
    wake: () => waker.wake(),
  };
}
