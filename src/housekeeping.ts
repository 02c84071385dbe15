import type { Clock } from './lib/clock.ts';
import { messageOf } from './lib/failure.ts';
import type { Log } from './lib/log.ts';
import { createWaker } from './lib/waker.ts';
import { vacuum } from './store/database.ts';
import type { Database } from './store/database.ts';
import { forgetAnswers } from './store/idempotency.ts';

/** How often it comes round. */
const everyMs = 3_600_000;

/** D3: how long a repeat of a call gets the first answer. */
const answersKeptHours = 7 * 24;

/** Removes what has served its time. Any node may do it; doing it twice harms nothing. */
export function createHousekeeping(deps: { database: Database; clock: Clock; log: Log }): {
  start(): void;
  stop(): Promise<void>;
} {
  const { database, clock, log } = deps;
  const stopping = new AbortController();
  const waker = createWaker(clock);
  let running: Promise<void> = Promise.resolve();
  const run = async () => {
    while (!stopping.signal.aborted) {
      try {
        await forgetAnswers(database.db, answersKeptHours);
        // The embedded database says that it vacuums by itself and does not (PGlite 0.5.16, 2026-11).
        if (database.kind === 'pglite') await vacuum(database.db);
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'housekeeping failed; it comes round again');
      }
      await waker.wait(everyMs);
    }
  };
  return {
    start: () => {
      running = run();
    },
    stop: async () => {
      stopping.abort();
      waker.wake();
      await running;
    },
  };
}
