import type { Clock } from './clock.ts';

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
