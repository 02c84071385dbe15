import type { Clock } from '../lib/clock.ts';

/** What callbacks do: they leave a note and ring. The loop reads the notes when it comes round. */
export type Bell = {
  /** Paths of folders in which something arrived. */
  woken: Set<string>;
  /** Somebody asked for a look at every folder. */
  everything: boolean;
  ring(): void;
  /** Resolves at the next ring, at once if it rang since the last wait, or after `ms` milliseconds. */
  wait(clock: Clock, ms: number): Promise<void>;
};

export function createBell(): Bell {
  let rang = false;
  let answer: (() => void) | null = null;
  return {
    woken: new Set(),
    everything: false,
    ring: () => {
      rang = true;
      answer?.();
    },
    wait: async (clock, ms) => {
      if (!rang) {
        const timer = new AbortController();
        const heard = new Promise<void>((resolve) => {
          answer = resolve;
        });
        await Promise.race([heard, clock.sleep(ms, timer.signal)]);
        timer.abort();
      }
      rang = false;
      answer = null;
    },
  };
}
