import type { MailboxId } from '../lib/id.ts';
import type { ProviderName } from '../provider/providers.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';

/** Sends that share a server and a login, either letters or the rest, of which some can be tried now. */
export type SendLane = {
  lane: string;
  /** Of a mailbox; null: a sub-account's provider. */
  mailbox: { id: MailboxId; provider: ProviderName } | null;
  /** Letters of persons; else bulk and workflow mail. */
  individual: boolean;
  /** How many of these other nodes have in hand. */
  elsewhere: number;
  /** When the last of them came due that nobody has in hand, ms since the epoch. */
  newestDue: number;
};

/** A lane of letters, or of the rest: how far somebody has walked through all of them. */
export type LaneMark = { lane: string; individual: boolean };

/** In hand of one lane there are hardly more at once, over all nodes, and these are in front. */
const inFrontMax = 50;

/**
 * Lanes with due sends that nobody has in hand; letters first, then the longest waiting. Where more is due than `limit`
 * letters, or as many of the rest, not all of them: those of the ones that have waited longest, beside them those of the
 * ones that have just come due, since a letter is not to wait for what somebody else has in front of it, and those among
 * the next `limit` lanes behind `after`, so that none that has much hides another for longer than it takes to walk
 * through all. Of a lane no more is read than what is in front and the last. `walkedTo` null: nothing is left to walk to.
 */
export async function findSendLanes(
  db: Db,
  by: { owner: string; limit: number; after: LaneMark | null },
): Promise<{ lanes: SendLane[]; walkedTo: LaneMark | null }> {
  const { owner, limit, after } = by;
  const { lane, individual } = after ?? { lane: '', individual: false };
  const [found] = await rows<{ lanes: SendLane[]; walkedTo: LaneMark | null }>(db, lanesSql, {
    owner,
    limit,
    lane,
    individual,
    inFrontMax,
  });
  if (found === undefined) throw new Error('a select without a from clause gave no row');
  return found;
}

const nextLane = (individual: string, lane: string) => `
  select individual, lane from sends where ready and (individual, lane) > (${individual}, ${lane})
   order by individual, lane limit 1`;

const dueOf = (columns: string, lane: string) => `
  select ${columns} from sends where ready and individual = ${lane}.individual and lane = ${lane}.lane and due_at <= now()`;

const isFree = `(lease_until is null or lease_until < now())`;

const firstDue = (individual: string, order: string) => `
  select of.individual, due.lane from (${individual}) as of (individual)
   cross join lateral (select lane from sends where ready and individual = of.individual and due_at <= now() and ${isFree}
                        order by ${order} limit :limit) due`;

const lanesSql = `
with recursive longest as materialized (${firstDue('values (true), (false)', 'due_at, seq')}),
more as materialized (select individual from longest group by individual having count(*) = :limit),
newest as materialized (${firstDue('select individual from more', 'due_at desc, seq desc')}),
walked as (
  select n.*, 1 as n from (${nextLane(':individual::boolean', ':lane')}) n where exists (select from more)
  union all
  select next.*, w.n + 1 from walked w cross join lateral (${nextLane('w.individual', 'w.lane')}) next where w.n < :limit),
found as (
  select l.individual, l.lane, first.mailbox_id, first.due_at, last.due_at as newest, front.elsewhere
    from (select individual, lane from walked union table longest union table newest) l
   cross join lateral (${dueOf('mailbox_id, due_at', 'l')} and ${isFree} order by due_at, seq limit 1) first
   cross join lateral (${dueOf('due_at', 'l')} and ${isFree} order by due_at desc, seq desc limit 1) last
   cross join lateral (
     select count(*) filter (where lease_until >= now() and lease_owner <> :owner) as elsewhere
       from (${dueOf('lease_until, lease_owner', 'l')} order by due_at, seq limit :inFrontMax) f) front)
select (select coalesce(json_agg(json_build_object(
            'lane', f.lane, 'mailbox', case when b.id is not null then json_build_object('id', b.id, 'provider', b.provider) end,
            'individual', f.individual, 'elsewhere', f.elsewhere, 'newestDue', extract(epoch from f.newest) * 1000)
            order by f.individual desc, f.due_at), '[]')
          from found f left join lateral (select * from mailboxes where id = f.mailbox_id offset 0) b on true) as lanes,
       (select json_build_object('lane', lane, 'individual', individual) from walked where n = :limit) as "walkedTo"`;
