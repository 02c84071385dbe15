import type { WebhookId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { dropPast } from './partitions.ts';

/** What went with past events without having been delivered: it had been given up, and nobody asked for another try. */
export type Undelivered = { webhookId: WebhookId; count: number };

/** So many events are looked at in one statement. */
const atOnce = 5_000;

/**
 * W2: drops the events of past months that end before a time (ms since the epoch), with their deliveries. A month of
 * which a delivery is still to be made stays, and so do those after it.
 */
export async function dropPastEvents(
  db: Db,
  before: number,
): Promise<{ dropped: string[]; undelivered: Undelivered[] }> {
  const counts = new Map<WebhookId, number>();
  const dropped = await dropPast(db, 'events', before, async (from) => {
    const { parked, isLeft } = await deleteDeliveries(db, from);
    for (const { webhookId, count } of parked) counts.set(webhookId, (counts.get(webhookId) ?? 0) + count);
    return !isLeft;
  });
  return { dropped, undelivered: [...counts].map(([webhookId, count]) => ({ webhookId, count })) };
}

type Portion = { last: string | null; parked: Undelivered[]; isLeft: boolean };

/**
 * Deletes the deliveries of such events (SQL to select from) that are over; answers those of them that had been given up,
 * and whether one is left, since somebody asked for another try.
 */
async function deleteDeliveries(db: Db, from: string): Promise<Pick<Portion, 'parked' | 'isLeft'>> {
  const parked: Undelivered[] = [];
  let isLeft = false;
  for (let after = ''; ;) {
    const found = await db.raw<{ rows: Portion[] }>(
      `with past as materialized (
         select id from ${from} where id > :after order by id limit :atOnce),
       gone as (
         delete from deliveries where not ready and event_id = any(array(select id from past))
         returning id, webhook_id, state)
       select (select max(id) from past) as last,
              (select coalesce(json_agg(json_build_object('webhookId', webhook_id, 'count', count)), '[]') from (
                 select webhook_id, count(*) as count from gone where state = 'parked' group by 1) p) as parked,
              -- Not by its state, which may have changed since the statement began.
              exists (select from deliveries d where event_id = any(array(select id from past))
                        and not exists (select from gone where gone.id = d.id)) as "isLeft"`,
      { after, atOnce },
    );
    const [portion] = found.rows;
    if (portion?.last == null) return { parked, isLeft };
    parked.push(...portion.parked);
    isLeft ||= portion.isLeft;
    after = portion.last;
  }
}

/** Webhooks with deliveries of events from before a time (ms since the epoch) that are still to be made. */
export function listHoldingUp(db: Db, before: number): Promise<{ webhookId: WebhookId; enabled: boolean }[]> {
  return rows(
    db,
    `select w.id as "webhookId", w.enabled from webhooks w
      where exists (select from deliveries d where d.webhook_id = w.id and d.ready and d.created_at < :before)
      order by w.id`,
    { before: new Date(before) },
  );
}

/** From when on events are kept, and the highest number of those that were dropped; undefined: none ever was. */
export async function readDroppedEvents(db: Db): Promise<{ since: Date; sequence: string } | undefined> {
  const [kept] = await rows<{ since: Date; sequence: string }>(
    db,
    `select since, sequence from kept_since where table_name = 'events' and sequence is not null`,
  );
  return kept;
}
