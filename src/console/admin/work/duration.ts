import { number, words } from '../../texts/texts.ts';

/** How long something took, in the largest unit of which it is at least one. */
export function duration(ms: number): string {
  if (ms < 1_000) return words('duration.ms', { n: number(Math.round(ms)) });
  if (ms < 60_000) return words('duration.s', { n: number(Math.round(ms / 100) / 10) });
  if (ms < 3_600_000) return words('duration.min', { n: number(Math.round(ms / 6_000) / 10) });
  return words('duration.h', { n: number(Math.round(ms / 360_000) / 10) });
}
