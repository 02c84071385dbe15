import type { DeliveryId, EventId, WebhookId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/**
 * Deliveries: one row for each event and webhook that wants it.
 *
 * What waits grows and empties all the time, so the planner's statistics of it are wrong when it
 * matters. Look-ups for many rows are written as subqueries for one row (`limit`, `offset 0`), which
 * can only go through their index; as joins they were now and then planned as scans of everything, a
 * thousand times slower.
 *
 * Order (W2). While a delivery is ready, delivery_keys holds its order keys. Of the ready deliveries
 * of one webhook that share a key only the one with the lowest seq can be claimed; the others wait
 * with due_at 'infinity', so that a claim never reads through them (some are claimed with the first, to
 * follow it: see delivery-claims.ts). Two places keep it so: inserting
 * (a row waits when its key is taken) and settling (what a finished row held up is let go). Both lock
 * the webhook's row first and look at the keys in a later statement, whose snapshot holds all that
 * others committed under that lock. Without it a row could be made to wait for one that is being
 * finished in that moment, and would wait for ever.
 */

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
    `with numbered as materialized (
       select id, sequence, type, sub_account_id, order_keys from events where sequence between :first and :last),
     wanting as materialized (
       select id, sub_account_id, types from webhooks where id = any(:webhookIds)),
     keyed as (
       select e.webhook_id, e.id, e.sequence, k.key,
              row_number() over (partition by e.webhook_id, k.key order by e.sequence) as place
       from (${wantedOf('numbered', 'wanting')}) e
       left join lateral (select distinct key from unnest(e.order_keys) as u (key)) k on true),
     wanted as (
       select webhook_id, id, sequence, bool_or(key is not null and (place > 1 or coalesce((
                select true from delivery_keys t
                where t.webhook_id = k.webhook_id and t.key = k.key limit 1), false))) as waits
       from keyed k group by webhook_id, id, sequence),
     inserted as (
       insert into deliveries (id, webhook_id, event_id, state, due_at)
       select ${newDeliveryId}, webhook_id, id, 'pending', case when waits then 'infinity' else now() end
       from wanted order by sequence, webhook_id
       returning id, webhook_id, event_id, seq)
     insert into delivery_keys (webhook_id, key, seq, delivery_id)
     select distinct i.webhook_id, unnest(e.order_keys), i.seq, i.id
     from inserted i cross join lateral (select order_keys from events where id = i.event_id offset 0) e`,
    published,
  );
}

/**
 * SQL: each of `events` with each of `webhooks` (webhook_id) that wants it. By an equality of its own for webhooks of a
 * sub-account: of an `or` each event would be compared with each webhook.
 */
export const wantedOf = (events: string, webhooks: string) => `
  select w.id as webhook_id, e.* from ${events} e join ${webhooks} w on w.sub_account_id = e.sub_account_id and ${ofType}
  union all
  select w.id, e.* from ${events} e join ${webhooks} w on w.sub_account_id is null and ${ofType}`;

const ofType = `(w.types = '{}' or e.type = any(w.types))`;

/** A delivery id made by the database: `dlv_` and a UUIDv7 (see lib/id.ts). */
const newDeliveryId = `'dlv_' || overlay(overlay(gen_random_uuid()::text placing '7' from 15)
  placing overlay(lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
    placing '-' from 9 for 0) from 1)`;

/** Webhooks with deliveries that are due, except paused ones. */
export function listDueWebhooks(db: Db): Promise<DueWebhook[]> {
  return rows<DueWebhook>(
    db,
    `select w.id, w.failures from webhooks w
     where w.enabled and (w.paused_until is null or w.paused_until <= now())
       and (select true from deliveries d
            where d.webhook_id = w.id and d.ready and d.due_at <= now()
              and (d.lease_until is null or d.lease_until < now()) limit 1)`,
  );
}

/** What became of one delivery that was claimed. */
export type SettledDelivery = {
  id: DeliveryId;
  /** False: it was claimed and not tried after all; the claim's attempt does not count. */
  tried: boolean;
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
    const over = round.settled.filter(({ state }) => state !== 'pending');
    const putOff = round.settled.filter(({ state }) => state === 'pending');
    const heldUp = await storeOutcomes(tx, { webhookId, owner, settled: over });
    if (heldUp.length > 0) await letGo(tx, webhookId, heldUp);
    // Now: of two of one conversation the second may have been put off, and the first is what it waited for.
    await storeOutcomes(tx, { webhookId, owner, settled: putOff });
    return storeNews(tx, webhookId, before, round.news, round.pauseMs);
  });
}

/** Stores what became of deliveries that `owner` still holds; answers the keys that those which are over held up. */
async function storeOutcomes(
  tx: Db,
  of: { webhookId: WebhookId; owner: string; settled: readonly SettledDelivery[] },
): Promise<string[]> {
  if (of.settled.length === 0) return [];
  const heldUp = await rows<{ key: string }>(
    tx,
    `with outcome as (
       select * from jsonb_to_recordset(:settled::jsonb)
         as o (id text, tried boolean, state text, status integer, error text, "delayMs" float8)),
     settled as (
       update deliveries d
       set state = o.state, ready = (o.state = 'pending'),
           attempts = case when o.tried then d.attempts else d.attempts - 1 end,
           last_status = case when o.tried then o.status else d.last_status end,
           last_error = case when o.tried then o.error else d.last_error end,
           delivered_at = case when o.state = 'delivered' then now() end,
           -- What is behind another one still waits for that, whatever became of itself.
           due_at = case when o.state = 'pending' and o.tried and d.due_at < 'infinity'
                         then now() + o."delayMs" * interval '1 ms' else d.due_at end,
           lease_owner = null, lease_until = null
       from outcome o
       -- Still ready, in words for which there is no index: this must go by the id.
       where d.id = o.id and d.lease_owner = :owner and d.state not in ('delivered', 'parked')
       returning d.id, d.ready),
     freed as (
       delete from delivery_keys where ctid = any(array(
         select k.ctid from settled s
         cross join lateral (select ctid from delivery_keys where delivery_id = s.id offset 0) k
         where not s.ready))
       returning key, seq)
     select distinct k.key from freed k
     where (select true from delivery_keys f
            where f.webhook_id = :webhookId and f.key = k.key and f.seq > k.seq limit 1)`,
    { ...of, settled: JSON.stringify(of.settled) },
  );
  return heldUp.map(({ key }) => key);
}

/** Makes the first delivery of each key due, where it is the first of all of its keys. */
async function letGo(tx: Db, webhookId: WebhookId, keys: readonly string[]): Promise<void> {
  await run(
    tx,
    `update deliveries d set due_at = now()
     where d.due_at = 'infinity'
       and d.id = any(array(
         select (select f.delivery_id from delivery_keys f
                 where f.webhook_id = :webhookId and f.key = k.key order by f.seq limit 1)
         from unnest(:keys::text[]) as k (key)))
       and (select bool_and((
              select f.seq from delivery_keys f
              where f.webhook_id = own.webhook_id and f.key = own.key order by f.seq limit 1) = own.seq)
            from delivery_keys own where own.delivery_id = d.id)`,
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
  if (news.kind === 'gone') {
    await run(tx, 'update webhooks set enabled = false where id = :webhookId', { webhookId });
    return { ...before, enabled: false };
  }
  if (news.kind === 'answered' && before.failures > 0) {
    await run(tx, 'update webhooks set failures = 0, paused_until = null where id = :webhookId', {
      webhookId,
    });
    // It was down, and each try in that time has put a delivery off for longer, up to hours: none of
    // them waits for that now. A single failure is more likely one delivery's own trouble.
    if (before.failures > 1) await makeDue(tx, webhookId);
    return { ...before, failures: 0, pausedMs: 0 };
  }
  if (news.kind === 'failing' && (news.newly || before.failures > 0)) {
    const failures = before.failures + (news.newly ? 1 : 0);
    const pausedMs = Math.max(before.pausedMs, pauseMs(failures));
    await run(
      tx,
      `update webhooks set failures = :failures, paused_until = now() + :pausedMs * interval '1 ms'
       where id = :webhookId`,
      { webhookId, failures, pausedMs },
    );
    return { ...before, failures, pausedMs };
  }
  return before;
}

async function makeDue(tx: Db, webhookId: WebhookId): Promise<void> {
  await run(
    tx,
    `update deliveries set due_at = now()
     where webhook_id = :webhookId and ready and due_at > now() and due_at < 'infinity' and lease_owner is null`,
    { webhookId },
  );
}

/** Locks a webhook for the rest of the transaction; undefined when there is none. */
export async function lockWebhook(tx: Db, webhookId: WebhookId): Promise<EndpointState | undefined> {
  const [webhook] = await rows<EndpointState>(
    tx,
    `select enabled, failures,
            greatest(0, coalesce(extract(epoch from paused_until - now()) * 1000, 0))::float8 as "pausedMs"
     from webhooks where id = :webhookId for no key update`,
    { webhookId },
  );
  return webhook;
}
