import type { DeliveryId, EventId, WebhookId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { lockWebhook } from './deliveries.ts';
import type { SettledDelivery } from './deliveries.ts';
import { newestFirst, partSql } from './list-part.ts';
import type { ListPart } from './list-part.ts';

/** A delivery, as the API shows it. */
export type DeliveryRow = {
  id: DeliveryId;
  eventId: EventId;
  type: string;
  state: SettledDelivery['state'];
  attempts: number;
  lastStatus: number | null;
  lastError: string | null;
  /** Null unless pending, and while another delivery of the same conversation goes first. */
  nextAttemptAt: Date | null;
  deliveredAt: Date | null;
  createdAt: Date;
  seq: string;
};

/** Deliveries of a webhook in one state, or (null) in all, newest first. A part begins behind a `seq`. */
export async function listDeliveries(
  db: Db,
  of: { webhookId: WebhookId; state: DeliveryRow['state'] | null },
  part: ListPart,
): Promise<DeliveryRow[]> {
  const found = await rows<DeliveryRow>(
    db,
    `select ${columns}
     from unnest(:states::text[]) as s (state)
     cross join lateral (
       select * from deliveries d where d.webhook_id = :webhookId and d.state = s.state ${partSql('d.seq', part)}) d
     -- Each by itself: a plan made while there were none hashed all events.
     cross join lateral (select id, type from events where id = d.event_id offset 0) e
     where true ${partSql('d.seq', part)}`,
    { ...of, ...part, states: statesOf(of.state) },
  );
  return newestFirst(found, part);
}

/** How many of them are newer than the one with number `than`, up to `max`. */
export async function countNewerDeliveries(
  db: Db,
  of: { webhookId: string; state: DeliveryRow['state'] | null },
  { than, max }: { than: string; max: number },
): Promise<number> {
  const [found] = await rows<{ count: number }>(
    db,
    `select count(*)::int as count from unnest(:states::text[]) as s (state)
     cross join lateral (
       select from deliveries d where d.webhook_id = :webhookId and d.state = s.state and d.seq > :than limit :max) n`,
    { ...of, than, max, states: statesOf(of.state) },
  );
  return Math.min(found?.count ?? 0, max);
}

function statesOf(state: DeliveryRow['state'] | null): DeliveryRow['state'][] {
  return state === null ? ['pending', 'delivered', 'parked'] : [state];
}

/**
 * Has a delivery tried again at once. One that is finished, parked or delivered, is put back behind
 * what its conversation has waiting, and starts counting its attempts again. One that is being tried,
 * or waits for another, stays as it is. Undefined when the webhook has no such delivery.
 */
export function retryDelivery(
  db: Db,
  which: { webhookId: WebhookId; id: string },
): Promise<DeliveryRow | undefined> {
  return db.transaction(async (tx) => {
    await lockWebhook(tx, which.webhookId);
    // Who asks for it believes that the endpoint works again: its pause is over.
    await run(tx, 'update webhooks set paused_until = null where id = :webhookId', which);
    await run(
      tx,
      `update deliveries set due_at = now()
       where id = :id and webhook_id = :webhookId and ready and due_at < 'infinity' and lease_owner is null`,
      which,
    );
    await run(
      tx,
      `with again as (
         update deliveries d
         set state = 'pending', ready = true, attempts = 0, delivered_at = null, seq = default,
             due_at = case when exists (
               select 1 from delivery_keys t where t.webhook_id = d.webhook_id and t.key = any(e.order_keys))
               then 'infinity' else now() end
         from events e
         where d.id = :id and d.webhook_id = :webhookId and not d.ready and e.id = d.event_id
         returning d.id, d.webhook_id, d.seq, e.order_keys)
       insert into delivery_keys (delivery_id, webhook_id, key, seq)
       select distinct id, webhook_id, unnest(order_keys), seq from again`,
      which,
    );
    const [row] = await rows<DeliveryRow>(
      tx,
      `select ${columns} from deliveries d join events e on e.id = d.event_id
       where d.id = :id and d.webhook_id = :webhookId`,
      which,
    );
    return row;
  });
}

/** So many are put back in one transaction, while which nothing of the webhook is settled. */
const retriedMax = 1_000;

/**
 * Has parked deliveries of a webhook tried again, the oldest first, as retryDelivery one; answers how many. Ask again
 * for as long as there are some.
 */
export function retryParked(db: Db, webhookId: WebhookId): Promise<number> {
  return db.transaction(async (tx) => {
    if ((await lockWebhook(tx, webhookId)) === undefined) return 0;
    await run(tx, 'update webhooks set paused_until = null where id = :webhookId', { webhookId });
    const [done] = await rows<{ count: number }>(
      tx,
      `with parked as materialized (
         select d.id, e.order_keys, nextval(pg_get_serial_sequence('deliveries', 'seq')) as seq
         from (select id, event_id from deliveries where webhook_id = :webhookId and state = 'parked'
               order by seq limit :retriedMax) d
         cross join lateral (select order_keys from events where id = d.event_id offset 0) e),
       keyed as (
         select p.id, p.seq, k.key, row_number() over (partition by k.key order by p.seq) as place
         from parked p left join lateral (select distinct key from unnest(p.order_keys) as u (key)) k on true),
       wanted as materialized (
         select id, seq, bool_or(key is not null and (place > 1 or coalesce((
                  select true from delivery_keys t
                  where t.webhook_id = :webhookId and t.key = k.key limit 1), false))) as waits
         from keyed k group by id, seq),
       again as (
         update deliveries d
         set state = 'pending', ready = true, attempts = 0, delivered_at = null, seq = w.seq,
             due_at = case when w.waits then 'infinity' else now() end
         from wanted w where d.id = w.id),
       keys as (
         insert into delivery_keys (delivery_id, webhook_id, key, seq)
         select id, :webhookId, key, seq from keyed where key is not null)
       select count(*)::int as count from wanted`,
      { webhookId, retriedMax },
    );
    return done?.count ?? 0;
  });
}

const columns = `d.id, e.id as "eventId", e.type, d.state, d.attempts, d.last_status as "lastStatus",
  d.last_error as "lastError", d.delivered_at as "deliveredAt", d.created_at as "createdAt", d.seq,
  case when d.ready and d.due_at < 'infinity' then d.due_at end as "nextAttemptAt"`;
