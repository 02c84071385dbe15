import type { Clock } from './clock.ts';

/** Holds back whoever asks too often, each by themselves; in this process alone. */
export type RateLimit = {
  /** Takes one; 0 where it may be, else the milliseconds until the next one may. What is refused takes nothing. */
  take(who: string): number;
};

/** Of more, the one longest unused is forgotten, which gives them all that they may have. */
const rememberedMax = 10_000;

/** A bucket for each (token bucket): `burst` at once, and `perSecond` from then on. */
export function createRateLimit(options: { perSecond: number; burst: number; clock: Clock }): RateLimit {
  const { perSecond, burst, clock } = options;
  /** What is left, and when that was so; who asked last comes last. */
  const buckets = new Map<string, { left: number; at: number }>();
  return {
    take(who) {
      const now = clock.monotonic();
      const { left, at } = buckets.get(who) ?? { left: burst, at: now };
      const filled = Math.min(burst, left + ((now - at) / 1000) * perSecond);
      buckets.delete(who);
      buckets.set(who, { left: filled >= 1 ? filled - 1 : filled, at: now });
      const [oldest] = buckets.keys();
      if (buckets.size > rememberedMax && oldest !== undefined) buckets.delete(oldest);
      return filled >= 1 ? 0 : Math.ceil(((1 - filled) / perSecond) * 1000);
    },
  };
}
