import type { ConversationId, MailboxId, MessageId, SendId, ThreadId } from '../lib/id.ts';
import { jsonText, rows, rowsById, run } from './database.ts';
import type { Db } from './database.ts';
import type { SendState } from './public-send.ts';
import { timestamp } from './timestamp.ts';

/** A message that is about to be erased, its thread and its send locked. */
export type Erasable = {
  id: MessageId;
  threadId: ThreadId;
  keys: { key: string; fingerprint: string }[];
  /** Of the newest of all that are erased with it: the date that a conversation may have of it. */
  newest: string;
  send: {
    id: SendId;
    mailboxId: MailboxId | null;
    state: SendState;
    /** Something is still to be done about it. */
    ready: boolean;
    /** No other copy of it is to come. */
    copySeen: boolean;
  } | null;
};

/**
 * Locks messages of a sub-account, with the threads that they are in and what is sent of them, until the
 * transaction ends: whoever would add to one of these threads waits, and finds then that it must look again.
 */
export async function lockErasable(
  db: Db,
  subAccountId: string,
  ids: readonly MessageId[],
): Promise<Erasable[]> {
  await run(
    db,
    `select from threads where id = any(array(
       select m.thread_id from ${rowsById('messages')} m where m.sub_account_id = :subAccountId))
      order by id for update`,
    { ids, subAccountId },
  );
  await run(db, 'select from sends where message_id = any(:ids) order by id for update', { ids });
  // A statement of its own: one that waited for a lock still sees what was true before it waited.
  return rows<Erasable>(
    db,
    `select m.id, m.thread_id as "threadId", (max(least(m.date, m.created_at)) over ())::text as newest,
            (select coalesce(json_agg(json_build_object('key', k.key, 'fingerprint', k.fingerprint)), '[]')
               from message_keys k where k.message_id = m.id) as keys,
            (select json_build_object('id', s.id, 'mailboxId', s.mailbox_id, 'state', s.state, 'ready', s.ready,
                                      'copySeen', s.copy_seen_at is not null and s.refused = '[]')
               from sends s where s.message_id = m.id) as send
       from ${rowsById('messages')} m where m.sub_account_id = :subAccountId order by m.id`,
    { ids, subAccountId },
  );
}

/** What an event, or an answer that is kept for its repeats, shows of an erased message: no content. */
export const emptied = {
  message: {
    from: { name: '', address: '' },
    to: [],
    cc: [],
    subject: '',
    text: '',
    html: null,
    reply_text: '',
    attachments: [],
    internet_message_id: null,
    in_reply_to: [],
    send: null,
  },
  /** The provider's words may name people; the links are content. */
  send: { reason: null, attempts: [], refused: [], reports: [], tracking: null },
};

/**
 * Deletes messages with all that is stored of them, and leaves a tombstone. What tells of them stays,
 * without content: their decisions, their events in their places, and the answers of the calls that sent them.
 * Answers when that was, as all times that the store hands out.
 */
export async function deleteMessages(
  db: Db,
  subAccountId: string,
  messages: readonly { id: MessageId; sendId: SendId | null; tombstones: readonly string[] }[],
): Promise<{ erasedAt: string }> {
  const tombstones = messages.flatMap(({ id, tombstones }) => tombstones.map((hash) => ({ id, hash })));
  await run(
    db,
    `insert into tombstones (sub_account_id, hash, message_id)
     select :subAccountId, decode(hash, 'hex'), id from json_to_recordset(:tombstones::json) as t(id text, hash text)
      order by hash
     on conflict do nothing`,
    { subAccountId, tombstones: jsonText(tombstones) },
  );
  const ids = messages.map(({ id }) => id);
  await run(db, 'delete from messages where id = any(:ids)', { ids });
  await run(
    db,
    `delete from errands where sub_account_id = :subAccountId and kind = 'thread_head' and request ->> 'messageId' = any(:ids)`,
    { ids, subAccountId },
  );
  await run(db, 'update decisions set facts = null where message_id = any(:ids) and facts is not null', {
    ids,
  });
  await run(
    db,
    `update events set data = (data - 'bodies_cut') || :message::jsonb || jsonb_build_object('erased_at', ${timestamp('now()')})
      where object_id = any(:ids)`,
    { ids, message: jsonText(emptied.message) },
  );
  // A click's own link stands beside the send.
  await run(db, `update events set data = (data - 'url') || :send::jsonb where object_id = any(:ids)`, {
    ids: messages.flatMap(({ sendId }) => sendId ?? []),
    send: jsonText(emptied.send),
  });
  await run(
    db,
    `update idempotency_keys set body = body || jsonb_build_object(
        'message', (body -> 'message') || :message::jsonb, 'send', (body -> 'send') || :send::jsonb)
      where message_id = any(:ids)`,
    { ids, message: jsonText(emptied.message), send: jsonText(emptied.send) },
  );
  const [now] = await rows<{ erasedAt: string }>(db, `select ${timestamp('now()')} as "erasedAt"`);
  if (now === undefined) throw new Error('a select without a from clause gave no row');
  return now;
}

/** What is left in a thread, as far as the thread goes by it. */
export type Remainder = {
  threadId: ThreadId;
  /** Of each message, the oldest first: everybody on it, its subject, its own names and the ids that it cites. */
  messages: { people: { address: string }[]; subject: string; keys: string[]; cites: string[] }[];
};

/** What is left in threads out of which messages were deleted. One without any message is not there. */
export function readRemainders(db: Db, ids: readonly ThreadId[]): Promise<Remainder[]> {
  return rows<Remainder>(
    db,
    `select m.thread_id as "threadId", json_agg(json_build_object(
              'people', m.sender || m.recipients_to || m.recipients_cc, 'subject', m.subject,
              'keys', array(select k.key from message_keys k where k.message_id = m.id),
              'cites', m.in_reply_to || m.reference_ids) order by m.date, m.id) as messages
       from messages m where m.thread_id = any(:ids) group by m.thread_id`,
    { ids },
  );
}

/**
 * Makes threads go by what is left in them: the ids and the people that only erased messages named are
 * forgotten, and so is a subject. Keys that are no Message-IDs stay.
 */
export async function narrowThreads(
  db: Db,
  threads: readonly { id: ThreadId; subject: string; own: string[]; cited: string[]; people: string[] }[],
): Promise<void> {
  if (threads.length === 0) return;
  await run(
    db,
    // By the ids as well: a join alone was planned as a reading of all that there is up to the thread.
    `with kept as materialized (
       select * from json_to_recordset(:threads::json) as t(id text, subject text, own text[], cited text[], people text[])
     ), forgotten as (
       delete from thread_keys k using kept
        where k.thread_id = any(:ids) and k.thread_id = kept.id and k.kind in ('message', 'referenced')
          and k.key <> all(kept.own) and k.key <> all(kept.cited)
     ), cited as (
       update thread_keys k set kind = 'referenced' from kept
        where k.thread_id = any(:ids) and k.thread_id = kept.id and k.kind = 'message' and k.key <> all(kept.own) and k.key = any(kept.cited)
     ), left_alone as (
       delete from thread_participants p using kept
        where p.thread_id = any(:ids) and p.thread_id = kept.id and p.canonical <> all(kept.people)
     ), told as (
       update events e set data = e.data || jsonb_build_object('subject', kept.subject) from kept
        where e.object_id = any(:ids) and e.object_id = kept.id and e.data ->> 'subject' <> kept.subject
     )
     update threads t set subject = kept.subject, updated_at = now() from kept where t.id = any(:ids) and t.id = kept.id`,
    { threads: jsonText(threads), ids: threads.map(({ id }) => id) },
  );
}

/** Deletes threads that hold nothing any more, and what events told of their subject. */
export async function deleteThreads(db: Db, ids: readonly ThreadId[]): Promise<void> {
  await run(db, 'delete from threads where id = any(:ids)', { ids });
  await run(db, `update events set data = data || '{"subject": ""}' where object_id = any(:ids)`, { ids });
}

/** The conversations in which threads show, in the order of their ids, locked until the transaction ends. */
export async function lockConversationsOf(db: Db, ids: readonly ThreadId[]): Promise<ConversationId[]> {
  const found = await rows<{ id: ConversationId }>(
    db,
    `select id from conversations where id = any(array(
       select conversation_id from conversation_threads where thread_id = any(:ids)))
      order by id for no key update`,
    { ids },
  );
  return found.map(({ id }) => id);
}

/**
 * SQL: the newest date (at) in a thread, where a message of tomorrow counts as one of the day when it was stored. By
 * the index: only those are read that are dated after the last one that was stored no sooner than it is dated.
 */
const newestIn = (threadId: string) => `
  select max(least(date, created_at)) as at from messages
   where thread_id = ${threadId} and date >= coalesce((
     select date from messages where thread_id = ${threadId} and date <= created_at
      order by date desc, id desc limit 1), '-infinity')`;

/**
 * Dates conversations, which the caller has locked, by what is left in them, where `erasedTo` may have been their date
 * or may be it now: the date of the newest message that was erased, or, of one that is dated anew, the later of its two.
 * Null: nothing is left.
 */
export async function redateConversations(
  db: Db,
  ids: readonly ConversationId[],
  erasedTo: string,
): Promise<{ id: ConversationId; subAccountId: string; date: string | null }[]> {
  return rows(
    db,
    `update conversations c set updated_at = now(), last_message_at = case
        when c.last_message_at > :erasedTo::timestamptz then c.last_message_at
        else (select max(n.at) from conversation_threads t cross join lateral (${newestIn('t.thread_id')}) n
               where t.conversation_id = c.id) end
      where c.id = any(:ids)
     returning c.id, c.sub_account_id as "subAccountId", c.last_message_at::text as date`,
    { ids, erasedTo },
  );
}

/** Deletes those of the conversations that show no thread any more. */
export async function deleteEmptyConversations(db: Db, ids: readonly ConversationId[]): Promise<void> {
  await run(
    db,
    `delete from conversations c where c.id = any(:ids)
        and not exists (select from conversation_threads t where t.conversation_id = c.id)`,
    { ids },
  );
}
