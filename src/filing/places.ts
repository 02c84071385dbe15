import type { MailboxId, MessageId } from '../lib/id.ts';
import { inTransaction } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { saveModseq } from '../store/folders.ts';
import { refreshMessages, settleVanished, writePlaces } from '../store/places.ts';
import type { Numbered, PlaceNews, PlaceState } from '../store/places.ts';
import { noEffects } from './effects.ts';
import { tellEffects } from './events.ts';
import type { FilingDeps } from './file.ts';

export type Deps = Pick<FilingDeps, 'db' | 'wakePublisher'>;

/**
 * Writes down what a look at a folder said of the stored messages there, and tells the CRM of the messages
 * that are in another state, or read or unread, by that (U2, U3). `modseq`: up to which changes of the folder
 * this goes; null: the server does not number them.
 */
export function notePlaces(
  deps: Deps,
  folder: Numbered,
  news: PlaceNews & { modseq: string | null },
): Promise<void> {
  return inOne(deps, async (tx) => {
    if (news.modseq !== null) await saveModseq(tx, folder, news.modseq);
    return tellRefreshed(tx, await writePlaces(tx, folder, news));
  });
}

/** Writes down what became of messages that have left all their places in a mailbox, and tells the CRM (U3). */
export function noteVanished(
  deps: Deps,
  mailboxId: MailboxId,
  settled: readonly { message_id: MessageId; state: PlaceState | 'gone' }[],
): Promise<void> {
  return inOne(deps, async (tx) => {
    await settleVanished(tx, mailboxId, settled);
    return tellRefreshed(
      tx,
      settled.map((one) => one.message_id),
    );
  });
}

/** Does it in one transaction. `work` answers how many events it left behind. */
export async function inOne(deps: Deps, work: (tx: Db) => Promise<number>): Promise<void> {
  const events = await inTransaction(deps.db, work);
  if (events > 0) deps.wakePublisher();
}

/** Brings messages in line with their places, and tells of those that are another by that; answers with how many events. */
export async function tellRefreshed(tx: Db, ids: readonly MessageId[]): Promise<number> {
  const messages = await refreshMessages(tx, ids);
  if (messages.length === 0) return 0;
  return (await tellEffects(tx, noEffects(), { messages, sends: [] })).length;
}
