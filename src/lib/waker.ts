import type { Clock } from './clock.ts';
import { messageOf } from './failure.ts';
import type { Log } from './log.ts';

/** How callbacks reach a loop: they wake it, and the loop goes and looks by itself. */
export type Waker = {
  /** Ends the wait that is under way, or the next one before it begins. */
  wake(): void;
  /** Resolves when woken, and after `ms` in any case. One loop waits at a time. */
  wait(ms: number): Promise<void>;
};

/** Made once: the reason that Node makes for each abort is dear where thousands a second wake a loop. */
const awake = new Error('woken');

export function createWaker(clock: Clock): Waker {
  let woken = false;
  let waiting: AbortController | undefined;
  return {
    wake() {
      woken = true;
      waiting?.abort(awake);
    },
    async wait(ms) {
      if (!woken) {
        waiting = new AbortController();
        await clock.sleep(ms, waiting.signal);
        waiting = undefined;
      }
      woken = false;
    },
  };
}

/** What works by itself for as long as the process runs. */
export type Worker = {
  start(): void;
  /** Resolves when nothing is under way. */
  stop(): Promise<void>;
  /** To be called when there is something to do; never needed for correctness. */
  wake(): void;
};

/**
 * Takes one turn after the other for as long as there is something to do, and then waits to be woken, `pollMs` at
 * most. A turn that rejects is logged with what it `failed` at, and tried again after that time.
 */
export function createWorker(options: {
  clock: Clock;
  log: Log;
  pollMs: number;
  failed: string;
  /** Whether there may be more to do at once. */
  turn(): Promise<boolean>;
}): Worker {
  const { clock, log, pollMs, failed } = options;
  const waker = createWaker(clock);
  const stopping = new AbortController();
  let looping: Promise<void> | undefined;
  const turn = () =>
    options.turn().catch((error: unknown) => {
      log.warn({ error: messageOf(error) }, failed);
      return false;
    });
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) if (!(await turn())) await waker.wait(pollMs);
  };
  return {
    start() {
      looping ??= loop();
    },
    wake: () => waker.wake(),
    async stop() {
      stopping.abort();
      waker.wake();
      await looping;
    },
  };
}
