import type { Clock } from '../lib/clock.ts';
import { steps } from '../lib/meters.ts';
import { CursorMoved } from '../filing/file.ts';
import type { SavedFolder } from '../store/folders.ts';
import type { Ability } from './change-plan.ts';
import type { Start } from './plan.ts';
import type { Session } from './session.ts';
import type { Together } from './together.ts';

/** A folder that the listener keeps in mind; `cursorUid` follows what filing commits. */
export type Watched = SavedFolder & {
  /** When the messages were announced that are being looked for, by the monotonic clock; null: none were. */
  announcedAt: number | null;
  /** Since when its last messages are listed and cannot be fetched, by the monotonic clock; null: they can. */
  lateSince: number | null;
  /** When changes of its stored messages were looked at last; null: not yet, or nothing was stored. */
  changesLookedAt: LookedAt | null;
  /** What STATUS said of it when that was done, or nothing of it was stored, while it was not open; null: neither. */
  signature: string | null;
};

/**
 * How long a folder in which nothing is stored counts as such while it stays the same. An errand stores what it has read
 * some time before, and what has changed since then may have been seen by a look when nothing was stored yet.
 */
export const bareMs = 600_000;

/** A folder that was not looked into yet. */
export function newlyWatched(saved: SavedFolder): Watched {
  return {
    ...saved,
    announcedAt: null,
    lateSince: null,
    changesLookedAt: null,
    signature: null,
  };
}

/** Begins folders where they are to be read from, all in one statement; nothing of what was known of them counts any more. */
export async function beginFolders(
  together: Pick<Together, 'startFolders'>,
  starts: readonly ({ folder: Watched } & Start)[],
): Promise<void> {
  const begun = await together.startFolders(starts);
  for (const { folder, uidValidity, cursorUid } of starts) {
    if (!begun.has(folder.id)) throw new CursorMoved(`${folder.id} was begun by somebody else`);
    Object.assign(folder, { ...newlyWatched(folder), uidValidity, cursorUid, highestModseq: null });
  }
}

/** The headers of what was announced are here. */
export function noteLooked(folder: Watched, clock: Clock): void {
  if (folder.announcedAt !== null)
    steps.observe(['looked'], (clock.monotonic() - folder.announcedAt) / 1_000);
  folder.announcedAt = null;
}

/** When changes of a folder were looked at last. */
type LookedAt = {
  /** On this connection. */
  session: Session;
  ability: Ability;
  /** By the monotonic clock. */
  at: number;
};
