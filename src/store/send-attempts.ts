import type { MessageId, SendId, ThreadId } from '../lib/id.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import type { SendRefused } from './public-send.ts';

/** A try of a send. */
export type AttemptKey = { id: SendId; n: number };

/** A try whose message is about to end, with what is known by now of refused recipients; null: nobody was refused. */
export type HandedOver = AttemptKey & { refused: readonly SendRefused[] | null };

/** Notes that tries begin, before anything is said to a provider. Answers their numbers. */
export async function startAttempts(db: Db, ids: readonly SendId[]): Promise<ReadonlyMap<SendId, number>> {
  const started = await rows<AttemptKey>(
    db,
    `insert into send_attempts (send_id, n, mailbox_id, started_at)
     select w.id, coalesce((select max(n) from send_attempts where send_id = w.id), 0) + 1,
            (select mailbox_id from sends where id = w.id), now()
       from unnest(:ids::text[]) as w (id)
     returning send_id as id, n`,
    { ids },
  );
  return new Map(started.map(({ id, n }) => [id, n]));
}

/**
 * Notes, right before the ends of messages go out, that from here on only the provider's answer or the
 * Sent folder tells what became of them: a crash before this line is certain to have sent nothing.
 * Answers those of which the lease was not lost: where it was, another node has taken over, and the end must not go out.
 */
export async function noteHandovers(
  db: Db,
  by: { owner: string; attempts: readonly HandedOver[] },
): Promise<ReadonlySet<SendId>> {
  const noted = await rows<{ id: SendId }>(
    db,
    `with handed as materialized (
       select * from json_to_recordset(:attempts::json) as h (id text, n integer, refused jsonb)),
     -- Locked, since whoever takes over must either find this note, or have this find that it has taken over.
     mine as materialized (
       select s.id, s.state from sends s
        where s.id = any(:ids) and s.lease_owner = :owner and s.ready and s.state in ('sending', 'sent', 'bounced')
        order by s.id for no key update),
     put_off as (
       update sends s set refused = h.refused from handed h
        where s.id = any(:ids) and h.id = s.id and h.refused is not null and h.id in (select id from mine)),
     -- From now on the provider counts it (L3): once, however often recipients are put off. Cut, not rounded: a place that is
     -- still to come, if for half a millisecond, counts for nothing yet.
     counted as (
       update daily_places set at = date_trunc('milliseconds', clock_timestamp()) where send_id in (select id from mine where state = 'sending'))
     update send_attempts a set outcome = 'uncertain'
       from handed h join mine on mine.id = h.id where a.send_id = h.id and a.n = h.n
     returning a.send_id as id`,
    { owner: by.owner, ids: by.attempts.map(({ id }) => id), attempts: jsonText(by.attempts) },
  );
  return new Set(noted.map(({ id }) => id));
}

/** How a try ended. */
export type AttemptOutcome = 'accepted' | 'temporary' | 'permanent' | 'denied' | 'uncertain';

/** How a try ended, with the provider's own words; null leaves what is there. */
export type EndedAttempt = AttemptKey & { outcome: AttemptOutcome; reply: string | null };

export async function endAttempts(db: Db, ended: readonly EndedAttempt[]): Promise<void> {
  if (ended.length === 0) return;
  await run(
    db,
    // By the list of ids as well: with the join alone, a plan that was made for few attempts reads all there ever were.
    `update send_attempts a
        set ended_at = coalesce(a.ended_at, now()), outcome = e.outcome, reply = coalesce(e.reply, a.reply)
       from json_to_recordset(:ended::json) as e(id text, n integer, outcome text, reply text)
      where a.send_id = any(:ids) and a.send_id = e.id and a.n = e.n`,
    { ids: ended.map(({ id }) => id), ended: jsonText(ended) },
  );
}

/** A Message-ID that a provider's answer named for what we had sent under another. */
export type ServerMessageId = {
  id: SendId;
  messageId: MessageId;
  threadId: ThreadId;
  /** As the server says it, bare. */
  serverId: string;
  key: string;
  /** Key of the id under which it was sent. */
  sentKey: string;
};

/**
 * The Message-IDs that providers' answers named become one more name of their messages, for their own
 * copies and for answers (S12, S3), and the ones that they show from now on. Of several, for recipients who got it
 * later, the first one is shown.
 */
export async function addServerMessageIds(db: Db, named: readonly ServerMessageId[]): Promise<void> {
  if (named.length === 0) return;
  await run(
    db,
    // Each is looked up by what it is named by: see rowsById.
    `with said as materialized (
       select * from json_to_recordset(:named::json)
         as t(id text, "messageId" text, "threadId" text, "serverId" text, key text, "sentKey" text)),
     named as (
       update sends s set server_message_id = coalesce(s.server_message_id, said."serverId")
         from said where s.id = any(:ids) and s.id = said.id
       returning s.id, s.sub_account_id),
     shown as (
       update messages m set internet_message_id = said."serverId", updated_at = now()
         from said cross join lateral (select server_message_id from sends where id = said.id offset 0) s
        where m.id = any(:messageIds) and m.id = said."messageId" and s.server_message_id is null),
     known as (
       insert into message_keys (sub_account_id, key, fingerprint, message_id)
       select k.sub_account_id, said.key, k.fingerprint, k.message_id
         from said cross join lateral (
           select * from message_keys where message_id = said."messageId" and key = said."sentKey" offset 0) k
       on conflict do nothing)
     insert into thread_keys (sub_account_id, key, thread_id, kind)
     select distinct n.sub_account_id, said.key, said."threadId", 'message' from said join named n on n.id = said.id
     on conflict (sub_account_id, key, thread_id) do update set kind = 'message'`,
    {
      named: jsonText(named),
      ids: named.map(({ id }) => id),
      messageIds: named.map(({ messageId }) => messageId),
    },
  );
}
