import type { Clock } from '../lib/clock.ts';
import type { FolderId, MailboxId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { BlobStore } from '../store/blobs.ts';
import { wasOvertaken } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { lockPosition, readFactRows } from '../store/filing-facts.ts';
import {
  FiledMeanwhile,
  markBounced,
  moveCursor,
  recogniseMessages,
  writeFiling,
} from '../store/filing-writes.ts';
import { readBody, readReport } from './body.ts';
import { noEffects } from './effects.ts';
import { tellEffects } from './events.ts';
import { factKeysOf, groundsFor } from './gather.ts';
import { judge, nothingFetched } from './judge.ts';
import type { Fetched, Settled, Wanted } from './judge.ts';
import type { Sighting } from './sighting.ts';

export type FilingDeps = {
  db: Db;
  blobs: BlobStore;
  secretBox: SecretBox;
  clock: Clock;
  log: Log;
  /** Called after a commit that left events behind, so that they are published at once. */
  wakePublisher(): void;
};

/** Sightings of one folder, in the order of their UIDs, and where the folder's cursor stands. */
export type Batch = {
  mailboxId: MailboxId;
  folderId: FolderId;
  uidValidity: number;
  /** The cursor as the caller read it. A cursor that stands elsewhere means a second filer: nothing is done. */
  cursorUid: number;
  /** Where the cursor goes: the sightings are all that the folder has between the two. */
  upToUid: number;
  sightings: readonly Sighting[];
  /** Raw messages by UID; a message that is gone or unreadable is missing from the answer. */
  fetchBodies(uids: readonly number[]): Promise<ReadonlyMap<number, Buffer>>;
  /** Told after each commit, also when a later part fails: how far it goes, and the sub-account of each new message. */
  onFiled?(filed: { upToUid: number; storedIn: readonly string[] }): void;
};

/** The folder's cursor is not where the caller believed: it must read it again. */
export class CursorMoved extends Error {}

/** Bodies are fetched and filed in portions, so that memory stays bounded and progress is kept. */
const portionMessagesMax = 100;
const portionBytesMax = 16 * 1024 * 1024;

/** How often facts may change between deciding and storing before it must be an error of ours. */
const roundsMax = 10;

/**
 * The one door (S, T): judges each sighting for each active connection of the mailbox, from headers
 * alone, fetches the bodies of those to be stored, judges these again on the facts of then, and writes
 * messages, decisions, events and the cursor in one transaction for each portion. A crash before the commit repeats the portion; the
 * cursor and the unique index on message_keys make the repeat harmless.
 */
export async function fileBatch(deps: FilingDeps, batch: Batch): Promise<{ judged: number; stored: number }> {
  const planned = await attempt(deps, batch, batch, { fetched: nothingFetched, before: null });
  if (planned.done) return { judged: batch.sightings.length, stored: planned.storedIn.length };
  const wanted = new Set(planned.wanted.map(({ uid }) => uid));
  let rest = batch.sightings;
  let cursorUid = batch.cursorUid;
  let stored = 0;
  while (rest.length > 0) {
    const portion = firstPortion(rest, wanted);
    const upToUid = portion.length === rest.length ? batch.upToUid : (portion.at(-1)?.place.uid ?? cursorUid);
    stored += await filePortion(deps, batch, { cursorUid, sightings: portion, upToUid }, planned);
    rest = rest.slice(portion.length);
    cursorUid = upToUid;
  }
  return { judged: batch.sightings.length, stored };
}

type Portion = { cursorUid: number; sightings: readonly Sighting[]; upToUid: number };

/** As many of the sightings as fit into one portion with the bodies that they want; at least one. */
function firstPortion(sightings: readonly Sighting[], wanted: ReadonlySet<number>): readonly Sighting[] {
  let messages = 0;
  let bytes = 0;
  const end = sightings.findIndex((sighting, position) => {
    if (!wanted.has(sighting.place.uid)) return false;
    messages += 1;
    bytes += sighting.size;
    return position > 0 && (messages > portionMessagesMax || bytes > portionBytesMax);
  });
  return end === -1 ? sightings : sightings.slice(0, end);
}

async function filePortion(deps: FilingDeps, batch: Batch, portion: Portion, planned: Plan): Promise<number> {
  const fetched: Fetched = { bodies: new Map(), reports: new Map() };
  const mine = new Set(portion.sightings.map((sighting) => sighting.place.uid));
  let before = planned;
  for (let round = 0; round < roundsMax; round += 1) {
    const wanted = before.wanted.filter(({ uid }) => mine.has(uid));
    await fetch(deps, batch, wanted, fetched);
    const result = await attempt(deps, batch, portion, { fetched, before });
    if (result.done) return result.storedIn.length;
    before = result;
  }
  throw new Error(`the facts about ${batch.folderId} did not come to rest in ${roundsMax} rounds`);
}

async function fetch(
  deps: FilingDeps,
  batch: Batch,
  wanted: readonly Wanted[],
  into: Fetched,
): Promise<void> {
  const raw = await batch.fetchBodies([...new Set(wanted.map(({ uid }) => uid))]);
  await Promise.all(
    wanted.map(async ({ uid, as }) => {
      const content = raw.get(uid);
      if (as === 'body')
        into.bodies.set(uid, content === undefined ? null : await readBody(deps.blobs, content));
      else into.reports.set(uid, content === undefined ? null : await readReport(content));
    }),
  );
}

/** What must be fetched before a portion can be written, and what is settled, for whom. */
type Plan = { done: false; wanted: Wanted[]; settled: Settled; connections: string };

type Attempt = { done: true; storedIn: string[] } | Plan;

/** What is known from before the transaction. */
type Given = { fetched: Fetched; before: Plan | null };

/** One transaction: all of the portion, or what it still wants. */
async function attempt(deps: FilingDeps, batch: Batch, portion: Portion, given: Given): Promise<Attempt> {
  for (let round = 1; ; round += 1) {
    try {
      const result = await deps.db.transaction((tx) => judgeAndWrite(deps, tx, batch, portion, given));
      if (result.done) {
        if (result.events > 0) deps.wakePublisher();
        batch.onFiled?.({ upToUid: portion.upToUid, storedIn: result.storedIn });
      }
      return result;
    } catch (error) {
      const again = error instanceof FiledMeanwhile || wasOvertaken(error);
      if (!again || round === roundsMax) throw error;
    }
  }
}

async function judgeAndWrite(
  deps: FilingDeps,
  tx: Db,
  batch: Batch,
  portion: Portion,
  { fetched, before }: Given,
): Promise<{ done: true; storedIn: string[]; events: number } | Plan> {
  const position = await lockPosition(tx, batch.folderId);
  const known = position?.uidValidity ?? batch.uidValidity;
  if (position === null || position.cursorUid !== portion.cursorUid || known !== batch.uidValidity) {
    throw new CursorMoved(`${batch.folderId} is not at UID ${portion.cursorUid} of ${batch.uidValidity}`);
  }
  const { connections } = position;
  const effects = noEffects();
  if (connections.length > 0 && portion.sightings.length > 0) {
    const { sightings } = portion;
    // Whoever has connected, or changed a setting, meanwhile has no decision yet.
    const whose = JSON.stringify(connections);
    const settled: Settled = before?.connections === whose ? before.settled : new Map();
    const open = sightings.filter(({ place }) => !settled.has(place.uid));
    const keys = factKeysOf(batch.mailboxId, open, connections, fetched.reports.values());
    const grounds = groundsFor(batch.mailboxId, connections, await readFactRows(tx, keys));
    const given = { sightings, grounds, fetched, settled, secretBox: deps.secretBox };
    const judged = judge(given, effects);
    if (judged.wanted.length > 0) return { done: false, ...judged, connections: whose };
  }
  await writeFiling(tx, effects.writes);
  const recognised = await recogniseMessages(tx, effects.recognised);
  const bounced = await markBounced(tx, effects.reports);
  const events = await tellEffects(tx, effects, {
    messages: [...recognised.messages, ...bounced.messages],
    sends: [...recognised.sends, ...bounced.sends],
  });
  await moveCursor(tx, batch.folderId, { uidValidity: batch.uidValidity, uid: portion.upToUid });
  return { done: true, storedIn: effects.created.map(({ subAccountId }) => subAccountId), events };
}
