import type { Outcomes } from '../store/decisions.ts';
import { readDecided } from '../store/decisions.ts';
import { readFactRows, readFilingConnections } from '../store/filing-facts.ts';
import type { FactKeys, FactRows, FilingConnection } from '../store/filing-facts.ts';
import type { FilingWrites } from '../store/filing-writes.ts';
import type { MailboxId, ThreadId } from '../lib/id.ts';
import { groundAgain, isClosed } from './again.ts';
import type { Again } from './again.ts';
import { noEffects, nothing } from './effects.ts';
import type { Effects } from './effects.ts';
import type { Batch, FilingDeps } from './file.ts';
import { outcomes } from './decide.ts';
import { factKeysOf, mailboxLimits } from './gather.ts';
import { judge } from './judge.ts';
import type { Fetched, Judged } from './judge.ts';
import { withoutLogging } from './sighting.ts';
import type { Sighting } from './sighting.ts';
import { soughtTombstones } from './tombstones.ts';

/**
 * What would come of mail if it were filed, from headers and structure alone (C8): no body is fetched, and nothing written.
 * What it foresees to be stored counts as there for what is asked afterwards, so that a thread is seen whole.
 * Ask for messages of one folder at a time.
 */
export function createForesight(
  { db, secretBox, loggingDomain, limitsOf }: FilingDeps,
  of: {
    mailboxId: MailboxId;
    again: Again;
    /** Those of the mailbox, where one of them is not made yet; missing: as they are in the database. */
    connections?: readonly FilingConnection[];
  },
): (sightings: readonly Sighting[], fetchStructures: Batch['fetchStructures']) => Promise<Foretold[]> {
  const { mailboxId, again } = of;
  const foreseen: Foreseen = { messages: new Map(), threadKeys: new Map(), threads: new Map() };
  return async (sightings, fetchStructures) => {
    const place = sightings[0]?.place;
    if (place === undefined) return [];
    const { folderId, uidValidity } = place;
    const uids = sightings.map((sighting) => sighting.place.uid);
    const decided = await readDecided(db, { connectionId: again.connectionId, folderId, uidValidity, uids });
    const open = sightings
      .filter((sighting) => !isClosed(decided.get(sighting.place.uid)))
      .map((sighting) => withoutLogging(sighting, loggingDomain));
    const connections = of.connections ?? (await readFilingConnections(db, mailboxId));
    const keys = factKeysOf(mailboxId, open, connections);
    const more = foreseenBy(keys, foreseen);
    const found = await readFactRows(db, {
      ...keys,
      threadIds: more.threadKeys.map(({ thread }) => thread),
      tombstones: soughtTombstones(secretBox, open, connections),
    });
    const rows: FactRows = {
      ...found,
      messages: [...found.messages, ...more.messages],
      threadKeys: [...found.threadKeys, ...more.threadKeys],
      threads: [...found.threads, ...more.threads],
    };
    const effects = noEffects();
    const judgeBy = (fetched: Pick<Fetched, 'bodies' | 'structures'>, into: Effects) =>
      judge(
        {
          sightings: open,
          grounds: groundAgain(mailboxId, connections, rows, again),
          fetched: { ...fetched, reports: new Map(uids.map((uid) => [uid, null])) },
          limits: mailboxLimits(limitsOf, connections),
          settled: new Map(),
          secretBox,
          errandId: again.errandId,
        },
        into,
      );
    const { wanted } = judgeBy({ bodies: new Map(), structures: new Map() }, noEffects());
    const large = wanted.filter(({ as }) => as === 'structure').map(({ uid }) => uid);
    const structures = new Map(large.length === 0 ? [] : await fetchStructures(large));
    const bodies = new Map(open.map(({ place: { uid }, unreadable }) => [uid, unreadable ? null : nothing]));
    const { judged } = judgeBy({ bodies, structures }, effects);
    remember(foreseen, effects.writes);
    const was = [...decided.values()].filter(isClosed);
    return [
      ...was.map(({ outcome, reason }) => ({ outcome, reason, messages: 1, judged: null })),
      ...judged.map((one) => ({
        outcome: one.failed ? ('failed' as const) : outcomes[one.verdict.verdict],
        reason: one.failed ? 'unreadable' : one.verdict.reason,
        messages: 1,
        judged: one,
      })),
    ];
  };
}

/** What would come of one message. `judged` null: it has come of it already. */
export type Foretold = Outcomes[number] & { judged: Judged | null };

/** What would be stored, as far as later mail is judged by it. Of a large mailbox that is much: it is looked up by keys. */
type Foreseen = {
  messages: Map<string, FactRows['messages']>;
  threadKeys: Map<string, FactRows['threadKeys']>;
  threads: Map<ThreadId, FactRows['threads'][number] & { participants: string[] }>;
};

function remember(foreseen: Foreseen, writes: FilingWrites): void {
  const threadOf = new Map(writes.messages.map((row) => [row.id, row.thread_id]));
  for (const { sub_account_id: sub, key, fingerprint, message_id: message } of writes.messageKeys) {
    const thread = threadOf.get(message);
    if (thread === undefined) continue;
    add(foreseen.messages, key, {
      sub,
      key,
      fingerprint,
      message,
      thread,
      here: true,
      send: null,
      omitted: false,
      sent: null,
    });
  }
  for (const { sub_account_id: sub, key, kind, thread_id: thread } of writes.threadKeys)
    add(foreseen.threadKeys, key, { sub, key, kind, thread });
  for (const { id: thread, sub_account_id: sub, subject } of writes.threads) {
    const link = { link: 'live' as const, reason: null, crm_sent: false };
    foreseen.threads.set(thread, { sub, thread, subject, ...link, participants: [], conversations: null });
  }
  for (const { thread_id: thread, canonical } of writes.participants)
    foreseen.threads.get(thread)?.participants.push(canonical);
}

function add<Row>(lists: Map<string, Row[]>, key: string, row: Row): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [row]);
  else list.push(row);
}

/** What the database would hold by then about the keys, besides what it holds. */
function foreseenBy(
  keys: FactKeys,
  foreseen: Foreseen,
): Pick<FactRows, 'messages' | 'threadKeys' | 'threads'> {
  const messages = keys.messageKeys.flatMap((key) => foreseen.messages.get(key) ?? []);
  const threadKeys = keys.threadKeys.flatMap((key) => foreseen.threadKeys.get(key) ?? []);
  const named = new Set([...messages, ...threadKeys].map(({ thread }) => thread));
  return { messages, threadKeys, threads: [...named].flatMap((id) => foreseen.threads.get(id) ?? []) };
}
