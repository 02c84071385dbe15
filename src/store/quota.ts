import type { ConnectionId, MailboxId, MessageId, SendId } from '../lib/id.ts';
import type { MailboxLimits } from '../provider/providers.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/*
 * L3: how many individual messages went through a mailbox, and are to go, whoever's they are. Each has one place in the
 * count (table daily_places), at the time when it goes or went. Times are the database's, in ms since the epoch.
 */

const ms = (time: string) => `floor(extract(epoch from ${time}) * 1000)::float8`;
const time = (name: string) => `to_timestamp(:${name}::float8 / 1000)`;

/**
 * Until when it is closed. A provider is not asked again for a day: a time beyond that comes from a clock that was ahead,
 * and was set back, and nobody knows any more when it refused.
 */
const closedUntil = (quotas: string) =>
  `case when ${quotas}.closed_until > clock_timestamp() + interval '24 hours' then clock_timestamp() + interval '24 hours'
        else ${quotas}.closed_until end`;

/** The count of a mailbox, locked for the rest of the transaction: nobody else takes a place meanwhile. */
export type LockedQuota = {
  now: number;
  /** Until then the provider takes no individual mail; null: it never said so. */
  closedUntil: number | null;
};

/** Locks the counts of mailboxes, in one order for everybody. */
export async function lockQuotas(
  db: Db,
  mailboxIds: readonly MailboxId[],
): Promise<Map<MailboxId, LockedQuota>> {
  if (mailboxIds.length === 0) return new Map();
  const found = await rows<LockedQuota & { id: MailboxId; isBehind: boolean }>(
    db,
    // An update locks the row, made or found; what it returns is asked after the wait for that.
    `insert into daily_quotas (mailbox_id)
     select id from (select distinct unnest(:mailboxIds::text[]) collate "C" as id) m order by id
     on conflict (mailbox_id) do update set counted_at = greatest(daily_quotas.counted_at, clock_timestamp()),
                                            closed_until = ${closedUntil('daily_quotas')}
     returning mailbox_id as id, ${ms('clock_timestamp()')} as now, ${ms('daily_quotas.closed_until')} as "closedUntil",
               daily_quotas.counted_at > clock_timestamp() as "isBehind"`,
    { mailboxIds },
  );
  await bringBack(
    db,
    found.filter(({ isBehind }) => isBehind),
  );
  return new Map(found.map(({ id, now, closedUntil }) => [id, { now, closedUntil }]));
}

/**
 * The clock was ahead, and was set back: what went until then counts as if it went now, since nobody knows when it did,
 * and would not count at all where it seems to be still to come. What waits for its time keeps it.
 */
async function bringBack(db: Db, quotas: readonly { id: MailboxId; now: number }[]): Promise<void> {
  if (quotas.length === 0) return;
  await run(
    db,
    `with behind as materialized (
       select id, to_timestamp(ms / 1000) as now from unnest(:ids::text[], :nows::float8[]) as b (id, ms)),
     counted as (
       update daily_quotas q set counted_at = b.now from behind b where q.mailbox_id = b.id)
     update daily_places p set at = b.now
       from behind b
      where p.mailbox_id = b.id and p.at > b.now and not exists (
        select from sends s where s.id = p.send_id and s.state in ('queued', 'held'))`,
    { ids: quotas.map(({ id }) => id), nows: quotas.map(({ now }) => now) },
  );
}

/**
 * How many places of mailboxes there are, each after a time of its own, up to now, but those of some sends. Up to the moment
 * at which it is counted, and not at which the count was locked: what was handed over in between has its place there.
 */
export async function countPlacesTaken(
  db: Db,
  of: { from: readonly { mailboxId: MailboxId; at: number }[]; besides: readonly SendId[] },
): Promise<ReadonlyMap<MailboxId, number>> {
  const isCounted = 'p.at > to_timestamp(f.at / 1000) and p.at <= up_to.now';
  const found = await rows<{ mailboxId: MailboxId; taken: number }>(
    db,
    // Those of the sends are read by themselves: with each place compared with all of them, a mailbox with much cost more
    // than all else that is done for its letters.
    `with own as materialized (select mailbox_id, at from daily_places where send_id = any(:sendIds))
     select f.id as "mailboxId",
            (select count(*)::int from daily_places p where p.mailbox_id = f.id and ${isCounted})
            - (select count(*)::int from own p where p.mailbox_id = f.id and ${isCounted}) as taken
       from unnest(:mailboxIds::text[], :froms::float8[]) as f (id, at)
      cross join lateral (select clock_timestamp() as now offset 0) up_to`,
    {
      sendIds: of.besides,
      mailboxIds: of.from.map(({ mailboxId }) => mailboxId),
      froms: of.from.map(({ at }) => at),
    },
  );
  return new Map(found.map(({ mailboxId, taken }) => [mailboxId, taken]));
}

/** The places of a mailbox after `from` and up to `to`, ascending, but that of one send. */
export async function readPlacesTaken(
  db: Db,
  of: { mailboxId: MailboxId; from: number; to: number; besides: SendId },
): Promise<number[]> {
  const found = await rows<{ at: number }>(
    db,
    `select ${ms('at')} as at from daily_places
      where mailbox_id = :mailboxId and at > ${time('from')} and at <= ${time('to')} and send_id <> :besides
      order by daily_places.at`,
    of,
  );
  return found.map(({ at }) => at);
}

/** How long a place is kept that counts for nothing any more. */
const keptMs = 2 * 24 * 60 * 60_000;

/** Gives a send its place, or another one. What is long past goes. */
export async function writePlaceTaken(
  db: Db,
  place: { mailboxId: MailboxId; sendId: SendId; at: number; now: number },
): Promise<void> {
  await run(
    db,
    `with past as (
       delete from daily_places where mailbox_id = :mailboxId and at < ${time('before')} and send_id <> :sendId)
     insert into daily_places (send_id, mailbox_id, at) values (:sendId, :mailboxId, ${time('at')})
     on conflict (send_id) do update set mailbox_id = excluded.mailbox_id, at = excluded.at`,
    { ...place, before: place.now - keptMs },
  );
}

/** A send that asks for a place, at a time of its own. */
type WantedPlace = {
  sendId: SendId;
  mailboxId: MailboxId;
  at: number;
  /** Individual messages of the mailbox in any 24 hours, at most; null: as many as it likes. */
  most: number | null;
};

/**
 * Gives those their places around which there is room for all of their mailbox that ask here: whichever day they are counted
 * in, it has no more than `most`. Answers which; the counts must be locked. What is long past goes.
 */
export async function writeFreePlaces(db: Db, wanted: readonly WantedPlace[]): Promise<Set<SendId>> {
  if (wanted.length === 0) return new Set();
  const placed = await rows<{ id: SendId }>(
    db,
    `with asked as materialized (
       select *, to_timestamp(ms / 1000) as at, count(*) over (partition by mailbox) as alike
         from json_to_recordset(:wanted::json) as t(send text, mailbox text, ms float8, most integer)),
     past as (
       delete from daily_places where mailbox_id = any(:mailboxIds) and at < now() - :kept * interval '1 ms')
     insert into daily_places (send_id, mailbox_id, at)
     select send, mailbox, at from asked
      where most is null or alike + (
        select count(*) from daily_places p
         where p.mailbox_id = asked.mailbox and p.at > asked.at - interval '24 hours'
           and p.at < asked.at + interval '24 hours') <= most
     returning send_id as id`,
    {
      wanted: JSON.stringify(
        wanted.map(({ sendId, mailboxId, at, most }) => ({ send: sendId, mailbox: mailboxId, ms: at, most })),
      ),
      mailboxIds: [...new Set(wanted.map(({ mailboxId }) => mailboxId))],
      kept: keptMs,
    },
  );
  return new Set(placed.map(({ id }) => id));
}

/**
 * The same of several sends that go now, each once. One that took its place within the last hour keeps that until it is
 * handed over, which alone is what the provider counts: meanwhile it counts for as much.
 */
export async function writePlacesTaken(
  db: Db,
  places: readonly { mailboxId: MailboxId; sendId: SendId; at: number }[],
): Promise<void> {
  if (places.length === 0) return;
  await run(
    db,
    `with taken as materialized (
       select * from unnest(:sendIds::text[], :mailboxIds::text[], :ats::float8[]) as t (send_id, mailbox_id, at)),
     past as (
       delete from daily_places p where p.mailbox_id = any(:mailboxIds) and p.at < now() - :keptMs * interval '1 ms'
          and p.send_id <> all(:sendIds))
     insert into daily_places (send_id, mailbox_id, at)
     select send_id, mailbox_id, to_timestamp(at / 1000) from taken
     on conflict (send_id) do update set mailbox_id = excluded.mailbox_id, at = excluded.at
      where not (daily_places.mailbox_id = excluded.mailbox_id
                 and daily_places.at between excluded.at - interval '1 hour' and excluded.at)`,
    {
      keptMs,
      sendIds: places.map(({ sendId }) => sendId),
      mailboxIds: places.map(({ mailboxId }) => mailboxId),
      ats: places.map(({ at }) => at),
    },
  );
}

/** What never went takes no place. */
export async function giveBackPlaces(db: Db, sendIds: readonly SendId[]): Promise<void> {
  if (sendIds.length === 0) return;
  await run(db, 'delete from daily_places where send_id = any(:sendIds)', { sendIds });
}

/**
 * The provider, which refused the sends of `sendIds`, takes no individual mail from a mailbox for so many ms. What else
 * waits for its turn is due then, all at once: answers it. What somebody is about to try finds out for itself.
 */
export async function closeQuota(
  db: Db,
  closed: { mailboxId: MailboxId; sendIds: readonly SendId[]; ms: number },
): Promise<{ id: SendId; messageId: MessageId; subAccountId: string }[]> {
  const isNews = await run(
    db,
    // What else was on its way at that moment is refused as well: for that all that waits would be put off by an instant,
    // and told once more.
    `insert into daily_quotas (mailbox_id, closed_until)
     values (:mailboxId, now() + :ms * interval '1 ms')
     on conflict (mailbox_id) do update set closed_until = excluded.closed_until
      where daily_quotas.closed_until is null or daily_quotas.closed_until < excluded.closed_until - interval '10 minutes'`,
    closed,
  );
  return rows(
    db,
    `with until as (select closed_until from daily_quotas where mailbox_id = :mailboxId),
     waiting as (
       select s.id from sends s
        -- Also what was taken, and waits for recipients who were put off.
        where :isNews and s.individual and s.lane = :mailboxId and s.id <> all(:sendIds) and s.state in ('queued', 'sent', 'bounced') and s.ready
          and s.due_at < (select closed_until from until) and (s.lease_until is null or s.lease_until < now())
        order by s.id for no key update of s skip locked),
     postponed as (
       update sends s set due_at = (select closed_until from until),
              state_reason = case when s.state = 'queued' then 'daily_limit' else s.state_reason end
         from waiting where s.id = any(array(select id from waiting)) and s.id = waiting.id
       returning s.state, s.id, s.message_id as "messageId", s.sub_account_id as "subAccountId"),
     placed as (
       update daily_places set at = (select closed_until from until)
        where send_id = any(array(select id from sends where id = any(:sendIds) and state not in ('sent', 'bounced')
                                  union all select id from postponed where state = 'queued'))),
     touched as (
       update messages set updated_at = now()
        where id = any(array(select "messageId" from postponed where state = 'queued')))
     select id, "messageId", "subAccountId" from postponed where state = 'queued'`,
    { ...closed, isNews: isNews > 0 },
  );
}

/** Where the count of a connection's mailbox stands. */
export type QuotaStanding = LockedQuota & {
  connectionId: ConnectionId;
  /** What was said of its limits (L4). */
  limitsSaid: Partial<MailboxLimits>;
  /** Places from a day before now on, up to a day after, ascending. */
  places: number[];
};

/** Of each of some connections, in no order; of one without a mailbox nothing is said or counted. */
export async function readQuotas(db: Db, connectionIds: readonly ConnectionId[]): Promise<QuotaStanding[]> {
  if (connectionIds.length === 0) return [];
  return rows<QuotaStanding>(
    db,
    `select c.id as "connectionId", coalesce(b.limits, '{}') as "limitsSaid", ${ms('now()')} as now, ${ms(closedUntil('q'))} as "closedUntil",
            (select coalesce(json_agg(${ms('p.at')} order by p.at), '[]') from daily_places p
              where p.mailbox_id = c.mailbox_id and p.at > now() - interval '24 hours'
                and p.at < now() + interval '24 hours') as places
       from connections c left join mailboxes b on b.id = c.mailbox_id left join daily_quotas q on q.mailbox_id = b.id
      where c.id = any(:connectionIds)`,
    { connectionIds },
  );
}
