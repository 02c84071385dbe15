import type { MailboxId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/*
 * Mailboxes whose provider counts sessions and messages by the minute: one process at a time sends for each, so that
 * several do not have more together than it takes. It holds a lease for as long as it has something of the mailbox in
 * hand, and for a while after, in which the sessions that it keeps have ended.
 */

/** The lease of a mailbox, after it was asked for. */
export type SendingLease = {
  id: MailboxId;
  /** `left`: nobody's, and one of more than were to be taken. */
  whose: 'mine' | 'others' | 'left';
  /** How many tries of it began within the last minute. */
  tries: number;
};

/**
 * Takes the leases of mailboxes for `owner`, the first ones first: up to `most` of those that it does not have; the ones
 * that it has are prolonged.
 */
export async function takeSendingLeases(
  db: Db,
  by: { owner: string; leaseMs: number; mailboxIds: readonly MailboxId[]; most: number },
): Promise<SendingLease[]> {
  return rows<SendingLease>(
    db,
    `with asked as materialized (
       select a.id, a.n, coalesce(l.owner = :owner, false) as mine, coalesce(l.owner <> :owner and l.until >= now(), false) as others
         from unnest(:mailboxIds::text[]) with ordinality as a (id, n)
         left join lateral (select owner, until from sending_leases where mailbox_id = a.id offset 0) l on true),
     taken as (
       insert into sending_leases (mailbox_id, owner, until)
       select id, :owner, now() + :leaseMs * interval '1 ms' from (
           (select id from asked where mine)
           union all
           (select id from asked where not mine and not others order by n limit :most)) m order by id collate "C"
       on conflict (mailbox_id) do update set owner = excluded.owner, until = excluded.until
        where sending_leases.owner = excluded.owner or sending_leases.until < now()
       returning mailbox_id)
     select a.id, case when t.mailbox_id is not null then 'mine' when a.others then 'others' else 'left' end as whose,
            (select count(*)::int from send_attempts s
              where s.mailbox_id = a.id and s.started_at > now() - interval '1 minute') as tries
       from asked a left join taken t on t.mailbox_id = a.id`,
    by,
  );
}

/** Others may send from now on. */
export async function endSendingLeases(db: Db, owner: string): Promise<void> {
  await run(db, 'delete from sending_leases where owner = :owner', { owner });
}
