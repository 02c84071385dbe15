import type { ConnectionId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import type { Member } from './lifecycle.ts';

/** What ends for a member when another mailbox takes the place of theirs (C6). */
export type Leaving = {
  /** Address of the mailbox. */
  address: string;
  /** Conversations with a thread that syncs in it now, and later no more. */
  conversations: number;
  /** Messages that wait to be sent through it, and then fail. */
  sends: number;
};

/** Null where nothing is connected. */
export async function readLeaving(db: Db, member: Member): Promise<Leaving | null> {
  const [leaving] = await rows<Leaving>(
    db,
    `select m.address,
            -- Where a colleague is connected to it in the same sub-account, its threads go on.
            case when exists (
              select from connections o where o.mailbox_id = m.id and o.sub_account_id = c.sub_account_id
                 and o.ended_at is null and o.id <> c.id) then 0
            else (
              select count(distinct t.conversation_id)::int
                from thread_links l join conversation_threads t on t.thread_id = l.thread_id
               where l.mailbox_id = m.id and l.sub_account_id = c.sub_account_id and l.state = 'live') end as conversations,
            (select count(*)::int from sends s
              where s.lane = m.id and s.ready and s.state = 'queued'
                and s.sub_account_id = c.sub_account_id and s.user_id = c.user_id)
            + (select count(*)::int from sends s
              where s.mailbox_id = m.id and s.state = 'held'
                and s.sub_account_id = c.sub_account_id and s.user_id = c.user_id) as sends
       from connections c join mailboxes m on m.id = c.mailbox_id
      where c.sub_account_id = :subAccountId and c.user_id = :userId and c.ended_at is null`,
    member,
  );
  return leaving ?? null;
}

/**
 * Lets the sender look now at what waits to be sent through a connection that has ended, be it for its time (`send_at`)
 * or for its next try: it fails there, and whoever counts on it hears so while there is time to send it in another way.
 * Where the mailbox is connected again before that, what is for another day waits for it again (see outbound/attempt.ts).
 * What somebody has in hand is not waited for, since whoever sends locks in another order; that is looked at when it is due.
 */
export async function hurryLeftSends(db: Db, connectionId: ConnectionId): Promise<void> {
  await run(
    db,
    `with waiting as (
       select s.id from connections c join sends s on s.lane = c.mailbox_id
        where c.id = :connectionId and s.individual in (true, false) and s.ready and s.state in ('queued', 'sent', 'bounced')
          and s.due_at > now() and s.due_at < 'infinity' and (s.lease_until is null or s.lease_until < now())
          and s.sub_account_id = c.sub_account_id and s.user_id = c.user_id
        order by s.id for no key update of s skip locked)
     update sends set due_at = now() where id = any(array(select id from waiting))`,
    { connectionId },
  );
}
