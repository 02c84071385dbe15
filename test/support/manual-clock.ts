import type { Clock } from '../../src/lib/clock.ts';

/** A clock that stands still until a test moves it. */
export type ManualClock = Clock & {
  /** Moves the time, waking the sleepers in the order of their times and letting each run before the next. */
  advance(ms: number): Promise<void>;
  /** How many sleep now. */
  sleeping(): number;
  /** Sets the time of day, as an administrator does: no time passes. */
  shift(ms: number): void;
};

export function createManualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let now = startMs;
  let shiftMs = 0;
  let sleepers: { at: number; wake: () => void }[] = [];
  return {
    now: () => now + shiftMs,
    monotonic: () => now - startMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const sleeper = {
          at: now + ms,
          wake: () => {
            sleepers = sleepers.filter((other) => other !== sleeper);
            signal?.removeEventListener('abort', sleeper.wake);
            resolve();
          },
        };
        sleepers.push(sleeper);
        signal?.addEventListener('abort', sleeper.wake, { once: true });
      }),
    async advance(ms) {
      const target = now + ms;
      for (;;) {
        await settled();
        const [next] = sleepers.filter(({ at }) => at <= target).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        now = Math.max(now, next.at);
        next.wake();
      }
      now = target;
      await settled();
    },
    sleeping: () => sleepers.length,
    shift: (ms) => {
      shiftMs += ms;
    },
  };
}

/** Everything that is already resolved has run; a few turns, since one promise wakes another. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
