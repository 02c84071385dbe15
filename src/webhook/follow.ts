import type { Clock } from '../lib/clock.ts';
import { createWaker } from '../lib/waker.ts';
import type { Db } from '../store/database.ts';
import type { PublishedEvent } from '../store/deliveries.ts';
import { lastSequence, listEvents } from '../store/events.ts';
import type { EventType } from '../store/events.ts';

/** Tells whoever follows the log in this process that there is more of it. */
export type EventSignal = {
  ring(): void;
  /** Calls `wake` at each ring, until the function that it returns is called. */
  subscribe(wake: () => void): () => void;
};

export function createEventSignal(): EventSignal {
  const wakes = new Set<() => void>();
  return {
    ring() {
      for (const wake of wakes) wake();
    },
    subscribe(wake) {
      wakes.add(wake);
      return () => wakes.delete(wake);
    },
  };
}

const pageMax = 100;
/** How long an event waits that another node has published. */
const pollMs = 1_000;
/** Something is said at least so often: proxies close what is silent for a minute. */
const quietMsMax = 15_000;

/** Events, and the number up to which the log has been read with them. */
type Page = { events: PublishedEvent[]; after: string };

/**
 * The log after a number, page by page, and then every new event until `stop`. An empty page says
 * that all is well. Catching up and following are one and the same: read on from where the last page
 * ended; a ring only means that it is worth to look, so nothing can fall between the two. The reader
 * sets the pace: the next page is read when it asks for it.
 */
export async function* followEvents(
  deps: { db: Db; clock: Clock; eventSignal: EventSignal },
  query: { after: string; types: readonly EventType[] | null; subAccountId: string | null },
  stop: AbortSignal,
): AsyncGenerator<Page> {
  const { db, clock } = deps;
  const waker = createWaker(clock);
  const wake = () => waker.wake();
  const unsubscribe = deps.eventSignal.subscribe(wake);
  stop.addEventListener('abort', wake);
  let { after } = query;
  let spokenAtMs = clock.monotonic();
  try {
    while (!stop.aborted) {
      const known = await lastSequence(db);
      const events = await listEvents(db, { ...query, after, limit: pageMax });
      const last = events.at(-1)?.sequence ?? after;
      // What is not on a page that has room was not asked for: no reason to look through it again.
      after = events.length < pageMax && BigInt(known) > BigInt(last) ? known : last;
      if (events.length > 0 || clock.monotonic() >= spokenAtMs + quietMsMax) {
        yield { events, after };
        spokenAtMs = clock.monotonic();
      }
      if (events.length < pageMax) await waker.wait(pollMs);
    }
  } finally {
    unsubscribe();
    stop.removeEventListener('abort', wake);
  }
}
