import type { Outcomes } from '../store/decisions.ts';
import { readDecided } from '../store/decisions.ts';
import { readFactRows, readFilingConnections } from '../store/filing-facts.ts';
import type { FactKeys, FactRows } from '../store/filing-facts.ts';
import type { FilingWrites } from '../store/filing-writes.ts';
import type { MailboxId } from '../lib/id.ts';
import { groundAgain, isClosed } from './again.ts';
import type { Again } from './again.ts';
import { noEffects } from './effects.ts';
import type { FilingDeps } from './file.ts';
import { factKeysOf } from './gather.ts';
import { judge, unread } from './judge.ts';
import type { Sighting } from './sighting.ts';

/**
 * What would come of mail if it were filed, from headers alone (C8): nothing is fetched, and nothing written.
 * What it foresees to be stored counts as there for what is asked afterwards, so that a thread is seen whole.
 * Ask for messages of one folder at a time.
 */
export function createForesight(
  { db, secretBox }: FilingDeps,
  of: { mailboxId: MailboxId; again: Again },
): (sightings: readonly Sighting[]) => Promise<Outcomes> {
  const { mailboxId, again } = of;
  const foreseen: FilingWrites[] = [];
  return async (sightings) => {
    const place = sightings[0]?.place;
    if (place === undefined) return [];
    const { folderId, uidValidity } = place;
    const uids = sightings.map((sighting) => sighting.place.uid);
    const decided = await readDecided(db, { connectionId: again.connectionId, folderId, uidValidity, uids });
    const open = sightings.filter((sighting) => !isClosed(decided.get(sighting.place.uid)));
    const connections = await readFilingConnections(db, mailboxId);
    const keys = factKeysOf(mailboxId, open, connections);
    const more = foreseenBy(keys, foreseen);
    const found = await readFactRows(db, { ...keys, threadIds: more.threadKeys.map(({ thread }) => thread) });
    const rows: FactRows = {
      ...found,
      messages: [...found.messages, ...more.messages],
      threadKeys: [...found.threadKeys, ...more.threadKeys],
      threads: [...found.threads, ...more.threads],
    };
    const effects = noEffects();
    const { judged } = judge(
      {
        sightings: open,
        grounds: groundAgain(mailboxId, connections, rows, again),
        fetched: {
          bodies: new Map(open.map((sighting) => [sighting.place.uid, sighting.unreadable ? null : unread])),
          reports: new Map(uids.map((uid) => [uid, null])),
        },
        settled: new Map(),
        secretBox,
        errandId: again.errandId,
      },
      effects,
    );
    foreseen.push(effects.writes);
    const was = [...decided.values()].filter(isClosed);
    const will = judged.map(({ verdict, failed }) => ({
      outcome: failed
        ? ('failed' as const)
        : verdict.verdict === 'skip'
          ? ('skipped' as const)
          : ('stored' as const),
      reason: failed ? 'unreadable' : verdict.reason,
    }));
    return [...was, ...will].map(({ outcome, reason }) => ({ outcome, reason, messages: 1 }));
  };
}

/** What the database would hold by then about the keys, besides what it holds. */
function foreseenBy(
  keys: FactKeys,
  foreseen: readonly FilingWrites[],
): Pick<FactRows, 'messages' | 'threadKeys' | 'threads'> {
  const [messageKeys, wanted] = [new Set(keys.messageKeys), new Set(keys.threadKeys)];
  const threadOf = new Map(
    foreseen.flatMap((writes) => writes.messages).map((row) => [row.id, row.thread_id] as const),
  );
  const messages = foreseen
    .flatMap((writes) => writes.messageKeys)
    .flatMap((row): FactRows['messages'] => {
      const thread = threadOf.get(row.message_id);
      if (!messageKeys.has(row.key) || thread === undefined) return [];
      const { sub_account_id: sub, key, fingerprint, message_id: message } = row;
      return [{ sub, key, fingerprint, message, thread, here: true, send: null }];
    });
  const threadKeys = foreseen
    .flatMap((writes) => writes.threadKeys)
    .filter((row) => wanted.has(row.key))
    .map(({ sub_account_id: sub, key, kind, thread_id: thread }) => ({ sub, key, kind, thread }));
  const named = new Set([...messages, ...threadKeys].map(({ thread }) => thread));
  const participants = foreseen.flatMap((writes) => writes.participants);
  const threads = foreseen
    .flatMap((writes) => writes.threads)
    .filter((row) => named.has(row.id))
    .map((row) => ({
      sub: row.sub_account_id,
      thread: row.id,
      subject: row.subject,
      link: 'live' as const,
      reason: null,
      crm_sent: false,
      participants: participants
        .filter((each) => each.thread_id === row.id)
        .map(({ canonical }) => canonical),
      conversations: null,
    }));
  return { messages, threadKeys, threads };
}
