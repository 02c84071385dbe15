import type { Clock } from '../lib/clock.ts';

/** Of sessions that end together each comes back so much later than the one before it, on average twice as quickly. */
const eachMs = 20;
/** Within these ends together count. */
const togetherMs = 1_000;
/** With a new connection, and the look that follows, no message is a minute late. */
const mostMs = 20_000;

/**
 * How long a session that has just ended in good order is to wait before it begins anew, in ms. One alone does not wait.
 * Where a provider restarts a server, or a network comes back, thousands end in the same second: they come back in no
 * order, evenly spread over the time that grows with their number.
 */
export type Spread = () => number;

/** Counts the ends of a process. */
export function createSpread(clock: Clock, random: () => number = Math.random): Spread {
  let [since, together] = [Number.NEGATIVE_INFINITY, 0];
  return () => {
    const now = clock.monotonic();
    if (now - since > togetherMs) [since, together] = [now, 0];
    together += 1;
    return Math.round(random() * Math.min((together - 1) * eachMs, mostMs));
  };
}
