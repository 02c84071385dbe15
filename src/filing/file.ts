import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/id.ts';
import type { FolderId, MailboxId, MessageId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Db } from '../store/database.ts';
import { lockPosition, readFactRows } from '../store/filing-facts.ts';
import type { FilingConnection } from '../store/filing-facts.ts';
import { FiledMeanwhile, moveCursor, recogniseMessages, writeFiling } from '../store/filing-writes.ts';
import type { DecisionRow } from '../store/filing-writes.ts';
import { readBody } from './body.ts';
import { decide } from './decide.ts';
import type { Verdict } from './decide.ts';
import { addEffects, noEffects } from './effects.ts';
import type { Body, Effects } from './effects.ts';
import { tellEffects } from './events.ts';
import { factsOf } from './facts.ts';
import type { Facts } from './facts.ts';
import { factKeysOf, groundsFor } from './gather.ts';
import { hashOfAddress, hashOfMessageKey } from './hashes.ts';
import { messageKeysOf, peopleOf } from './sighting.ts';
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
 * alone, fetches the bodies of those to be stored, and writes messages, decisions, events and the
 * cursor in one transaction for each portion. A crash before the commit repeats the portion; the
 * cursor and the unique index on message_keys make the repeat harmless.
 */
export async function fileBatch(deps: FilingDeps, batch: Batch): Promise<{ judged: number; stored: number }> {
  let rest = batch.sightings;
  let cursorUid = batch.cursorUid;
  let stored = 0;
  do {
    const planned = await attempt(
      deps,
      batch,
      { cursorUid, sightings: rest, upToUid: batch.upToUid },
      new Map(),
    );
    if (planned.done) {
      stored += planned.stored;
      break;
    }
    const portion = firstPortion(rest, new Set(planned.wanted));
    const upToUid = portion.length === rest.length ? batch.upToUid : (portion.at(-1)?.place.uid ?? cursorUid);
    stored += await filePortion(deps, batch, { cursorUid, sightings: portion, upToUid }, planned.wanted);
    rest = rest.slice(portion.length);
    cursorUid = upToUid;
  } while (rest.length > 0);
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

async function filePortion(
  deps: FilingDeps,
  batch: Batch,
  portion: Portion,
  wantedAtFirst: readonly number[],
): Promise<number> {
  const bodies = new Map<number, Body | null>();
  const mine = new Set(portion.sightings.map((sighting) => sighting.place.uid));
  let wanted = wantedAtFirst.filter((uid) => mine.has(uid));
  for (let round = 0; round < roundsMax; round += 1) {
    await addBodies(deps, batch, wanted, bodies);
    const result = await attempt(deps, batch, portion, bodies);
    if (result.done) return result.stored;
    wanted = result.wanted;
  }
  throw new Error(`the facts about ${batch.folderId} did not come to rest in ${roundsMax} rounds`);
}

async function addBodies(
  deps: FilingDeps,
  batch: Batch,
  uids: readonly number[],
  bodies: Map<number, Body | null>,
): Promise<void> {
  const raw = await batch.fetchBodies(uids);
  await Promise.all(
    uids.map(async (uid) => {
      const content = raw.get(uid);
      bodies.set(uid, content === undefined ? null : await readBody(deps.blobs, content));
    }),
  );
}

type Attempt = { done: true; stored: number } | { done: false; wanted: number[] };

/** One transaction: all of the portion, or the UIDs whose bodies it still wants. */
async function attempt(
  deps: FilingDeps,
  batch: Batch,
  portion: Portion,
  bodies: ReadonlyMap<number, Body | null>,
): Promise<Attempt> {
  for (let round = 1; ; round += 1) {
    try {
      const result = await deps.db.transaction((tx) => judgeAndWrite(deps, tx, batch, portion, bodies));
      if (result.done && result.events > 0) deps.wakePublisher();
      return result;
    } catch (error) {
      if (!(error instanceof FiledMeanwhile) || round === roundsMax) throw error;
    }
  }
}

async function judgeAndWrite(
  deps: FilingDeps,
  tx: Db,
  batch: Batch,
  portion: Portion,
  bodies: ReadonlyMap<number, Body | null>,
): Promise<{ done: true; stored: number; events: number } | { done: false; wanted: number[] }> {
  const position = await lockPosition(tx, batch.folderId);
  const known = position?.uidValidity ?? batch.uidValidity;
  if (position === null || position.cursorUid !== portion.cursorUid || known !== batch.uidValidity) {
    throw new CursorMoved(`${batch.folderId} is not at UID ${portion.cursorUid} of ${batch.uidValidity}`);
  }
  const { connections } = position;
  const effects = noEffects();
  if (connections.length > 0 && portion.sightings.length > 0) {
    const found = await readFactRows(tx, factKeysOf(batch.mailboxId, portion.sightings, connections));
    const wanted = judge(
      deps,
      { sightings: portion.sightings, connections, bodies, effects },
      groundsFor(batch.mailboxId, connections, found),
    );
    if (wanted.length > 0) return { done: false, wanted };
  }
  await writeFiling(tx, effects.writes);
  const events = await tellEffects(tx, effects, await recogniseMessages(tx, effects.recognised));
  await moveCursor(tx, batch.folderId, { uidValidity: batch.uidValidity, uid: portion.upToUid });
  return { done: true, stored: effects.created.length, events };
}

/** Judges every sighting for every connection; answers the UIDs whose bodies are wanted and not at hand. */
function judge(
  deps: FilingDeps,
  work: {
    sightings: readonly Sighting[];
    connections: readonly FilingConnection[];
    bodies: ReadonlyMap<number, Body | null>;
    effects: Effects;
  },
  grounds: ReturnType<typeof groundsFor>,
): number[] {
  const wanted = new Set<number>();
  for (const sighting of work.sightings) {
    const { uid } = sighting.place;
    for (const ground of grounds.values()) {
      const facts = factsOf(sighting, ground);
      const verdict = decide(facts);
      const stores = verdict.verdict === 'store';
      if (stores && !work.bodies.has(uid)) wanted.add(uid);
      const body = work.bodies.has(uid) ? (work.bodies.get(uid) ?? null) : notYetFetched;
      const failed = stores && body === null;
      const messageId = failed ? null : addEffects(work.effects, ground, { sighting, facts, verdict, body });
      work.effects.writes.decisions.push(
        decisionRow(deps.secretBox, sighting, ground.connection, { facts, verdict, failed, messageId }),
      );
    }
  }
  return [...wanted];
}

/** Stands for a body while deciding which ones to fetch; what it leads to is thrown away. */
const notYetFetched: Body = {
  rawSha256: '',
  rawSizeBytes: 0,
  parsed: { text: '', html: null, replyText: '', partial: null },
  attachments: [],
};

function decisionRow(
  secretBox: SecretBox,
  sighting: Sighting,
  connection: { id: DecisionRow['connection_id']; subAccountId: string },
  made: { facts: Facts; verdict: Verdict; failed: boolean; messageId: MessageId | null },
): DecisionRow {
  const { place, mailboxId } = sighting;
  const { verdict, failed } = made;
  return {
    id: newId('dec'),
    sub_account_id: connection.subAccountId,
    connection_id: connection.id,
    mailbox_id: mailboxId,
    folder_id: place.folderId,
    uid_validity: place.uidValidity,
    uid: place.uid,
    outcome: failed ? 'failed' : verdict.verdict === 'skip' ? 'skipped' : 'stored',
    reason: failed ? 'unreadable' : verdict.reason,
    reasons: failed
      ? [...verdict.steps, { rule: 'T3', because: 'the provider gave no readable copy of it' }]
      : verdict.steps,
    facts: made.facts,
    id_hash: hashOfMessageKey(secretBox, messageKeysOf(sighting)[0] ?? ''),
    address_hashes: counterparts(sighting, made.facts).map((address) => hashOfAddress(secretBox, address)),
    message_id: made.messageId,
    attempts: failed ? 1 : 0,
  };
}

/** Most hashed counterparts of one decision; a message to hundreds is found by its id. */
const counterpartsMax = 20;

function counterparts(sighting: Sighting, facts: Facts): string[] {
  const { author, recipients } = peopleOf(sighting.header);
  const people = facts.direction === 'outbound' || author === null ? recipients : [author];
  return people.slice(0, counterpartsMax).map(({ address }) => address);
}
