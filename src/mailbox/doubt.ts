import type { Clock } from '../lib/clock.ts';
import type { FolderId } from '../lib/id.ts';
import { doubtMs } from './change-plan.ts';

/** A folder as it is numbered. */
type Numbered = { id: FolderId; uidValidity: number };

/**
 * Remembers, over sessions, for how long a folder has been said to have lost most of what is stored (U3). What lies
 * between two sessions does not count, nor before the first look of one: a server in trouble ends sessions as well, and
 * would be believed for having said so twice. So sessions that end again and again add up as far as they look again.
 */
export type Doubts = {
  /** Whether it was said, and nothing else since. */
  has(id: FolderId): boolean;
  /** It is said once more. */
  saidAgain(folder: Numbered): { isFirst: boolean; isBelieved: boolean };
  /** It is not so, or not any more. */
  over(id: FolderId): void;
  /** A session begins. */
  sessionBegins(): void;
};

/** Makes the doubts of one mailbox: none. */
export function createDoubts(clock: Pick<Clock, 'monotonic'>): Doubts {
  /** `saidAt`, by the monotonic clock, is null where it was said before this session; `forMs` is how long it lasts. */
  const doubts = new Map<FolderId, { uidValidity: number; saidAt: number | null; forMs: number }>();
  return {
    has: (id) => doubts.has(id),
    saidAgain({ id, uidValidity }) {
      const now = clock.monotonic();
      const last = doubts.get(id);
      const before = last?.uidValidity === uidValidity ? last : null;
      const forMs = before === null ? 0 : before.forMs + now - (before.saidAt ?? now);
      doubts.set(id, { uidValidity, saidAt: now, forMs });
      return { isFirst: before === null, isBelieved: forMs >= doubtMs };
    },
    over: (id) => void doubts.delete(id),
    sessionBegins: () => {
      for (const doubt of doubts.values()) doubt.saidAt = null;
    },
  };
}
