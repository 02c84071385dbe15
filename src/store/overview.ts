import { idFrom } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import type { SendState } from './public-send.ts';

/*
 * How the whole installation does, for whoever runs it. What may be hundreds of thousands is counted up to
 * `countMax`, through indexes alone: a page must not take longer because there is more to say.
 */

/** A count is no higher than this; one that is as high may be more. */
export const countMax = 10_000;

/** A count of a `from` with its `where`, up to countMax. */
export const counted = (of: string) => `(select count(*)::int from (select ${of} limit ${countMax}) c)`;

/** How long what failed is held up to people, who cannot mend all of it. */
const shownMs = 7 * 24 * 3_600_000;

/** What needs a person. */
export type Attention = {
  /** Connections whose user must sign in again. */
  reconnect: number;
  /** Connections whose user must allow more than they did. */
  permission: number;
  /** Connections that wait for an administrator's consent at the provider. */
  consent: number;
  /** Mail to logging addresses that waits for review. */
  held: number;
  /** Sends of the last seven days that failed. */
  failed: number;
  /** Sends of the last seven days of which nobody can tell whether they went out. */
  uncertain: number;
  /** Sends that wait for a person to mend something. */
  waiting: number;
  /** Webhooks that fail, or were switched off by their endpoint's 410; those that a person paused look the same. */
  webhooks: number;
  /** Webhooks with deliveries that were given up. */
  parked: number;
  /** Since when the oldest event waits that is not numbered yet; null: none does for a minute. The publisher does not come on. */
  unpublishedSince: Date | null;
  /** Since when the oldest mail to a logging address waits to be filed; null: none does for five minutes. */
  unfiledSince: Date | null;
};

/** Small enough for every page: eleven looks into indexes. */
export async function readAttention(db: Db, nowMs: number): Promise<Attention> {
  const [found] = await rows<Attention>(
    db,
    `select ${counted("from connections where state = 'reauth_required'")} as reconnect,
            ${counted("from connections where state = 'permission_missing'")} as permission,
            ${counted("from connections where state = 'admin_consent_required'")} as consent,
            ${counted("from intake_spool where state = 'held'")} as held,
            ${counted("from sends where state = 'failed' and state <> 'sent' and id >= :since")} as failed,
            ${counted("from sends where state = 'uncertain' and state <> 'sent' and id >= :since")} as uncertain,
            ${counted("from sends where state = 'held' and state <> 'sent'")} as waiting,
            ${counted('from webhooks where failures > 0 or not enabled')} as webhooks,
            (select count(*)::int from webhooks w
              where (select true from deliveries d where d.state = 'parked' and d.webhook_id = w.id limit 1)) as parked,
            (select created_at from (select created_at from events where sequence is null order by ord limit 1) e
              where created_at < now() - interval '1 minute') as "unpublishedSince",
            (select created_at from (select created_at from intake_spool where ready order by due_at, seq limit 1) i
              where created_at < now() - interval '5 minutes') as "unfiledSince"`,
    { since: idFrom('snd', nowMs - shownMs) },
  );
  if (found === undefined) throw new Error('a count has no answer');
  return found;
}

/** The connections that are not over, by state; states without any are left out. */
export async function countConnections(
  db: Db,
  states: readonly string[],
): Promise<{ state: string; count: number }[]> {
  const found = await rows<{ state: string; count: number }>(
    db,
    `select s.state, (select count(*)::int from connections c where c.state = s.state) as count
       from unnest(:states::text[]) with ordinality as s (state, n) order by s.n`,
    { states },
  );
  return found.filter(({ count }) => count > 0);
}

/** Sends by state, as far as there are any: of the last 24 hours for those that are over, of all that wait. */
export async function countSends(db: Db, nowMs: number): Promise<{ state: SendState; count: number }[]> {
  const found = await rows<{ state: SendState; count: number }>(
    db,
    `select 'sent' as state, ${counted("from sends where id >= :since and state = 'sent'")} as count
     union all
     select s.state, ${counted("from sends where state = s.state and state <> 'sent' and id >= :since")}
       from unnest(array['uncertain', 'bounced', 'failed', 'cancelled']) as s (state)
     union all
     select s.state, ${counted("from sends where state = s.state and state <> 'sent'")}
       from unnest(array['queued', 'held', 'sending']) as s (state)`,
    { since: idFrom('snd', nowMs - 24 * 3_600_000) },
  );
  return found.filter(({ count }) => count > 0);
}

/** How the CRM keeps up with what it is told. */
export type DeliveryPace = {
  /** Deliveries that are still to be made. */
  pending: number;
  /** Since when the oldest of them waits; null: none does. */
  oldestPending: Date | null;
  /**
   * Of the last hundred of each webhook, of fewer where there are very many webhooks: how long half of them took from the
   * event to the answer, and the longest, ms.
   */
  medianMs: number | null;
  mostMs: number | null;
};

export async function readDeliveryPace(db: Db): Promise<DeliveryPace> {
  const [found] = await rows<DeliveryPace>(
    db,
    `select ${counted("from deliveries where state = 'pending'")} as pending,
            (select min(p.created_at) from webhooks w cross join lateral (
               select created_at from deliveries d where d.state = 'pending' and d.webhook_id = w.id
                order by d.seq limit 1) p) as "oldestPending",
            l.median::float8 as "medianMs", l.most::float8 as "mostMs"
       from (select percentile_cont(0.5) within group (order by t.ms) as median, max(t.ms) as most
               from webhooks w cross join lateral (
                 select extract(epoch from delivered_at - created_at) * 1000 as ms from deliveries d
                  where d.state = 'delivered' and d.webhook_id = w.id order by d.seq desc
                  limit least(100, greatest(1, ${countMax} / (select count(*) from webhooks)))) t) l`,
  );
  return found ?? { pending: 0, oldestPending: null, medianMs: null, mostMs: null };
}

/** A node that listens to mailboxes. */
export type NodeRow = { id: string; isGone: boolean; seenUntil: Date; mailboxes: number };

export async function listNodes(db: Db): Promise<NodeRow[]> {
  return rows<NodeRow>(
    db,
    `select n.id, n.seen_until < now() as "isGone", n.seen_until as "seenUntil",
            (select count(*)::int from mailboxes m where m.node_id = n.id) as mailboxes
       from nodes n order by n.id`,
  );
}
