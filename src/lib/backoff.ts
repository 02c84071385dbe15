/**
 * Milliseconds to wait before try number `attempt` (1 = after the first failure): doubling from
 * `firstMs` up to `mostMs`, with full jitter over the upper half so that a thousand mailboxes
 * which failed in the same second do not come back in the same second.
 */
export function backoffMs(
  attempt: number,
  limits: { firstMs: number; mostMs: number },
  random: () => number = Math.random,
): number {
  const exponent = Math.min(Math.max(attempt, 1) - 1, 30);
  const ceiling = Math.min(limits.firstMs * 2 ** exponent, limits.mostMs);
  return Math.round(ceiling / 2 + (ceiling / 2) * random());
}
