/** What tells the time and waits. Injected, so that tests own the time. */
export type Clock = {
  /** Milliseconds since 1970-01-01 UTC. */
  now(): number;
  /**
   * Milliseconds since a moment of this process that never changes. For intervals: an administrator, or
   * a time server, may set `now` back.
   */
  monotonic(): number;
  /** Resolves after `ms` milliseconds, of 24 days at most, or at once when `signal` is aborted; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
};

/** What a timer of Node takes, 24 days; one for longer fires at once. */
const timerMsMax = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(ms, timerMsMax));
      signal?.addEventListener('abort', done, { once: true });
    }),
};
