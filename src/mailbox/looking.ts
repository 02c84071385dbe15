import { Failure, isOfOneMessage, placeOfError } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import { fileBatch, type Batch, type FilingDeps } from '../filing/file.ts';
import type { Sighting } from '../filing/sighting.ts';
import type { MailboxId } from '../lib/id.ts';
import { readPosition } from '../store/filing-facts.ts';
import type { ChangePace } from './change-plan.ts';
import type { Doubts } from './doubt.ts';
import { answered, fetchersOf, halves, headersOf, missedOnes, unlessRefused } from './fetching.ts';
import { planFolder, type Observed } from './plan.ts';
import { sightingsOf, unreadableSighting, type Seen, type Unread } from './seen.ts';
import type { Session } from './session.ts';
import type { Together } from './together.ts';
import type { Portion, Troubles } from './trouble.ts';
import type { Gate } from './turn.ts';
import { beginFolders, noteLooked, type Watched } from './watched.ts';
import type { Writing } from './wanted.ts';

export type Look = {
  mailboxId: MailboxId;
  /** What the provider received before has its decision, or needs none; ms since the epoch. */
  since: number;
  filing: FilingDeps;
  together: Pick<Together, 'startFolders' | 'readTrackedPlaces'>;
  log: Log;
  /**
   * Batches of all mailboxes of a host together, so that a catch-up of many at once stays within memory. Null: this is
   * no place to wait for a turn, and a folder with many new messages is left as it is.
   */
  gate: Gate | null;
  troubles: Troubles;
  doubts: Doubts;
  /** Told before each batch of a long row how many messages are still to be judged in this folder. */
  onBacklog(messages: number): Promise<void>;
  /** Told when the server has shown everything that it had announced so far in a folder. */
  onWhole(folder: Watched): void;
  /** Told after each commit: the sub-account of each message that is new there. */
  onStored(subAccounts: readonly string[]): void;
  /** How long the server may take to say that there is nothing, in milliseconds; then the connection is dead. */
  answerMs: number;
  /** How long a message that is gone from a folder may take to turn up in another, in milliseconds (U3). */
  goneWaitMs: number;
  changePace: ChangePace;
  /** What is being changed for the CRM in the mailbox, beside the looks. */
  writing: Writing;
};

/** Why to look into the open folder. */
export type Occasion =
  /** It was just opened, and this is what the server said of it. */
  | { opened: Observed }
  /** So many messages were announced. */
  | { announced: number }
  /** Nothing was; perhaps it was lost. */
  | 'to_be_sure';

/** What a look came to. */
export type Looked = {
  /** There is a message that the server has announced or listed and does not show yet (Exchange, providers.md B.4, 2026-11). */
  late: boolean;
  /** Its time was over before the end of the folder, or there was too much in it to begin. */
  more: boolean;
};

/** How many messages are judged at once, and are committed together. */
const batchMax = 500;

/**
 * How many are read before other mailboxes have their turn: in well under a second, of mail that is nobody's business.
 * Only within are the next headers fetched while a batch is filed; of three batches they are in memory at most.
 */
const stretchMax: Readonly<Record<Portion, number>> = { many: 8 * batchMax, one: 1, none: 1 };

/** So few need no gate: they are no burden, and wait for nobody's catch-up. */
export const fewMessages = 50;

/** SEARCH SINCE knows days only, in the server's own zone (RFC 9051 §6.4.4): a day, and half a day for the zone. */
const startMarginMs = 36 * 3_600_000;

/** How long the last messages of a folder may be listed and not be shown, before they count as unreadable. */
const lateMsMax = 120_000;

/**
 * Judges everything that is new in the folder which is open in `session`: to its end, or until after
 * the first batch whose end comes later than `until` (by the monotonic clock).
 *
 * The cursor passes only over messages that have a decision. One that the server lists and does not
 * show is asked for again; where the ones behind it are shown, or it has had its time, it is kept as
 * `failed` (T3).
 */
export async function lookInto(
  look: Look,
  session: Session,
  folder: Watched,
  { occasion, until }: { occasion: Occasion; until: number },
): Promise<Looked> {
  const looked = await lookOn(look, session, folder, occasion, until);
  if (!looked.late && !looked.more) look.troubles.readAt(folder);
  return looked;
}

async function lookOn(
  look: Look,
  session: Session,
  folder: Watched,
  occasion: Occasion,
  until: number,
): Promise<Looked> {
  if (occasion === 'to_be_sure') return readListed(look, session, folder, until);
  if ('opened' in occasion) return followPlan(look, session, folder, occasion.opened, until);
  const few = occasion.announced > 0 && occasion.announced <= batchMax;
  const plain = few && look.troubles.portionAt(folder, folder.cursorUid + 1) === 'many';
  return plain ? readAnnounced(look, session, folder, until) : readListed(look, session, folder, until);
}

/** Where fetching or filing fails again and again, it may be for the sake of one message. */
async function blamed<T>(
  look: Look,
  folder: Watched,
  aloneUid: number | null,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    look.troubles.failedAt(folder, error, aloneUid);
    throw error;
  }
}

async function followPlan(
  look: Look,
  session: Session,
  folder: Watched,
  observed: Observed,
  until: number,
): Promise<Looked> {
  const step = planFolder(folder, observed);
  switch (step.step) {
    case 'nothing':
      return { late: false, more: false };
    case 'stop':
      throw new Failure(
        'temporary',
        step.because,
        'the provider contradicts what it said before; nothing is changed for it',
      );
    case 'find_start': {
      const { uidValidity } = observed;
      const cursorUid = await findStart(look, session, observed);
      await beginFolders(look.together, [{ folder, uidValidity, cursorUid }]);
      return followPlan(look, session, folder, observed, until);
    }
    case 'read':
      return readListed(look, session, folder, until);
  }
}

/** The UID before the first message that the provider received since mail counts. */
async function findStart(look: Look, session: Session, observed: Observed): Promise<number> {
  // Asked before the search, so that what comes in between is not passed over; of `1:*` an answer could be of millions.
  const last = observed.uidNext === null ? ((await session.uids('*')).at(-1) ?? 0) : observed.uidNext - 1;
  const [first] = await session.find({ since: look.since - startMarginMs });
  return first === undefined ? last : first - 1;
}

/** A few new messages: one round trip brings them. The session listens again as soon as nothing more is to be read. */
async function readAnnounced(look: Look, session: Session, folder: Watched, until: number): Promise<Looked> {
  const from = folder.cursorUid + 1;
  let late = true;
  const onWhole = () => {
    late = false;
    look.onWhole(folder);
  };
  const coming = session.headers(`${from}:*`, onWhole);
  const position = readPosition(look.filing.db, folder.id);
  // Awaited when there is something to file.
  position.catch(() => undefined);
  const shown = await blamed(look, folder, null, () => unlessRefused(coming));
  if (shown === null) return readListed(look, session, folder, until);
  noteLooked(folder, look.filing.clock);
  // `n:*` names the last message even when its UID is below n (RFC 9051 §6.4.9).
  const fresh = shown.filter((seen) => seen.uid >= from);
  const uids = fresh.map((seen) => seen.uid);
  const last = uids.at(-1);
  if (last !== undefined) {
    // Where UIDs are left out, most often a draft was replaced; but it may be one that cannot be shown.
    const listed = uids.length === last - folder.cursorUid ? uids : await session.uids(`${from}:${last}`);
    await blamed(look, folder, null, async () => {
      const sightings = seenAs(look, folder, fresh);
      const passed = await missedOf(look, session, folder, { listed, shown: uids });
      // Nothing more is to be read, most likely: listen while all of it is written.
      const onBodies = () => session.idle();
      await fileAll(look, session, folder, { sightings, passed, upToUid: last, position, onBodies });
    });
    folder.lateSince = null;
  }
  return { late, more: false };
}

/** Asks for the UIDs first, so that nothing that is listed can be left out, and reads in batches. */
async function readListed(look: Look, session: Session, folder: Watched, until: number): Promise<Looked> {
  const from = folder.cursorUid + 1;
  // `n:*` names the last message even when its UID is below n (RFC 9051 §6.4.9).
  const uids = (
    await answered(session.uids(`${from}:*`), session, { clock: look.filing.clock, withinMs: look.answerMs })
  ).filter((uid) => uid >= from);
  const { gate, filing } = look;
  if (gate === null && uids.length > fewMessages) return { late: false, more: true };
  const { clock } = filing;
  let stretch = { late: false, read: 0 };
  for (let at = 0; at < uids.length; at += stretch.read) {
    if (at > 0 && clock.monotonic() >= until) return { late: false, more: true };
    if (uids.length > batchMax) await look.onBacklog(uids.length - at);
    const portion = look.troubles.portionAt(folder, uids[at] ?? 0);
    const listed = uids.slice(at, at + stretchMax[portion]);
    const isLast = at + listed.length >= uids.length;
    const alone = portion === 'many' ? null : (listed[0] ?? null);
    const read = () =>
      blamed(look, folder, alone, () =>
        portion === 'none'
          ? giveUp(look, session, folder, listed)
          : readStretch(look, session, folder, { listed, isLast, until }),
      );
    stretch = await (gate !== null && uids.length > fewMessages ? gate(read) : read());
  }
  if (!stretch.late) folder.lateSince = null;
  return { late: stretch.late, more: false };
}

/** What came of a stretch: how many were read, and whether messages at its end were left for later. */
type Stretch = { late: boolean; read: number };

/** Batch by batch, until its time is over. */
async function readStretch(
  look: Look,
  session: Session,
  folder: Watched,
  stretch: { listed: readonly number[]; isLast: boolean; until: number },
): Promise<Stretch> {
  const batches = Array.from({ length: Math.ceil(stretch.listed.length / batchMax) }, (_, n) =>
    stretch.listed.slice(n * batchMax, (n + 1) * batchMax),
  );
  let late = false;
  let read = 0;
  const coming: Promise<Sighting[]>[] = [];
  // Read as soon as they are there: the batches before wait for the database meanwhile.
  const show = async (uids: readonly number[]) => seenAs(look, folder, await headersOf(session, uids));
  const askOn = (n: number) => {
    const next = batches[coming.length];
    const isTime = n === 0 || look.filing.clock.monotonic() < stretch.until;
    if (coming.length > n || next === undefined || !isTime) return;
    const shown = show(next);
    // Awaited in its turn, or at the end.
    shown.catch(() => undefined);
    coming.push(shown);
  };
  try {
    askOn(0);
    for (const [n, listed] of batches.entries()) {
      const shown = await coming[n];
      if (shown === undefined) break;
      read += listed.length;
      askOn(n + 1);
      const isLast = stretch.isLast && read === stretch.listed.length;
      // The bodies must not wait for the headers of later batches; while they are written, these come.
      const onBodies = () => askOn(n + 2);
      late = await takeBatch(look, session, folder, { listed, shown, isLast, onBodies });
    }
  } finally {
    // Nobody else shall use the connection before it is done.
    await Promise.allSettled(coming);
  }
  return { late, read };
}

async function giveUp(
  look: Look,
  session: Session,
  folder: Watched,
  uids: readonly number[],
): Promise<Stretch> {
  look.log.warn({ folder: folder.id }, 'a message fails again and again and is kept as failed');
  const passed = uids.map((uid): Unread => ({ uid, unreadable: true }));
  const upToUid = uids.at(-1) ?? folder.cursorUid;
  await fileAll(look, session, folder, { sightings: [], passed, upToUid });
  return { late: false, read: uids.length };
}

/** Answers whether messages at the end were left for later. */
async function takeBatch(
  look: Look,
  session: Session,
  folder: Watched,
  batch: { listed: readonly number[]; shown: readonly Sighting[]; isLast: boolean; onBodies(): void },
): Promise<boolean> {
  const shown = batch.shown.map(({ place }) => place.uid);
  const now = look.filing.clock.monotonic();
  const waits = batch.isLast && now - (folder.lateSince ?? now) < lateMsMax;
  const lastShown = shown.at(-1) ?? 0;
  const listed = waits ? batch.listed.filter((uid) => uid <= lastShown) : batch.listed;
  const late = listed.length < batch.listed.length;
  if (late) folder.lateSince ??= now;
  const upToUid = listed.at(-1);
  if (upToUid === undefined) return late;
  const passed = await missedOf(look, session, folder, { listed, shown });
  const { shown: sightings, onBodies } = batch;
  await fileAll(look, session, folder, { sightings, passed, upToUid, onBodies });
  return late;
}

async function missedOf(
  look: Look,
  session: Session,
  folder: Watched,
  batch: { listed: readonly number[]; shown: readonly number[] },
): Promise<(Seen | Unread)[]> {
  const missed = await missedOnes(session, batch);
  const messages = missed.filter((seen) => 'unreadable' in seen).length;
  if (messages > 0) {
    look.log.warn({ folder: folder.id, messages }, 'the provider cannot show messages that it lists');
  }
  return missed;
}

/** What is filed at once; `onBodies` is told when the bodies are there and nothing is left to do but write. */
type Part = Pick<Batch, 'sightings' | 'upToUid' | 'position'> & { onBodies?(): void };

/**
 * Files what was seen up to a UID; `passed` was shown late, or not at all. A message that cannot be filed is kept as
 * failed, and the others go on (T3).
 */
async function fileAll(
  look: Look,
  session: Session,
  folder: Watched,
  part: Part & { passed: readonly (Seen | Unread)[] },
): Promise<void> {
  const { passed, ...rest } = part;
  const sightings =
    passed.length === 0
      ? part.sightings
      : [...part.sightings, ...seenAs(look, folder, passed)].sort((a, b) => a.place.uid - b.place.uid);
  await fileSightings(look, session, folder, { ...rest, sightings });
}

function seenAs(look: Look, folder: Watched, seen: readonly (Seen | Unread)[]): Sighting[] {
  const { mailboxId, log, filing } = look;
  const { id: folderId, role, uidValidity } = folder;
  if (uidValidity === null) throw new Error(`${folderId} has no UIDVALIDITY yet`);
  return sightingsOf(
    { mailboxId, place: { folderId, role, uidValidity }, now: filing.clock.now(), log },
    seen,
  );
}

async function fileSightings(
  look: Look,
  session: Session,
  folder: Watched,
  { position, ...part }: Part,
): Promise<void> {
  const { sightings, upToUid } = part;
  try {
    await fileBatch(look.filing, {
      mailboxId: look.mailboxId,
      folderId: folder.id,
      uidValidity: folder.uidValidity ?? 0,
      cursorUid: folder.cursorUid,
      upToUid,
      sightings,
      ...(position === undefined ? {} : { position }),
      ...fetchersOf(session, sightings, () => part.onBodies?.()),
      onFiled: (filed) => {
        folder.cursorUid = filed.upToUid;
        look.onStored(filed.storedIn);
      },
    });
  } catch (error) {
    if (!isOfOneMessage(error)) throw error;
    const left = sightings.filter((sighting) => sighting.place.uid > folder.cursorUid);
    const [only, ...more] = left;
    if (only === undefined || only.unreadable) throw error;
    if (more.length === 0) {
      look.log.error(
        { folder: folder.id, uid: only.place.uid, ...placeOfError(error) },
        'a message could not be filed and is kept as failed',
      );
      const { place, internalDate, size, marks, gmail } = only;
      const known = { uid: place.uid, internalDate, size, marks, gmail };
      const unreadable = unreadableSighting(look.mailboxId, place, known, internalDate);
      return fileSightings(look, session, folder, { ...part, sightings: [unreadable] });
    }
    const [front, back] = halves(left);
    const middle = front.at(-1)?.place.uid ?? folder.cursorUid;
    await fileSightings(look, session, folder, { ...part, sightings: front, upToUid: middle });
    await fileSightings(look, session, folder, { ...part, sightings: back });
  }
}
