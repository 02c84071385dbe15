import type { Clock } from '../lib/clock.ts';
import { createWaker } from '../lib/waker.ts';
import type { Waker } from '../lib/waker.ts';

/** What callbacks do: they leave a note and wake the loop, which reads the notes when it comes round. */
export type Bell = Waker & {
  /** Paths of folders in which something arrived. */
  woken: Set<string>;
  /** Somebody asked for a look at every folder. */
  everything: boolean;
};

export function createBell(clock: Clock): Bell {
  return { ...createWaker(clock), woken: new Set(), everything: false };
}
