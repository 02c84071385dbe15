import { newId } from '../lib/id.ts';
import { steps } from '../lib/meters.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import { insertDeliveries, wantedOf } from './deliveries.ts';
import type { DueWebhook, PublishedEvent } from './deliveries.ts';

/** What can happen, as the CRM hears of it. The list of API.md; closed. */
export const eventTypes = [
  'message.created',
  'message.updated',
  'conversation.created',
  'conversation.updated',
  'contact.created',
  'contact.claimed',
  'thread.unlinked',
  'send.queued',
  'send.held',
  'send.sent',
  'send.bounced',
  'send.failed',
  'send.cancelled',
  'send.opened',
  'send.clicked',
  'connection.created',
  'connection.state_changed',
  'connection.recovered',
  'connection.superseded',
  'connection.disconnected',
  'decision.held',
  'backfill.finished',
  'audit.finished',
] as const;

export type EventType = (typeof eventTypes)[number];

/** An event that a transaction is about to leave behind. */
export type NewEvent = {
  type: EventType;
  /** Null: of the installation; only keys and webhooks for all sub-accounts see it. */
  sub_account_id: string | null;
  /** Within each of these keys the CRM hears events in order: conversations, or the connection. */
  order_keys: string[];
  /** The object as the API shows it, in snake_case. */
  data: unknown;
};

/**
 * Leaves events behind in the caller's transaction (W2): they exist if and only if what they tell
 * was committed. They get their number, and reach webhooks, when they are published. One statement
 * for all of them; in the order of the list.
 *
 * Nothing is notified here: PostgreSQL lets transactions with a NOTIFY commit one after another, in
 * the whole installation. Wake the publisher of this process after the commit instead.
 */
export async function recordEvents(db: Db, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  const listed = events.map((event) => ({
    id: newId('evt'),
    ...event,
    ...(event.type.startsWith('message.') ? { data: cutBodies(event.data) } : {}),
  }));
  await run(
    db,
    `insert into events (id, type, sub_account_id, order_keys, data)
     select e.value->>'id', e.value->>'type', e.value->>'sub_account_id',
            array(select jsonb_array_elements_text(e.value->'order_keys')), e.value->'data'
     from jsonb_array_elements(:events::jsonb) with ordinality as e (value, n)
     order by e.n`,
    { events: jsonText(listed) },
  );
}

/** UTF-8 bytes of one body in an event. A webhook's receiver often takes no more than a megabyte in all. */
const bodyBytesMax = 65_536;

/**
 * A message without its long bodies, and with their names in `bodies_cut`: a text is cut at a whole
 * character; HTML, which would be broken anywhere, is left out.
 */
function cutBodies(data: unknown): unknown {
  const bodies = Object.entries(data as Record<string, unknown>).filter(
    (field): field is [string, string] =>
      ['text', 'html', 'reply_text'].includes(field[0]) &&
      typeof field[1] === 'string' &&
      Buffer.byteLength(field[1]) > bodyBytesMax,
  );
  if (bodies.length === 0) return data;
  const cut = bodies.map(([name, body]) => [name, name === 'html' ? null : startOf(body)] as const);
  return { ...(data as object), ...Object.fromEntries(cut), bodies_cut: bodies.map(([name]) => name) };
}

function startOf(text: string): string {
  const bytes = Buffer.from(text.slice(0, bodyBytesMax)).subarray(0, bodyBytesMax);
  // A decoder in the middle of a stream holds back a character that is not whole.
  return new TextDecoder().decode(bytes, { stream: true });
}

/** What one publication did. `busy`: another node is publishing at this moment. */
export type Publication = 'busy' | { published: number; webhooks: DueWebhook[] };

/** SQL: the key of the lock that whoever gives numbers and makes deliveries has. */
const publisherLock = `hashtext('twoway publisher')`;

/** How many events one publication numbers, at most: what one transaction does in well under a second. */
export const publicationMax = 1_000;

/**
 * Numbers events that are committed and have no number yet, oldest first, and makes their deliveries.
 *
 * Why events are not numbered when they are recorded: a transaction that took number 7 may commit
 * after one that took number 8. A reader that has seen 8 asks for what comes after 8, and would never
 * hear of 7. Here one publisher at a time, in the whole installation, sees only what is committed and
 * gives it numbers above all that were given before; the lock is held until the numbers are visible.
 * So whoever has read up to a number has read everything that will ever have a lower one. Numbers
 * taken by a publication that failed are left out; none is given twice.
 */
export function publishBatch(db: Db): Promise<Publication> {
  return db.transaction(async (tx) => {
    // A statement by itself: the next one must see what the publisher before us committed.
    const [lock] = await rows<{ free: boolean }>(
      tx,
      `select pg_try_advisory_xact_lock(${publisherLock}) as free`,
    );
    if (lock?.free !== true) return 'busy';
    const [batch] = await rows<NumberedBatch>(
      tx,
      // In arrays: the plan of a join would be made once and for all, by how many events there are then.
      `with batch as materialized (
         select array_agg(ord order by ord) as ords, array_agg(nextval('event_numbers')) as numbers,
                array_agg(id) as ids, min(id) as first_id, max(id) as last_id
         from (select ord, id from events where sequence is null order by ord limit :publicationMax) b),
       numbered as (
         update events e
         set sequence = (select numbers[array_position(ords, e.ord)] from batch)
         -- By the first and the last as well: that alone tells in which months they are.
         where e.id = any(array(select unnest(ids) from batch))
           and e.id >= (select first_id from batch) and e.id <= (select last_id from batch)
         returning e.sequence, e.type, e.sub_account_id, e.created_at),
       kinds as materialized (select distinct sub_account_id, type from numbered),
       -- Locked in the order of their ids, against the settling of deliveries (see deliveries.ts).
       locked as (
         select w.id, w.failures, w.paused_until from webhooks w
         where w.enabled and w.id = any(array(select webhook_id from (${wantedOf('kinds', 'webhooks')}) k))
         order by w.id for no key update of w)
       select (select count(*) from numbered)::int as published,
              (select extract(epoch from clock_timestamp() - min(created_at))::float8 from numbered) as "waitedSeconds",
              (select min(sequence) from numbered) as first, (select max(sequence) from numbered) as last,
              (select coalesce(json_agg(json_build_object('id', id, 'failures', failures,
                 'paused', coalesce(paused_until > now(), false))), '[]') from locked) as webhooks`,
      { publicationMax },
    );
    if (batch === undefined || batch.first === null || batch.last === null)
      return { published: 0, webhooks: [] };
    const { first, last, published, waitedSeconds, webhooks } = batch;
    if (webhooks.length > 0) {
      await insertDeliveries(tx, { first, last, webhookIds: webhooks.map((webhook) => webhook.id) });
    }
    steps.observe(['published'], waitedSeconds);
    return { published, webhooks: webhooks.filter((webhook) => !webhook.paused) };
  });
}

type NumberedBatch = {
  published: number;
  waitedSeconds: number;
  first: string | null;
  last: string | null;
  webhooks: (DueWebhook & { paused: boolean })[];
};

/** Published events after a number, in order; `types` null: all, `subAccountId` null: of everybody. */
export function listEvents(
  db: Db,
  page: { after: string; types: readonly EventType[] | null; subAccountId: string | null; limit: number },
): Promise<PublishedEvent[]> {
  const ofSubAccount = page.subAccountId === null ? '' : 'and sub_account_id = :subAccountId';
  // Each type by itself: who waits for a rare one would go through all events since the last of it, at every call.
  const events =
    page.types === null
      ? `select * from events where sequence > :after ${ofSubAccount} order by sequence limit :limit`
      : `select e.* from (select distinct unnest(:types::text[]) as type) wanted
          cross join lateral (
            select * from events where sequence + 0 > :after and sequence is not null and type = wanted.type ${ofSubAccount}
             order by sequence + 0 limit :limit) e
          order by sequence limit :limit`;
  return rows<PublishedEvent>(
    db,
    `select sequence, id, type, sub_account_id as "subAccountId", data, created_at as "createdAt"
       from (${events}) e order by sequence`,
    page,
  );
}

/** The number of an event that `subAccountId` (null: the whole installation) may see; undefined when there is none. */
export async function findSequence(
  db: Db,
  id: string,
  subAccountId: string | null,
): Promise<string | undefined> {
  const [event] = await rows<{ sequence: string }>(
    db,
    `select sequence from events
     where id = :id and sequence is not null and (:subAccountId::text is null or sub_account_id = :subAccountId)`,
    { id, subAccountId },
  );
  return event?.sequence;
}

/** The highest number given so far, 0 at the start. */
export async function lastSequence(db: Db): Promise<string> {
  const [last] = await rows<{ sequence: string }>(
    db,
    'select coalesce(max(sequence), 0)::text as sequence from events',
  );
  return last?.sequence ?? '0';
}

/**
 * Erases events of a sub-account with their deliveries, up to `limit` or (null) all of them; answers how many. A
 * transaction of its own, or a part of the caller's.
 */
export function eraseEvents(db: Db, subAccountId: string, limit: number | null): Promise<number> {
  return db.transaction(async (tx) => {
    // No delivery is being made that the next statement would not see yet.
    await run(tx, `select pg_advisory_xact_lock(${publisherLock})`);
    const [erased] = await rows<{ count: number }>(
      tx,
      `with erased as (
         delete from events where id = any(array(
           select id from events where sub_account_id = :subAccountId limit :limit))
         returning id),
       undelivered as (
         delete from deliveries where event_id = any(array(select id from erased)))
       select count(*)::int as count from erased`,
      { subAccountId, limit },
    );
    return erased?.count ?? 0;
  });
}
