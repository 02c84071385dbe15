import type { MessageId, SendId } from '../lib/id.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';

/** Notes what of sends is tracked; their rows must be written. Where there is nothing, nothing is noted. */
export async function insertTracked(
  db: Db,
  sends: readonly { id: SendId; subAccountId: string; opens: boolean; urls: readonly string[] }[],
): Promise<void> {
  const all = sends.flatMap(({ id, subAccountId, opens, urls }) => [
    ...(opens ? [{ id, sub: subAccountId, n: 0, url: null }] : []),
    ...urls.map((url, position) => ({ id, sub: subAccountId, n: position + 1, url })),
  ]);
  if (all.length === 0) return;
  await run(
    db,
    `insert into tracked (send_id, n, sub_account_id, url)
     select id, n, sub, url from json_to_recordset(:all::json) as t(id text, sub text, n integer, url text)`,
    { all: jsonText(all) },
  );
}

/** The picture (`n` 0) or a link of a send was loaded, `ageMs` ago. */
export type Hit = { sendId: SendId; n: number; ageMs: number };

/** What was counted for the first time. */
export type FirstHit = {
  sendId: SendId;
  n: number;
  subAccountId: string;
  messageId: MessageId;
  /** Of a link. */
  url: string | null;
};

/** A mail that is looked at sooner after it was handed over is looked at by a scanner. In ms. */
const handoverMs = 2_000;
/** What comes sooner after what was counted is the same: programs load a picture more than once, and people click twice. In ms. */
const sameMs = 60_000;

/** Hits that count: of what is tracked, after the send was handed over, and not within the minute of the last one. */
const counted = `
  with hits as (
    select h.send_id, h.n, now() - h.age_ms * interval '1 millisecond' as at
      from json_to_recordset(:hits::json) as h(send_id text, n integer, age_ms float8)),
  counted as (
    select t.send_id, t.n, h.at from hits h join tracked t on t.send_id = h.send_id and t.n = h.n
     where (t.last_at is null or t.last_at + :sameMs * interval '1 millisecond' <= h.at)
       and (
         exists (
           select from send_attempts a
            where a.send_id = t.send_id and a.outcome in ('accepted', 'uncertain')
              and coalesce(a.ended_at, a.started_at) + :handoverMs * interval '1 millisecond' <= h.at)
         -- Its tries are past, and dropped (see partitions.ts).
         or (not exists (select from send_attempts a where a.send_id = t.send_id)
             and exists (select from sends s where s.id = t.send_id and s.state in ('sent', 'bounced')))))`;

/**
 * Counts hits, at most one for each send and number, in the caller's transaction. Those of erased messages are left
 * out, and such as do not count write nothing: whoever loads a picture a thousand times changes a row once a minute.
 */
export async function countHits(db: Db, hits: readonly Hit[]): Promise<FirstHit[]> {
  const values = {
    hits: jsonText(hits.map(({ sendId, n, ageMs }) => ({ send_id: sendId, n, age_ms: ageMs }))),
    sameMs,
    handoverMs,
  };
  // In the order in which whoever erases them locks them.
  const locked = await rows(
    db,
    `${counted} select s.id from sends s where s.id in (select send_id from counted) order by s.id for no key update of s`,
    values,
  );
  if (locked.length === 0) return [];
  return rows<FirstHit>(
    db,
    `${counted},
     changed as (
       update tracked t set count = t.count + 1, first_at = coalesce(t.first_at, c.at), last_at = c.at
         from counted c where t.send_id = c.send_id and t.n = c.n
       returning t.send_id, t.n, t.url, t.count)
     select c.send_id as "sendId", c.n, c.url, s.sub_account_id as "subAccountId", s.message_id as "messageId"
       from changed c join sends s on s.id = c.send_id
      where c.count = 1 order by c.send_id, c.n`,
    values,
  );
}
