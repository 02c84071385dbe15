import type { Clock } from '../lib/clock.ts';
import { createWaker } from '../lib/waker.ts';
import type { Change } from './session.ts';

/** What callbacks do: they leave a note and wake the loop, which reads the notes when it comes round. */
export type Bell = {
  /** Something happened in a folder: so many messages were announced; 0 where only a look can tell. */
  ring(path: string, announced: number): void;
  /** Something about messages that lie in a folder has changed. */
  ringChanged(path: string, what: Change): void;
  /** Somebody wants every folder looked at. */
  ringAll(): void;
  /** The CRM has asked for something to be done in the mailbox. */
  ringWanted(): void;
  /** Wakes the loop without a note: it shall look at its own state. */
  wake(): void;
  /** Resolves at once when rung or woken since the last wait, and after `ms` in any case. */
  wait(ms: number): Promise<void>;
  /** Folders with a note, the first one rung first, with the number announced. */
  notes(): ReadonlyMap<string, number>;
  /** When the first of what a folder's note tells of was announced, by the monotonic clock; null: there is no note. */
  rungAt(path: string): number | null;
  /** Takes a folder's note away: all that it told of has been looked at. */
  clear(path: string): void;
  /** Folders in which something has changed; where messages are gone, that. */
  changes(): ReadonlyMap<string, Change>;
  /** Takes a folder's changes: they are being looked at. */
  takeChanged(path: string): Change | null;
  /** Whether something was asked for; asking takes that away. */
  takeWanted(): boolean;
  /** Whether every folder is wanted; asking takes all notes away when it is so. */
  takeAll(): boolean;
};

export function createBell(clock: Clock): Bell {
  const waker = createWaker(clock);
  const notes = new Map<string, number>();
  const rungAt = new Map<string, number>();
  const changes = new Map<string, Change>();
  let everything = false;
  let wanted = false;
  return {
    ring(path, announced) {
      if (!notes.has(path)) rungAt.set(path, clock.monotonic());
      notes.set(path, (notes.get(path) ?? 0) + announced);
      waker.wake();
    },
    ringChanged(path, what) {
      if (changes.get(path) !== 'gone') changes.set(path, what);
      waker.wake();
    },
    ringAll() {
      everything = true;
      waker.wake();
    },
    ringWanted() {
      wanted = true;
      waker.wake();
    },
    wake: () => waker.wake(),
    wait: (ms) => waker.wait(ms),
    notes: () => notes,
    rungAt: (path) => (notes.has(path) ? (rungAt.get(path) ?? null) : null),
    clear(path) {
      notes.delete(path);
      rungAt.delete(path);
    },
    changes: () => changes,
    takeChanged(path) {
      const what = changes.get(path) ?? null;
      changes.delete(path);
      return what;
    },
    takeWanted() {
      const before = wanted;
      wanted = false;
      return before;
    },
    takeAll() {
      const before = everything;
      everything = false;
      if (before) notes.clear();
      return before;
    },
  };
}
