import type { MessageId, ThreadId } from '../lib/id.ts';
import { rows, rowsById } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/**
 * Notes which message of its thread each message answers: by In-Reply-To, else by the newest of References that
 * is stored there. Asked of messages that are new, and of threads in which an id turned out to be a message's
 * that others had cited before. Answers what this changed: messages that answer another one than they did, and
 * what the CRM sent whose first answer is among them.
 */
export async function linkAnswers(
  db: Db,
  of: { messages: readonly MessageId[]; threads: readonly ThreadId[] },
): Promise<MessageId[]> {
  if (of.messages.length + of.threads.length === 0) return [];
  const linked = await rows<{ id: MessageId; answers: MessageId | null }>(db, linkSql, of);
  const answered = new Set(linked.flatMap(({ answers }) => answers ?? []));
  if (answered.size === 0) return linked.map(({ id }) => id);
  const told = await rows<{ id: MessageId }>(
    db,
    `update messages m set updated_at = now()
       from (select m.id, s.id as send from ${rowsById('messages')} m
              cross join lateral (select id from sends where message_id = m.id offset 0) s) x
      where m.id = x.id and (${firstAnswer('m', 'is null')} = any(:linked) or ${firstAnswer('m', 'is not null')} = any(:linked))
     returning m.id`,
    { ids: [...answered], linked: linked.map(({ id }) => id) },
  );
  return [...new Set([...linked, ...told].map(({ id }) => id))];
}

// A Message-ID that is long or not ASCII is kept as a hash of it (message/message-id.ts).
const linkSql = `
with asked as materialized (
  select unnest(:messages::text[]) as id
  union
  select m.id from unnest(:threads::text[]) as t (id)
   cross join lateral (select id from messages where thread_id = t.id offset 0) m
), found as materialized (
  select m.id, (
    select o.id
      from (select i.id, i.n from unnest(m.in_reply_to) with ordinality as i (id, n)
            union all
            select r.id, 1000 - r.n from unnest(m.reference_ids) with ordinality as r (id, n)) cited
     cross join lateral (
       select message_id from message_keys
        where sub_account_id = m.sub_account_id
          and key in (cited.id, 'sha256:' || encode(sha256(convert_to(cited.id, 'UTF8')), 'hex')) offset 0) k
     cross join lateral (
       select id from messages where id = k.message_id and thread_id = m.thread_id and id <> m.id offset 0) o
     order by cited.n, o.id limit 1) as answers
    from asked cross join lateral (select * from messages where id = asked.id offset 0) m
   where m.in_reply_to <> '{}' or m.reference_ids <> '{}'
)
update messages m set answers = found.answers, updated_at = now()
  from found where m.id = found.id and m.answers is distinct from found.answers
returning m.id, m.answers`;

/** The id of the first message from outside that answers message `m`; `automatic`: whether of people or of programs. */
function firstAnswer(m: string, automatic: 'is null' | 'is not null'): string {
  return `(select a.id from messages a where a.answers = ${m}.id and a.direction = 'inbound' and a.automatic ${automatic}
            order by a.received_at, a.id limit 1)`;
}

/** The same as JSON, with when the provider received it; null when there is none. */
export function firstAnswerOf(m: string, automatic: 'is null' | 'is not null'): string {
  return `(select json_build_object('message_id', a.id, 'at', ${timestamp('a.received_at')})
             from messages a where a.id = ${firstAnswer(m, automatic)})`;
}
