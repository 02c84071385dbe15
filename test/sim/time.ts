import type { Clock } from '../../src/lib/clock.ts';

/**
 * The time of a history. It also stands in for the process's own, which the embedded database reads, so
 * that leases, pauses and dates in the database pass as quickly as the history tells them to.
 */
export type Time = {
  now(): number;
  pass(ms: number): void;
  /** To be called when the history is over. */
  end(): void;
};

const startMs = Date.UTC(2030, 0, 7, 9);

export function startTime(): Time {
  let now = startMs;
  const real = Date.now;
  Date.now = () => now;
  return {
    now: () => now,
    pass: (ms) => void (now += ms),
    end: () => void (Date.now = real),
  };
}

/** The clock of one loop of a node: it wakes only when the history lets that loop go on. */
export type LoopClock = Clock & {
  /** How many sleep. */
  sleeping(): number;
  /** Wakes those whose time has come. */
  wakeDue(): void;
};

export function loopClock(time: Time): LoopClock {
  const sleepers = new Set<{ at: number; wake: () => void }>();
  return {
    now: () => time.now(),
    monotonic: () => time.now() - startMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const sleeper = {
          at: time.now() + ms,
          wake: () => {
            sleepers.delete(sleeper);
            signal?.removeEventListener('abort', sleeper.wake);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', sleeper.wake, { once: true });
      }),
    sleeping: () => sleepers.size,
    wakeDue: () => {
      for (const sleeper of sleepers) if (sleeper.at <= time.now()) sleeper.wake();
    },
  };
}

/** Everything that waits for nothing but its turn has had several. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
