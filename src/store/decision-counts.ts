import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/*
 * How much was decided, by hour. A week of it is hundreds of thousands of rows: what is over is counted once and kept,
 * so that a page adds up some hundred numbers and counts the last hour or two by itself. An hour's decisions are those
 * whose ids were made in it, which are found by the primary key.
 */

/** So far back it is shown. */
const shownDays = 7;
/** An hour is counted when it has been over for so long: a transaction that began in it may commit later. */
const settleMinutes = 5;
/** The hours since are counted up to so many decisions: a backfill makes very many. */
export const countedMax = 20_000;

/** What every decision id made from this time on begins with, or sorts behind (see idFrom in lib/id.ts). */
const idAt = (time: string) =>
  `(select 'dec_' || left(hex, 8) || '-' || right(hex, 4) from (
      select lpad(to_hex(floor(extract(epoch from ${time}) * 1000)::bigint), 12, '0') as hex) t)`;

const firstHour = `date_bin('1 hour', now() - interval '${shownDays} days', 'epoch'::timestamptz)`;
const openHour = `date_bin('1 hour', now() - interval '${settleMinutes} minutes', 'epoch'::timestamptz)`;

/** Counts the hours that are over and not counted yet, and forgets those that are not shown any more. */
export async function countDecisions(db: Db): Promise<void> {
  await run(db, `delete from decision_counts where hour < ${firstHour}`);
  await run(
    db,
    `insert into decision_counts (hour, outcome, count)
     select h.hour, o.outcome, coalesce(d.count, 0)
       from generate_series(${firstHour}, ${openHour} - interval '1 hour', interval '1 hour') as h (hour)
       cross join unnest(array['stored', 'skipped', 'held', 'failed']) as o (outcome)
       left join lateral (
         select count(*)::int as count from decisions d
          where d.id >= ${idAt('h.hour')} and d.id < ${idAt("h.hour + interval '1 hour'")}
            and d.outcome = o.outcome and d.replaced_by is null) d on true
      where not exists (select from decision_counts c where c.hour = h.hour)
     on conflict do nothing`,
  );
}

/** What was decided on one day in UTC (`2026-11-27`). */
export type DecisionDay = { day: string; stored: number; skipped: number; held: number; failed: number };

/**
 * The last days with today, the oldest first. `atLeast`: there was more to count since the last hour that was counted
 * than is counted for a page, so that today has more.
 */
export async function readDecisionDays(db: Db): Promise<{ days: DecisionDay[]; atLeast: boolean }> {
  const [found] = await rows<{ days: DecisionDay[]; open: number }>(
    db,
    `with since as materialized (
       select coalesce(max(hour) + interval '1 hour', ${firstHour}) as at from decision_counts),
     open as materialized (
       select d.decided_at, d.outcome, d.replaced_by from decisions d
        where d.id >= (select ${idAt('since.at')} from since) order by d.id desc limit ${countedMax}),
     counted as (
       select (hour at time zone 'UTC')::date as day, outcome, sum(count) as count from decision_counts group by 1, 2
       union all
       select (decided_at at time zone 'UTC')::date, outcome, count(*) from open where replaced_by is null group by 1, 2),
     by_day as (
       select g.day, coalesce(sum(count) filter (where outcome = 'stored'), 0) as stored,
              coalesce(sum(count) filter (where outcome = 'skipped'), 0) as skipped,
              coalesce(sum(count) filter (where outcome = 'held'), 0) as held,
              coalesce(sum(count) filter (where outcome = 'failed'), 0) as failed
         from (select (now() at time zone 'UTC')::date - n as day from generate_series(0, ${shownDays - 1}) as n) g
         left join counted on counted.day = g.day
        group by g.day)
     select (select json_agg(json_build_object('day', to_char(day, 'YYYY-MM-DD'), 'stored', stored, 'skipped', skipped, 'held', held,
               'failed', failed) order by day) from by_day) as days,
            (select count(*)::int from open) as open`,
  );
  return { days: found?.days ?? [], atLeast: (found?.open ?? 0) >= countedMax };
}
