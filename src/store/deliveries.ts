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

/** What became of one try. */
export type SettledDelivery = {
  id: DeliveryId;
  /** `pending`: it is tried again after `delayMs`. `parked`: given up until someone asks for a retry. */
  state: 'delivered' | 'pending' | 'parked';
  /** HTTP status of the answer; null when there was none. */
  status: number | null;
  /** What was wrong, for people; null when it was delivered. */
  error: string | null;
  delayMs: number;
};

/**
 * What a round of tries tells of the endpoint itself.
 * - `answered`: it works; failures are counted from zero again.
 * - `failing`: it does not. `newly` when a delivery failed at its first try; further tries of one
 *   that is known to fail tell nothing new, and must not slow down the others.
 * - `gone`: it asked for nothing more (410).
 * - `untold`: nothing is known.
 */
export type EndpointNews = { kind: 'answered' | 'gone' | 'untold' } | { kind: 'failing'; newly: boolean };

/** A webhook after a round. */
export type EndpointState = { enabled: boolean; failures: number; pausedMs: number };

/**
 * Ends a round of tries of one webhook: stores what became of each delivery that `owner` still
 * holds, lets go what the finished ones held up, and pauses or wakes the endpoint. All in one
 * transaction. Undefined when the webhook was deleted. `pauseMs` says how long an endpoint rests
 * after so many failures in a row.
 */
export function settleDeliveries(
  db: Db,
  round: {
    webhookId: WebhookId;
    owner: string;
    settled: readonly SettledDelivery[];
    news: EndpointNews;
    pauseMs: (failures: number) => number;
  },
): Promise<EndpointState | undefined> {
  const { webhookId, owner } = round;
  return db.transaction(async (tx) => {
    const before = await lockWebhook(tx, webhookId);
    if (before === undefined) return undefined;
    const freed = await rows<{ key: string }>(
      tx,
      `with outcome as (
         select * from jsonb_to_recordset(:settled::jsonb)
           as o (id text, state text, status integer, error text, "delayMs" float8)),
       settled as (
         update deliveries d
         set state = o.state, ready = (o.state = 'pending'), last_status = o.status, last_error = o.error,
             delivered_at = case when o.state = 'delivered' then now() end,
             due_at = case when o.state = 'pending' then now() + o."delayMs" * interval '1 ms' else d.due_at end,
             lease_owner = null, lease_until = null
         from outcome o where d.id = o.id and d.lease_owner = :owner and d.ready
         returning d.id, d.ready)
       delete from delivery_keys k using settled s where k.delivery_id = s.id and not s.ready returning k.key`,
      { settled: JSON.stringify(round.settled), owner },
    );
    await letGo(tx, webhookId, [...new Set(freed.map((row) => row.key))]);
    return storeNews(tx, webhookId, before, round.news, round.pauseMs);
  });
}

/** Makes the first delivery of each key due, where it is the first of all of its keys. */
async function letGo(tx: Db, webhookId: WebhookId, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  await run(
    tx,
    `with head as materialized (
       select distinct (select f.delivery_id from delivery_keys f
                        where f.webhook_id = :webhookId and f.key = k.key order by f.seq limit 1) as id
       from unnest(:keys::text[]) as k (key))
     update deliveries d set due_at = now()
     from head where d.id = head.id and d.due_at = 'infinity'
       and not exists (
         select 1 from delivery_keys own
         where own.delivery_id = d.id
           and (select min(f.seq) from delivery_keys f
                where f.webhook_id = own.webhook_id and f.key = own.key) < own.seq)`,
    { webhookId, keys },
  );
}

async function storeNews(
  tx: Db,
  webhookId: WebhookId,
  before: EndpointState,
  news: EndpointNews,
  pauseMs: (failures: number) => number,
): Promise<EndpointState> {
  switch (news.kind) {
    case 'untold':
      return before;
    case 'gone':
      await run(tx, 'update webhooks set enabled = false where id = :webhookId', { webhookId });
      return { ...before, enabled: false };
    case 'answered': {
      if (before.failures === 0) return before;
      await run(tx, 'update webhooks set failures = 0, paused_until = null where id = :webhookId', {
        webhookId,
      });
      // It was down, and each try in that time has put a delivery off for longer, up to hours: none
      // of them waits for that now. A single failure is more likely one delivery's own trouble.
      if (before.failures > 1) {
        await run(
          tx,
          `update deliveries set due_at = now()
           where webhook_id = :webhookId and ready and due_at > now() and due_at < 'infinity' and lease_owner is null`,
          { webhookId },
        );
      }
      return { ...before, failures: 0, pausedMs: 0 };
    }
    case 'failing': {
      const failures = before.failures + (news.newly ? 1 : 0);
      if (failures === 0) return before;
      const pausedMs = Math.max(before.pausedMs, pauseMs(failures));
      await run(
        tx,
        `update webhooks set failures = :failures, paused_until = now() + :pausedMs * interval '1 ms'
         where id = :webhookId`,
        { webhookId, failures, pausedMs },
      );
      return { ...before, failures, pausedMs };
    }
  }
}

async function lockWebhook(tx: Db, webhookId: WebhookId): Promise<EndpointState | undefined> {
  const [webhook] = await rows<EndpointState>(
    tx,
    `select enabled, failures,
            greatest(0, coalesce(extract(epoch from paused_until - now()) * 1000, 0))::float8 as "pausedMs"
     from webhooks where id = :webhookId for no key update`,
    { webhookId },
  );
  return webhook;
}

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

/** Deliveries of a webhook, newest first, before the one with number `before`. */
export function listDeliveries(
  db: Db,
  page: { webhookId: WebhookId; state: DeliveryRow['state'] | null; before: string | null; limit: number },
): Promise<DeliveryRow[]> {
  const ofState = page.state === null ? '' : `and d.state = '${page.state}'`;
  return rows<DeliveryRow>(
    db,
    `select ${columns} from deliveries d join events e on e.ord = d.event_ord
     where d.webhook_id = :webhookId ${ofState} and (:before::bigint is null or d.seq < :before)
     order by d.seq desc limit :limit`,
    page,
  );
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
         where d.id = :id and d.webhook_id = :webhookId and not d.ready and e.ord = d.event_ord
         returning d.id, d.webhook_id, d.seq, e.order_keys)
       insert into delivery_keys (delivery_id, webhook_id, key, seq)
       select distinct id, webhook_id, unnest(order_keys), seq from again`,
      which,
    );
    const [row] = await rows<DeliveryRow>(
      tx,
      `select ${columns} from deliveries d join events e on e.ord = d.event_ord
       where d.id = :id and d.webhook_id = :webhookId`,
      which,
    );
    return row;
  });
}

const columns = `d.id, e.id as "eventId", e.type, d.state, d.attempts, d.last_status as "lastStatus",
  d.last_error as "lastError", d.delivered_at as "deliveredAt", d.created_at as "createdAt", d.seq,
  case when d.ready and d.due_at < 'infinity' then d.due_at end as "nextAttemptAt"`;
