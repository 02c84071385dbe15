import type { DeliveryId, EventId, WebhookId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { claimWork } from './work.ts';

/**
 * Deliveries: one row for each event and webhook that wants it.
 *
 * Order (W2). While a delivery is ready, delivery_keys holds its order keys. Of the ready deliveries
 * of one webhook that share a key only the one with the lowest seq can be claimed; the others wait
 * with due_at 'infinity', so that a claim never reads through them. Two places keep it so: inserting
 * (a row waits when its key is taken) and settling (what a finished row held up is let go). Both lock
 * the webhook's row first and look at the keys in a later statement, whose snapshot holds all that
 * others committed under that lock. Without it a row could be made to wait for one that is being
 * finished in that moment, and would wait for ever.
 */

/** A delivery that was claimed, with all that its request needs. */
export type ClaimedDelivery = {
  id: DeliveryId;
  /** Tries so far, this one included. */
  attempts: number;
  event: PublishedEvent;
  webhook: { id: WebhookId; url: string; secretSealed: string };
};

/** An event that has its number. */
export type PublishedEvent = {
  /** Its place in the log. Later events have higher numbers; some numbers are never given. */
  sequence: string;
  id: EventId;
  type: string;
  subAccountId: string | null;
  data: unknown;
  createdAt: Date;
};

/** A webhook that has something due, and how many failures in a row it has behind it. */
export type DueWebhook = { id: WebhookId; failures: number };

/**
 * Inserts the deliveries of the events numbered from `first` to `last`, for those of `webhookIds`
 * that want them. The caller holds the locks of these webhooks.
 */
export async function insertDeliveries(
  db: Db,
  published: { first: string; last: string; webhookIds: readonly string[] },
): Promise<void> {
  await run(
    db,
    `with wanted as (
       select w.id as webhook_id, e.ord, e.sequence, e.order_keys
       from webhooks w join events e on ${wants}
       where w.id = any(:webhookIds) and e.sequence between :first and :last),
     keyed as (
       select webhook_id, key, ord, row_number() over (partition by webhook_id, key order by sequence) as place
       from (select distinct webhook_id, ord, sequence, unnest(order_keys) as key from wanted) k),
     taken as (
       select webhook_id, key from (select distinct webhook_id, key from keyed) k
       where (select true from delivery_keys t where t.webhook_id = k.webhook_id and t.key = k.key limit 1)),
     waiting as (
       select distinct webhook_id, ord from keyed
       where place > 1 or (webhook_id, key) in (select webhook_id, key from taken)),
     inserted as (
       insert into deliveries (id, webhook_id, event_ord, state, due_at)
       select ${newDeliveryId}, n.webhook_id, n.ord, 'pending',
              case when waiting.ord is null then now() else 'infinity' end
       from wanted n left join waiting using (webhook_id, ord)
       order by n.sequence, n.webhook_id
       returning id, webhook_id, event_ord, seq)
     insert into delivery_keys (delivery_id, webhook_id, key, seq)
     select i.id, i.webhook_id, k.key, i.seq
     from inserted i join keyed k on k.webhook_id = i.webhook_id and k.ord = i.event_ord`,
    published,
  );
}

/** Whether webhook w wants event e. */
export const wants = `((w.sub_account_id is null or w.sub_account_id = e.sub_account_id)
  and (w.types = '{}' or e.type = any(w.types)))`;

/** A delivery id made by the database: `dlv_` and a UUIDv7 (see lib/id.ts). */
const newDeliveryId = `'dlv_' || regexp_replace(
  lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
    || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14),
  '^(.{8})(.{4})(.{4})(.{4})(.{12})$', '\\1-\\2-\\3-\\4-\\5')`;

/** Webhooks with deliveries that are due, except paused ones. */
export function listDueWebhooks(db: Db): Promise<DueWebhook[]> {
  return rows<DueWebhook>(
    db,
    `select w.id, w.failures from webhooks w
     where w.enabled and (w.paused_until is null or w.paused_until <= now())
       and exists (select 1 from deliveries d
                   where d.webhook_id = w.id and d.ready and d.due_at <= now()
                     and (d.lease_until is null or d.lease_until < now()))`,
  );
}

/** Leases due deliveries of one webhook, in order. */
export async function claimDeliveries(
  db: Db,
  claim: { webhookId: WebhookId; owner: string; leaseMs: number; limit: number },
): Promise<ClaimedDelivery[]> {
  const { webhookId, ...rest } = claim;
  const ids = await claimWork(db, {
    table: 'deliveries',
    ...rest,
    filter: { column: 'webhook_id', value: webhookId },
  });
  if (ids.length === 0) return [];
  const found = await rows<
    PublishedEvent & { eventId: EventId; attempts: number; url: string; secretSealed: string } & {
      id: DeliveryId;
    }
  >(
    db,
    `select d.id, d.attempts, w.url, w.secret_sealed as "secretSealed", e.sequence, e.id as "eventId", e.type,
            e.sub_account_id as "subAccountId", e.data, e.created_at as "createdAt"
     from unnest(:ids::text[]) with ordinality as claimed (id, place)
     join deliveries d on d.id = claimed.id
     join events e on e.ord = d.event_ord
     join webhooks w on w.id = d.webhook_id
     order by claimed.place`,
    { ids },
  );
  return found.map(({ id, attempts, url, secretSealed, eventId, ...event }) => ({
    id,
    attempts,
    event: { ...event, id: eventId },
    webhook: { id: webhookId, url, secretSealed },
  }));
}
