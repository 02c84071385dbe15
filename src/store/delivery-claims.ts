import type { DeliveryId, EventId, WebhookId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import type { PublishedEvent } from './deliveries.ts';
import { claiming } from './work.ts';

/** A delivery that was claimed, with all that its request needs. */
export type ClaimedDelivery = {
  id: DeliveryId;
  /** Tries so far, this one included. */
  attempts: number;
  event: PublishedEvent;
  /** Of the call by which the send came that the event tells of, for the logs; null: it tells of none. */
  requestId: string | null;
  webhook: { id: WebhookId; url: string; secretSealed: string };
};

/**
 * A claimed delivery and those right behind it in its conversation, in order. They are claimed with it, so that
 * none has to wait for the database to let it go; each is to be tried only when the one before it was delivered,
 * and else to be given back.
 */
export type ClaimedLine = ClaimedDelivery & { behind: ClaimedDelivery[] };

/** A new conversation with its first message and what that changes; a burst of messages needs a few claims more. */
const behindMax = 7;

/**
 * Leases up to `limit` due deliveries of one webhook, in order, with what is behind each of those that stand in one
 * conversation alone: up to the first that waits for another conversation too, or that somebody else still holds.
 *
 * The disk is not waited for: what a crash of the database makes of a lease is a delivery that is claimed, and made,
 * once more. Not to be called in a transaction, which would not wait for it either.
 */
export async function claimDeliveries(
  db: Db,
  claim: { webhookId: WebhookId; owner: string; leaseMs: number; limit: number },
): Promise<ClaimedLine[]> {
  const { webhookId } = claim;
  const found = await rows<ClaimedRow>(db, claimSql, { ...claim, value: webhookId, behindMax });
  const lines = new Map<string, ClaimedLine>();
  for (const { place, id, attempts, url, secretSealed, eventId, requestId, ...event } of found) {
    const webhook = { id: webhookId, url, secretSealed };
    const delivery = { id, attempts, requestId, event: { ...event, id: eventId }, webhook };
    const line = lines.get(place);
    if (line === undefined) lines.set(place, { ...delivery, behind: [] });
    else line.behind.push(delivery);
  }
  return [...lines.values()];
}

type ClaimedRow = Omit<PublishedEvent, 'id'> & {
  /** The same for all of one line. */
  place: string;
  id: DeliveryId;
  attempts: number;
  url: string;
  secretSealed: string;
  eventId: EventId;
  requestId: string | null;
};

const claimSql = `
with ${claiming('deliveries', 'webhook_id')}, ids as materialized (
  -- In arrays: a join would be planned once and for all, by how many were due then.
  select array_agg(id order by due_at, seq) as ids, array_agg(attempts order by due_at, seq) as attempts from claimed
), first as materialized (
  select f.* from ids cross join lateral unnest(ids.ids, ids.attempts) with ordinality as f (id, attempts, place)
), line as materialized (
  select f.place, n.delivery_id as id, n.seq,
         bool_and(d.free and own.keys = 1) over (partition by f.place order by n.seq) as follows
    from first f
   cross join lateral (
     select max(key) as key, max(seq) as seq from delivery_keys where delivery_id = f.id having count(*) = 1) k
   cross join lateral (
     select delivery_id, seq from delivery_keys
      where webhook_id = :webhookId and key = k.key and seq > k.seq order by seq limit :behindMax) n
   cross join lateral (
     select lease_until is null or lease_until < now() as free from deliveries where id = n.delivery_id offset 0) d
   cross join lateral (select count(*) as keys from delivery_keys where delivery_id = n.delivery_id) own
), leased as (
  update deliveries
     set lease_owner = :owner, lease_until = now() + :leaseMs * interval '1 ms', attempts = attempts + 1
   where id = any(array(select id from line where follows))
  returning id, attempts
), hurried as materialized (
  select set_config('synchronous_commit', 'off', true)
)
select c.place, c.id, c.attempts, w.url, w.secret_sealed as "secretSealed",
       (select request_id from sends where id = case when e.type like 'send.%' then e.data->>'id'
          when e.type like 'message.%' then e.data->'send'->>'id' end) as "requestId",
       e.sequence, e.id as "eventId", e.type, e.sub_account_id as "subAccountId", e.data, e.created_at as "createdAt"
  from hurried
 cross join (select id, place, 0 as seq, attempts from first
             union all select id, l.place, l.seq, leased.attempts from line l join leased using (id)) c
 cross join lateral (select event_id from deliveries where id = c.id offset 0) d
 cross join lateral (select * from events where id = d.event_id offset 0) e
 cross join (select url, secret_sealed from webhooks where id = :webhookId) w
 order by c.place, c.seq`;
