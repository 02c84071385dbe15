import { messageOf } from '../../../lib/failure.ts';
import { createWaker } from '../../../lib/waker.ts';
import { lastSequence } from '../../../store/events.ts';
import { readAttention } from '../../../store/overview.ts';
import type { Attention } from '../../../store/overview.ts';
import type { AdminPages } from '../app.tsx';
import { readOverview } from './overview.tsx';
import type { OverviewData } from './overview.tsx';

/** How it stands at one moment; each question is asked once, however many pages show the answer. */
export type Look = { attention(): Promise<Attention>; overview(): Promise<OverviewData> };

/** Looks at how it stands when something has happened, for all pages that are open. */
export type Looks = {
  /** A look now, and then one after whatever happens, until `stop`. Whoever is slow gets the latest alone. */
  follow(stop: AbortSignal): AsyncGenerator<Look>;
};

/** Nothing is looked at more often, whatever happens. */
const gapMs = 1_000;
/** How long what another node has published waits. */
const pollMs = 1_000;
/** What changes without an event, such as a node that is gone, is seen after so long. */
const quietMs = 10_000;

type Deps = Pick<AdminPages, 'db' | 'clock' | 'log' | 'eventSignal'>;

export function createLooks(deps: Deps): Looks {
  const { clock } = deps;
  const followers = new Set<(look: Look) => void>();
  let running: AbortController | null = null;
  const subscribe = (tell: (look: Look) => void) => {
    followers.add(tell);
    if (running === null) {
      running = new AbortController();
      void run(deps, running.signal, (look) => {
        for (const each of followers) each(look);
      });
    }
    return () => {
      followers.delete(tell);
      if (followers.size > 0) return;
      // Nothing is asked while nobody looks.
      running?.abort();
      running = null;
    };
  };
  return {
    async *follow(stop) {
      const waker = createWaker(clock);
      const wake = () => waker.wake();
      let latest: Look | null = lookOnce(deps);
      const end = subscribe((look) => {
        latest = look;
        wake();
      });
      stop.addEventListener('abort', wake);
      try {
        while (!stop.aborted) {
          const look: Look | null = latest;
          latest = null;
          if (look === null) await waker.wait(quietMs);
          else yield look;
        }
      } finally {
        end();
        stop.removeEventListener('abort', wake);
      }
    },
  };
}

async function run(deps: Deps, stop: AbortSignal, tell: (look: Look) => void): Promise<void> {
  const { db, clock, log, eventSignal } = deps;
  const waker = createWaker(clock);
  const wake = () => waker.wake();
  const unsubscribe = eventSignal.subscribe(wake);
  stop.addEventListener('abort', wake);
  let known = '';
  let lookedAtMs = clock.monotonic();
  while (!stop.aborted) {
    try {
      const last = await lastSequence(db);
      if (last !== known || clock.monotonic() >= lookedAtMs + quietMs) {
        known = last;
        lookedAtMs = clock.monotonic();
        tell(lookOnce(deps));
      }
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'open pages are not brought up to date; trying again');
    }
    await clock.sleep(gapMs, stop);
    if (!stop.aborted) await waker.wait(pollMs);
  }
  unsubscribe();
}

function lookOnce(deps: Deps): Look {
  let attention: Promise<Attention> | undefined;
  let overview: Promise<OverviewData> | undefined;
  return {
    attention: () => (attention ??= readAttention(deps.db, deps.clock.now())),
    overview: () => (overview ??= readOverview(deps)),
  };
}
