import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/id.ts';
import type { ConnectionId, FolderId, MailboxId } from '../lib/id.ts';
import { groundAgain, isClosed, reconcile } from './again.ts';
import type { Again } from './again.ts';
import type { AttachmentLimits, StructurePart } from '../message/attachment-limits.ts';
import { noLimits } from '../message/attachment-limits.ts';
import type { LimitsOf } from '../provider/figures.ts';
import type { Log } from '../lib/log.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { BlobStore } from '../store/blobs.ts';
import { refersToNothing, wasOvertaken } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { addErrands } from '../store/errands.ts';
import type { NewErrand } from '../store/errands.ts';
import { readDecided, replaceDecisions } from '../store/decisions.ts';
import type { Decided } from '../store/decisions.ts';
import { lockPosition, readFactRows, readPosition } from '../store/filing-facts.ts';
import type { FactRows, FilingConnection, FilingPosition } from '../store/filing-facts.ts';
import { FiledMeanwhile, recogniseMessages, writeFiling } from '../store/filing-writes.ts';
import { refreshMessages } from '../store/places.ts';
import { noteReports } from '../store/send-reports.ts';
import { linkStored } from './answers.ts';
import { dateAnew } from './date-anew.ts';
import { noEffects } from './effects.ts';
import type { Effects } from './effects.ts';
import { tellEffects } from './events.ts';
import { fetchWanted } from './fetch-wanted.ts';
import { noteBatch, noteDecisions } from './figures.ts';
import { factKeysOf, groundsFor, mailboxLimits } from './gather.ts';
import type { Ground } from './gather.ts';
import { judge } from './judge.ts';
import type { Fetched, Settled, Wanted } from './judge.ts';
import { portionsOf } from './portions.ts';
import type { Portion } from './portions.ts';
import { withoutLogging } from './sighting.ts';
import type { Sighting } from './sighting.ts';
import { assertNotErased, soughtTombstones } from './tombstones.ts';

export type FilingDeps = {
  db: Db;
  blobs: BlobStore;
  secretBox: SecretBox;
  clock: Clock;
  log: Log;
  /** What is behind the @ of logging addresses, in lower case; null: there are none. */
  loggingDomain: string | null;
  limitsOf: LimitsOf;
  /** Called after a commit that left events behind, so that they are published at once. */
  wakePublisher(): void;
};

/**
 * Sightings of one folder, in the order of their UIDs, and where the folder's cursor stands: new ones, or
 * ones that are judged again, which leave the cursor where it is.
 */
export type Batch = {
  mailboxId: MailboxId;
  folderId: FolderId;
  uidValidity: number;
  /** The cursor as the caller read it. A cursor that stands elsewhere means a second filer: nothing is done. */
  cursorUid: number;
  /** Where the cursor goes: the sightings are all that the folder has between the two. */
  upToUid: number;
  again?: Again;
  sightings: readonly Sighting[];
  /** Where the folder stood, asked for while its messages were: whatever is another then is found out as below. */
  position?: Promise<FilingPosition | null>;
  /** Raw messages by UID; a message that is gone or unreadable is missing from the answer. */
  fetchBodies(uids: readonly number[]): Promise<ReadonlyMap<number, Buffer>>;
  /** What messages consist of, by UID; one of which the server does not say it is missing from the answer. */
  fetchStructures(uids: readonly number[]): Promise<ReadonlyMap<number, readonly StructurePart[]>>;
  /** Told after each commit, also when a later part fails: how far it goes, and the sub-account of each new message. */
  onFiled?(filed: { upToUid: number; storedIn: readonly string[] }): void;
};

/** The folder's cursor is not where the caller believed: it must read it again. */
export class CursorMoved extends Error {}

/** The connection for which mail was to be judged again has ended, or is paused: nothing was judged. */
export class ConnectionAway extends Error {}

/** A connection, one of its settings, or who claims contacts, is not what it was when the facts were looked up. */
class ConnectionsChanged extends Error {}

/** How often facts may change between deciding and storing before it must be an error of ours. */
const roundsMax = 10;

/**
 * How long what was looked up holds, while bodies are fetched, in milliseconds. All of it is from after
 * the messages were seen, or their folder's position from when they were asked for; what may not be missed (the same message filed by another mailbox, a connection
 * that ended, a claim, a row that is gone) is found out by the transaction that writes.
 */
const knownMsMax = 5_000;

/**
 * The one door (S, T): looks up what the database knows of all sightings, judges each for each active
 * connection of the mailbox from headers alone, fetches the bodies of those to be stored, and writes
 * messages, decisions, events and the cursor in one transaction for each portion. A crash before the commit
 * repeats the portion; the cursor and the unique index on message_keys make the repeat harmless.
 */
export async function fileBatch(deps: FilingDeps, seen: Batch): Promise<{ judged: number; stored: number }> {
  const sightings = seen.sightings.map((sighting) => withoutLogging(sighting, deps.loggingDomain));
  const batch = { ...seen, sightings };
  const startedAt = deps.clock.monotonic();
  const course: Course = {
    fetched: { bodies: new Map(), structures: new Map(), reports: new Map() },
    limits: noLimits,
    keeping: new Map(),
    position: batch.position ?? null,
    known: null,
    settled: null,
    judgedAt: null,
  };
  const filed = (stored: number) => {
    const done = { judged: batch.sightings.length, stored };
    noteBatch(done, { startedAt, judgedAt: course.judgedAt ?? startedAt, storedAt: deps.clock.monotonic() });
    return done;
  };
  const all = { cursorUid: batch.cursorUid, sightings: batch.sightings, upToUid: batch.upToUid };
  const planned = await attempt(deps, batch, all, course);
  if (planned.done) return filed(planned.stored);
  const portions = portionsOf(batch, new Set(planned.wanted.map(({ uid }) => uid)));
  const fetchFor = (portion: Portion | undefined) => {
    const mine = new Set(portion?.sightings.map(({ place }) => place.uid));
    const wanted = planned.wanted.filter(({ uid }) => mine.has(uid));
    const fetched = wanted.length === 0 ? Promise.resolve() : fetchWanted(deps, batch, wanted, course);
    // Awaited in its turn, or at the end.
    fetched.catch(() => undefined);
    return fetched;
  };
  let coming = fetchFor(portions[0]);
  let stored = 0;
  try {
    for (const [n, portion] of portions.entries()) {
      await coming;
      // They come and are read while these are written.
      coming = fetchFor(portions[n + 1]);
      stored += await filePortion(deps, batch, portion, course);
      for (const { place } of portion.sightings) {
        course.fetched.bodies.delete(place.uid);
        course.keeping.delete(place.uid);
      }
    }
  } finally {
    // Nobody else shall use the connection before it is done.
    await Promise.allSettled([coming]);
  }
  return filed(stored);
}

/** What has been found out so far in the course of a batch. */
export type Course = {
  fetched: Fetched;
  /** Of the mailbox: what was fetched was read by them. */
  limits: AttachmentLimits;
  /** Blobs on their way to the disk, by UID. */
  keeping: Map<number, Promise<unknown>>;
  /** Asked for already; null: it must be looked up. */
  position: Batch['position'] | null;
  /** Null: it must be looked up. */
  known: Known | null;
  /** What no rule stores for these connections. */
  settled: { whose: string; sightings: Settled } | null;
  /** When the rules were first through with all of it, by the monotonic clock; null: they are not. */
  judgedAt: number | null;
};

/** What the database held about the rest of the batch. */
type Known = {
  connections: readonly FilingConnection[];
  /** The connections with their settings, to be compared. */
  whose: string;
  rows: FactRows | null;
  /** Of the rows, and what was filed since. */
  grounds: Map<ConnectionId, Ground>;
  /** By UID; empty where all are new. */
  decided: ReadonlyMap<number, Decided>;
  /** How many reports were read by then: what later ones cite was not looked up. */
  reports: number;
  /** Nothing was filed since. */
  isFresh: boolean;
  /** By the monotonic clock. */
  at: number;
};

async function filePortion(
  deps: FilingDeps,
  batch: Batch,
  portion: Portion,
  course: Course,
): Promise<number> {
  for (let round = 0; round < roundsMax; round += 1) {
    const result = await attempt(deps, batch, portion, course);
    if (result.done) return result.stored;
    await fetchWanted(deps, batch, result.wanted, course);
  }
  throw new Error(`the facts about ${batch.folderId} did not come to rest in ${roundsMax} rounds`);
}

/** All of a portion is written, or what it still wants. */
type Attempt = { done: true; stored: number } | { done: false; wanted: Wanted[] };

async function attempt(deps: FilingDeps, batch: Batch, portion: Portion, course: Course): Promise<Attempt> {
  for (let round = 1; ; round += 1) {
    const known = await knownOf(deps, batch, portion, course);
    const { effects, wanted } = judgeOn(deps, batch, portion, { course, known });
    course.judgedAt ??= deps.clock.monotonic();
    if (wanted.length > 0) return { done: false, wanted };
    try {
      return { done: true, stored: await write(deps, batch, portion, { course, known, effects }) };
    } catch (error) {
      course.known = null;
      if (!isOutdated(error) || round === roundsMax) throw error;
    }
  }
}

/** Whether the same again may succeed, on the facts of then. */
function isOutdated(error: unknown): boolean {
  return (
    error instanceof FiledMeanwhile ||
    error instanceof ConnectionsChanged ||
    wasOvertaken(error) ||
    refersToNothing(error)
  );
}

async function knownOf(deps: FilingDeps, batch: Batch, portion: Portion, course: Course): Promise<Known> {
  const { clock } = deps;
  const { known, fetched } = course;
  const hasAll = known?.reports === fetched.reports.size;
  if (known !== null && hasAll && clock.monotonic() - known.at < knownMsMax) return known;
  const at = clock.monotonic();
  const asked = course.position ?? readPosition(deps.db, batch.folderId);
  course.position = null;
  const position = checked(await asked, batch, portion);
  const { connections } = position;
  const { again } = batch;
  if (again !== undefined && !connections.some(({ id, paused }) => id === again.connectionId && !paused))
    throw new ConnectionAway();
  const whose = JSON.stringify(connections);
  limitBy(deps, course, connections);
  const settled = course.settled?.whose === whose ? course.settled.sightings : null;
  // Everything that is not filed yet: the portions after this one go by the same facts.
  const open = batch.sightings.filter(
    ({ place }) => place.uid > portion.cursorUid && !settled?.has(place.uid),
  );
  // The next portion's may come while this is looked up.
  const reports = fetched.reports.size;
  const keys = factKeysOf(batch.mailboxId, open, connections, fetched.reports.values());
  const tombstones = soughtTombstones(deps.secretBox, open, connections);
  const rows =
    connections.length > 0 && open.length > 0 ? await readFactRows(deps.db, { ...keys, tombstones }) : null;
  const grounds = groundsOf(batch, connections, rows);
  const decided = await decidedOf(deps.db, batch, open);
  course.known = { connections, whose, rows, grounds, decided, reports, isFresh: true, at };
  return course.known;
}

/** What was read by other limits is read again. */
function limitBy({ limitsOf }: FilingDeps, course: Course, connections: readonly FilingConnection[]): void {
  const limits = mailboxLimits(limitsOf, connections);
  if (!isDeepStrictEqual(limits, course.limits)) course.fetched.bodies.clear();
  course.limits = limits;
}

function groundsOf(
  batch: Batch,
  connections: readonly FilingConnection[],
  rows: FactRows | null,
): Map<ConnectionId, Ground> {
  if (rows === null) return new Map();
  const { again, mailboxId } = batch;
  const grounds =
    again === undefined
      ? groundsFor(mailboxId, connections, rows)
      : groundAgain(mailboxId, connections, rows, again);
  for (const { id, paused } of connections) if (paused) grounds.delete(id);
  return grounds;
}

/** What was decided before of what is to be judged again. */
async function decidedOf(
  db: Db,
  { again, folderId, uidValidity }: Batch,
  sightings: readonly Sighting[],
): Promise<ReadonlyMap<number, Decided>> {
  if (again === undefined || sightings.length === 0) return new Map();
  const uids = sightings.map(({ place }) => place.uid);
  return readDecided(db, { connectionId: again.connectionId, folderId, uidValidity, uids });
}

function judgeOn(
  deps: FilingDeps,
  batch: Batch,
  portion: Portion,
  { course, known }: { course: Course; known: Known },
): { effects: Effects; wanted: Wanted[] } {
  const { whose, grounds } = known;
  const effects = noEffects();
  const settled: Settled = course.settled?.whose === whose ? course.settled.sightings : new Map();
  const sightings = portion.sightings.filter(({ place }) => !isClosed(known.decided.get(place.uid)));
  const given = { sightings, grounds, fetched: course.fetched, limits: course.limits, settled };
  const errandId = batch.again?.errandId ?? null;
  const judged = judge({ ...given, secretBox: deps.secretBox, errandId }, effects);
  if (judged.wanted.length > 0) {
    course.settled = { whose, sightings: judged.settled };
    // These grounds know messages now whose bodies are not there.
    const isGood = known.isFresh && course.known === known;
    course.known = isGood ? { ...known, grounds: groundsOf(batch, known.connections, known.rows) } : null;
  }
  return { effects, wanted: judged.wanted };
}

/** One transaction: all of the portion, or nothing. Answers how many messages are new. */
async function write(
  deps: FilingDeps,
  batch: Batch,
  portion: Portion,
  { course, known, effects }: { course: Course; known: Known; effects: Effects },
): Promise<number> {
  const keeping = portion.sightings.map(({ place }) => course.keeping.get(place.uid));
  const events = await deps.db.transaction(async (tx) => {
    const position = checked(await lockPosition(tx, batch.folderId), batch, portion);
    // Whoever has connected meanwhile has no decision yet; whoever has disconnected, or has lost a contact
    // to a claim, shall get nothing.
    if (JSON.stringify(position.connections) !== known.whose) throw new ConnectionsChanged();
    return writeEffects(deps, tx, batch, portion, { effects, keeping, known });
  });
  known.isFresh = false;
  noteDecisions('mailbox', effects.writes.decisions);
  if (events > 0) deps.wakePublisher();
  const storedIn = effects.created.map(({ subAccountId }) => subAccountId);
  batch.onFiled?.({ upToUid: portion.upToUid, storedIn });
  return storedIn.length;
}

async function writeEffects(
  deps: FilingDeps,
  tx: Db,
  batch: Batch,
  portion: Portion,
  given: { effects: Effects; keeping: readonly unknown[]; known: Known },
): Promise<number> {
  const { effects, keeping, known } = given;
  const { folderId, uidValidity } = batch;
  if (batch.again === undefined) {
    await writeFiling(tx, effects.writes, { folderId, uidValidity, uid: portion.upToUid });
  } else {
    const now = await decidedOf(tx, batch, portion.sightings);
    const isSame = portion.sightings.every(
      ({ place: { uid } }) => now.get(uid)?.id === known.decided.get(uid)?.id,
    );
    if (!isSame) throw new FiledMeanwhile('somebody else has judged it again');
    const redone = reconcile(effects.writes.decisions, now);
    await writeFiling(tx, { ...effects.writes, decisions: redone.decisions }, null);
    await replaceDecisions(tx, redone);
  }
  await addErrands(tx, effects.heads.map(headErrand));
  const { connections } = known;
  await assertNotErased(tx, deps.secretBox, effects.writes, { ...portion, connections });
  // Before conversations are locked, for which others wait.
  await Promise.all(keeping);
  const recognised = await recogniseMessages(tx, effects.recognised);
  const refreshed = await refreshMessages(tx, [...effects.seenAgain]);
  const filled = effects.writes.fills.map(({ id }) => id);
  const reported = await noteReports(tx, effects.reports);
  const linked = await linkStored(tx, effects);
  await dateAnew(tx, effects, recognised);
  const changed = [...recognised.messages, ...filled, ...refreshed, ...reported.messages, ...linked];
  const events = await tellEffects(tx, effects, {
    messages: [...new Set(changed)],
    sends: [...recognised.sends, ...reported.sends],
  });
  return events.length;
}

function headErrand(head: Effects['heads'][number]): NewErrand {
  const { connectionId, mailboxId, subAccountId, ...request } = head;
  return {
    id: newId('err'),
    kind: 'thread_head',
    sub_account_id: subAccountId,
    connection_id: connectionId,
    mailbox_id: mailboxId,
    request,
  };
}

/** Where the folder stands, if that is where the portion begins. */
function checked(position: FilingPosition | null, batch: Batch, portion: Portion): FilingPosition {
  const { folderId, uidValidity } = batch;
  const isThere = batch.again !== undefined || position?.cursorUid === portion.cursorUid;
  if (position === null || !isThere || (position.uidValidity ?? uidValidity) !== uidValidity) {
    throw new CursorMoved(`${folderId} is not at UID ${portion.cursorUid} of ${uidValidity}`);
  }
  return position;
}
