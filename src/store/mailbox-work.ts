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
    `select * from (
       select m.id,
              exists (select from wanted_changes w where w.mailbox_id = m.id and w.ready and w.due_at <= now())
                or exists (select from sent_copies c where c.mailbox_id = m.id and c.ready and c.due_at <= now()) as writes,
              exists (select from sightings s where s.mailbox_id = m.id and s.gone_due_at is not null) as vanished
         from (select unnest(:mailboxIds::text[]) collate "C" as id) m) work
      where writes or vanished`,
    { mailboxIds: [...mailboxIds] },
  );
  return new Map(found.map(({ id, writes, vanished }) => [id, { writes, vanished }]));
}
