import type { MailboxId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/*
 * Mailboxes whose provider counts sessions and messages by the minute: one process at a time sends for each, so that
 * several do not have more together than it takes. It holds a lease for as long as it has something of the mailbox in
 * hand, and for a while after, in which the sessions that it keeps have ended.
 */

/**
 * Takes the leases of mailboxes for `owner`, or prolongs them. Answers how many tries of each began within the last
 * minute; those that are another process's are left out.
 */
export async function takeSendingLeases(
  db: Db,
  by: { owner: string; leaseMs: number; mailboxIds: readonly MailboxId[] },
): Promise<ReadonlyMap<MailboxId, number>> {
  const taken = await rows<{ id: MailboxId; tries: number }>(
    db,
    `with mine as (
       insert into sending_leases (mailbox_id, owner, until)
       select id, :owner, now() + :leaseMs * interval '1 ms'
         from (select distinct unnest(:mailboxIds::text[]) collate "C" as id) m order by id
       on conflict (mailbox_id) do update set owner = excluded.owner, until = excluded.until
        where sending_leases.owner = excluded.owner or sending_leases.until < now()
       returning mailbox_id)
     select mailbox_id as id, (select count(*)::int from send_attempts a
              where a.mailbox_id = mine.mailbox_id and a.started_at > now() - interval '1 minute') as tries
       from mine`,
    by,
  );
  return new Map(taken.map(({ id, tries }) => [id, tries]));
}

/** Others may send from now on. */
export async function endSendingLeases(db: Db, owner: string): Promise<void> {
  await run(db, 'delete from sending_leases where owner = :owner', { owner });
}
