import type { SavedFolder } from '../store/folders.ts';
import type { Ability } from './change-plan.ts';
import type { Session } from './session.ts';

/** A folder that the listener keeps in mind; `cursorUid` follows what filing commits. */
export type Watched = SavedFolder & {
  /** Since when its last messages are listed and cannot be fetched, by the monotonic clock; null: they can. */
  lateSince: number | null;
  /** When changes of its stored messages were looked at last; null: not yet. */
  changesLookedAt: LookedAt | null;
  /** What STATUS said of it when that was done while it was not open; null: it was not. */
  signature: string | null;
  /** Since when most of its stored messages are said to be gone, by the monotonic clock; null: they are not. */
  doubtedAt: number | null;
};

/** A folder that was not looked into yet. */
export function newlyWatched(saved: SavedFolder): Watched {
  return { ...saved, lateSince: null, changesLookedAt: null, signature: null, doubtedAt: null };
}

/** When changes of a folder were looked at last. */
type LookedAt = {
  /** On this connection. */
  session: Session;
  ability: Ability;
  /** By the monotonic clock. */
  at: number;
};
