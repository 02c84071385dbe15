import type { MailboxId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';

/** What waits for the listener of a mailbox. */
export type MailboxWork = {
  /** Something is to be written into it: what the CRM has asked for, or copies in Sent; and it is time. */
  writes: boolean;
  /** Messages have left their places, and it is to be found out, now or later, what became of them. */
  vanished: boolean;
};

/** What waits in some mailboxes; one of which nothing does is missing from the answer. Mostly that is all of them. */
export async function findMailboxWork(
  db: Db,
  mailboxIds: readonly MailboxId[],
): Promise<Map<MailboxId, MailboxWork>> {
  const found = await rows<MailboxWork & { id: MailboxId }>(
    db,
    // The first row of each: exists was planned as a hash of all that waits in every mailbox.
    `select * from (
       select m.id,
              coalesce((select true from wanted_changes where mailbox_id = m.id and ready and due_at <= now() limit 1),
                       (select true from sent_copies where mailbox_id = m.id and ready and due_at <= now() limit 1),
                       false) as writes,
              coalesce((select true from sightings where mailbox_id = m.id and gone_due_at is not null limit 1), false) as vanished
         from (select unnest(:mailboxIds::text[]) collate "C" as id) m) work
      where writes or vanished`,
    { mailboxIds: [...mailboxIds] },
  );
  return new Map(found.map(({ id, writes, vanished }) => [id, { writes, vanished }]));
}
