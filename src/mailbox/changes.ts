import { notePlaces } from '../filing/places.ts';
import { placeStateOf } from '../filing/sighting.ts';
import type { FolderRole } from '../filing/sighting.ts';
import { countPlaces, findLowestPlace, findPlaces } from '../store/places.ts';
import type { Numbered, PlaceNews, TrackedPlace } from '../store/places.ts';
import { isDoubtful, manyGone, planChanges } from './change-plan.ts';
import { uidSet, unlessRefused } from './fetching.ts';
import type { Look } from './looking.ts';
import type { Change, Changes, Session } from './session.ts';
import type { Watched } from './watched.ts';

/*
 * What becomes of stored messages in their mailbox (U2, U3): read and unread, archived, moved, gone. Only
 * stored messages count, so that the cost does not grow with the mailbox: nothing is kept of any other.
 */

/** So many UIDs in one command: a line of some 6 KB at most. */
const askedAtOnce = 500;

/** So many UIDs in one question to the database. */
const lookedUpAtOnce = 10_000;

/**
 * Follows the changes in the folder that is open in `session`, as far as it is time. `told` is what the server
 * said. False: it must be looked at again, since it is too early for what was told, what we change ourselves came in
 * between and is to be written down first, or most of what is stored seems to be gone, which is believed when it lasts.
 */
export async function followChanges(
  look: Look,
  session: Session,
  folder: Watched,
  told: Change | null,
): Promise<boolean> {
  const { uidValidity, changesLookedAt: last } = folder;
  if (uidValidity === null) return true;
  const { clock } = look.filing;
  const ability = session.ability();
  const step = planChanges(
    {
      ability,
      labels: session.gmail,
      savedModseq: folder.highestModseq,
      agoMs: last?.session === session ? clock.monotonic() - last.at : null,
      told,
      doubted: look.doubts.has(folder.id),
    },
    look.changePace,
  );
  if (step === 'nothing') return told === null;
  const { isBusy, times } = look.writing;
  if (isBusy) return false;
  // What changes while we ask may be missing from the answer, and is asked for again.
  const modseq = session.modseq();
  const numbered = { id: folder.id, uidValidity };
  const news =
    step === 'compare'
      ? await compare(look, session, { numbered, role: folder.role })
      : await askChanged(look, session, folder, { numbered, missing: step === 'ask_changed_and_missing' });
  if (look.writing.times !== times) return false;
  folder.changesLookedAt = { session, ability, at: clock.monotonic() };
  if (news === null) return true;
  const gone = isBelieved(look, numbered, news) ? news.gone : null;
  const upTo = gone === null || modseq === folder.highestModseq ? null : modseq;
  if (upTo === null && news.there.length === 0 && (gone ?? []).length === 0) return gone !== null;
  await notePlaces(look.filing, numbered, {
    there: news.there,
    gone: gone ?? [],
    goneAt: clock.now(),
    goneDueAt: clock.now() + look.goneWaitMs,
    modseq: upTo,
  });
  if (upTo !== null) folder.highestModseq = upTo;
  return gone !== null;
}

/** What a look at the stored messages of a folder showed; `known` counts those that were there before. */
type News = Pick<PlaceNews, 'there' | 'gone'> & { known: number };

/** Asks for all that are stored. Null: there are none, or the server refuses. */
async function compare(
  look: Look,
  session: Session,
  { numbered, role }: { numbered: Numbered; role: FolderRole },
): Promise<News | null> {
  const places = await look.together.readTrackedPlaces(numbered);
  if (places.length === 0) return null;
  await session.noop();
  const there = [];
  for (const part of portions(places.map(({ uid }) => uid))) {
    const shown = await unlessRefused(session.changes(uidSet(part), null));
    if (shown === null) return null;
    there.push(...shown.there);
  }
  const shown = new Set(there.map(({ uid }) => uid));
  const missing = places.filter(({ uid, isGone }) => !isGone && !shown.has(uid)).map(({ uid }) => uid);
  // Exchange leaves one out now and then (providers.md B.4): one that is listed is there.
  const gone = await missingOf(session, missing);
  if (gone === null) return null;
  const known = new Map(places.map((place) => [place.uid, place]));
  const fresh = placesOf(role, there).filter((place) => isNews(known.get(place.uid), place));
  return { there: fresh, gone, known: places.filter(({ isGone }) => !isGone).length };
}

function isNews(before: TrackedPlace | undefined, now: PlaceNews['there'][number]): boolean {
  if (before === undefined) return false;
  return before.isGone || before.isRead !== now.is_read || before.state !== now.state;
}

/** Asks for what has changed. Null: nothing is stored there, or the server refuses. */
async function askChanged(
  look: Look,
  session: Session,
  folder: Watched,
  { numbered, missing }: { numbered: Numbered; missing: boolean },
): Promise<News | null> {
  const { db } = look.filing;
  const lowestUid = await findLowestPlace(db, numbered);
  if (lowestUid === null) return null;
  const range = `${lowestUid}:${Math.max(lowestUid, folder.cursorUid)}`;
  const changes = await unlessRefused(session.changes(range, folder.highestModseq));
  if (changes === null) return null;
  const stored = new Set(
    await storedAmong(look, numbered, [...changes.there.map(({ uid }) => uid), ...changes.gone]),
  );
  const there = changes.there.filter(({ uid }) => stored.has(uid));
  let gone: number[] | null = changes.gone.filter((uid) => stored.has(uid));
  if (missing) {
    const places = await look.together.readTrackedPlaces(numbered);
    gone = await missingOf(
      session,
      places.filter(({ isGone }) => !isGone).map(({ uid }) => uid),
    );
  }
  if (gone === null) return null;
  // To count them all is dear where there are many, and few are gone at once.
  const known = gone.length < manyGone ? Number.POSITIVE_INFINITY : await countPlaces(db, numbered);
  return { there: placesOf(folder.role, there), gone, known };
}

/** Those of some UIDs that do not exist any more; null: the server refuses to say. */
async function missingOf(session: Session, uids: readonly number[]): Promise<number[] | null> {
  const missing: number[] = [];
  for (const part of portions(uids)) {
    const listed = await unlessRefused(session.uids(uidSet(part)));
    if (listed === null) return null;
    const has = new Set(listed);
    missing.push(...part.filter((uid) => !has.has(uid)));
  }
  return missing;
}

async function storedAmong(look: Look, numbered: Numbered, uids: readonly number[]): Promise<number[]> {
  const stored: number[] = [];
  for (const part of portions(uids, lookedUpAtOnce))
    stored.push(...(await findPlaces(look.filing.db, numbered, part)));
  return stored;
}

function placesOf(role: FolderRole, shown: Changes['there']): PlaceNews['there'] {
  return shown.map(({ uid, marks }) => ({
    uid,
    is_read: marks.has('\\seen'),
    state: placeStateOf(role, marks),
  }));
}

/** Whether messages that are not there any more count as gone; a suspicion is told of, and nothing is done for it. */
function isBelieved(look: Look, folder: Numbered, { known, gone }: News): boolean {
  if (!isDoubtful({ known, gone: gone.length })) {
    look.doubts.over(folder.id);
    return true;
  }
  const { isFirst, isBelieved: lasts } = look.doubts.saidAgain(folder);
  if (isFirst)
    look.log.warn(
      { folder: folder.id, messages: gone.length, known },
      'most of what is stored from a folder is suddenly gone from it; nothing is changed for it unless it lasts',
    );
  return lasts;
}

function portions(uids: readonly number[], size = askedAtOnce): number[][] {
  const parts: number[][] = [];
  for (let at = 0; at < uids.length; at += size) parts.push(uids.slice(at, at + size));
  return parts;
}
