import type { SavedFolder } from '../store/folders.ts';
import type { PlaceDone, Wanted, WantedPlace } from '../store/wanted.ts';

/** One command in one folder, for one place of one message. */
export type Deed = {
  /** For which wish. */
  wanted: Wanted;
  /** The folder that is opened, and the message in it: by its UID, or by Gmail's id. */
  path: string;
  uidValidity: number | null;
  target: { uid: number } | { gmailId: string };
  act: 'mark_read' | 'mark_unread' | { moveTo: string };
  /** What is true of the place afterwards. */
  done: PlaceDone;
};

type Targets = ReadonlyMap<SavedFolder['role'], string>;

/**
 * What is to be done in a mailbox for a wish: flags before moves, and nothing for a place where it is so
 * already. Pure.
 */
export function deedsFor(wanted: Wanted, targets: Targets): Deed[] {
  const { places, read, state } = wanted;
  const marks = places
    .filter((place) => read !== null && place.isRead !== read)
    .map((place): Deed => {
      const act = read === true ? 'mark_read' : 'mark_unread';
      return { ...at(wanted, place), act, done: { ...asItIs(place), is_read: read === true } };
    });
  const moves = places.flatMap((place) => moveFor({ ...wanted, read }, state, place, targets) ?? []);
  return [...marks, ...moves];
}

function moveFor(wanted: Wanted, state: Wanted['state'], place: WantedPlace, targets: Targets): Deed | null {
  const done = { ...asItIs(place), is_read: wanted.read ?? place.isRead };
  if (state === 'trashed' && place.state !== 'trashed') {
    const moveTo = targets.get('trash');
    return moveTo === undefined
      ? null
      : { ...at(wanted, place), act: { moveTo }, done: { ...done, state, left: true } };
  }
  if (state !== 'archived' || place.state !== 'present') return null;
  if (place.role === 'all') {
    // Gmail: what leaves the inbox stays in All Mail. What was sent is in no inbox, and stays where it is.
    const [inbox, moveTo] = [targets.get('inbox'), targets.get('all')];
    if (inbox === undefined || moveTo === undefined || wanted.gmailId === null) return null;
    const target = { gmailId: wanted.gmailId };
    const after = wanted.direction === 'outbound' ? done : { ...done, state };
    return { wanted, path: inbox, uidValidity: null, target, act: { moveTo }, done: after };
  }
  const moveTo = targets.get('archive') ?? targets.get('all');
  return moveTo === undefined
    ? null
    : { ...at(wanted, place), act: { moveTo }, done: { ...done, state, left: true } };
}

function at(
  wanted: Wanted,
  { path, uidValidity, uid }: WantedPlace,
): Pick<Deed, 'wanted' | 'path' | 'uidValidity' | 'target'> {
  return { wanted, path, uidValidity, target: { uid } };
}

function asItIs({ folderId, uidValidity, uid, isRead, state }: WantedPlace): PlaceDone {
  return { folder_id: folderId, uid_validity: uidValidity, uid, is_read: isRead, state, left: false };
}

/** What becomes of a wish after a try. */
export type WishOutcome = 'ended' | 'later' | 'given_up';

/** So often a server may refuse what was asked of it, and for so long it may be out of reach. */
const limits = { refusalsMax: 5, ageMsMax: 24 * 3_600_000 };

/**
 * What becomes of a wish: `missing` are its places in which the message was not found. Pure.
 * - Done everywhere, or nothing is left to be done: it ends.
 * - It was not where it was seen last: the listener finds out where it is, or that it is gone, and then again.
 */
export function outcomeOf(
  { attempts, ageMs, isMoving }: Pick<Wanted, 'attempts' | 'ageMs' | 'isMoving'>,
  tried: { missing: number; failed: 'refused' | 'passing' | null },
): WishOutcome {
  const goesOn = tried.failed !== null || tried.missing > 0 || isMoving;
  if (!goesOn) return 'ended';
  const isRefused = tried.failed === 'refused' && attempts >= limits.refusalsMax;
  return isRefused || ageMs >= limits.ageMsMax ? 'given_up' : 'later';
}
