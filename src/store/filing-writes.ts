import type { ConversationId, FolderId, MailboxId, MessageId, SendId, ThreadId } from '../lib/id.ts';
import { decisionBindings, decisionParts } from './decision-writes.ts';
import type { Cursor, DecisionRow } from './decision-writes.ts';
import type { ThreadKeyKind } from './filing-facts.ts';
import { jsonText as json, rows, run } from './database.ts';
import type { Db } from './database.ts';
import { fillMessages } from './fills.ts';
import type { FillRow } from './fills.ts';
import type { PlaceState } from './places.ts';
import { awaitSentCopies } from './sent-copies.ts';

/** Everything that one filing transaction writes, table by table. Times are RFC 3339 or null. */
export type FilingWrites = {
  threads: { id: ThreadId; sub_account_id: string; subject: string; opened_by: string }[];
  links: { thread_id: ThreadId; mailbox_id: MailboxId; sub_account_id: string }[];
  threadKeys: { sub_account_id: string; key: string; thread_id: ThreadId; kind: ThreadKeyKind }[];
  participants: { thread_id: ThreadId; canonical: string }[];
  messages: MessageRow[];
  /** `first` rows must be new: one that exists already means that another filer was quicker. */
  messageKeys: {
    sub_account_id: string;
    key: string;
    fingerprint: string;
    message_id: MessageId;
    first: boolean;
  }[];
  sightings: {
    sub_account_id: string;
    folder_id: FolderId;
    uid_validity: number;
    uid: number;
    message_id: MessageId;
    mailbox_id: MailboxId;
    is_read: boolean;
    state: PlaceState;
  }[];
  attachments: AttachmentRow[];
  /** The rest of messages of which only the header was stored (L1). */
  fills: FillRow[];
  conversations: { id: ConversationId; sub_account_id: string; contact_id: string }[];
  conversationThreads: { conversation_id: ConversationId; thread_id: ThreadId }[];
  /** D4: addresses from which the person has written, in own form, by the mailbox in whose Sent that stands. */
  sentAs: { mailbox_id: MailboxId; canonical: string }[];
  decisions: DecisionRow[];
};

/** A row of messages as it is first written. */
export type MessageRow = {
  id: MessageId;
  sub_account_id: string;
  thread_id: ThreadId;
  direction: 'inbound' | 'outbound';
  kind: 'individual' | 'bulk' | 'workflow';
  via: string[];
  user_id: string;
  sender: { name: string; address: string };
  recipients_to: { name: string; address: string }[];
  recipients_cc: { name: string; address: string }[];
  recipients_bcc: { name: string; address: string }[];
  subject: string;
  date: string;
  received_at: string;
  internet_message_id: string | null;
  in_reply_to: string[];
  reference_ids: string[];
  body_text: string;
  body_html: string | null;
  reply_text: string;
  automatic: string | null;
  partial: string | null;
  is_read: boolean;
  mailbox_state: PlaceState;
  /** Why only its header is stored (L1); null: all of it is. */
  omitted: string | null;
  raw_sha256: string | null;
  raw_size: number;
};

export type AttachmentRow = {
  sub_account_id: string;
  message_id: MessageId;
  n: number;
  name: string;
  type: string;
  size: number;
  content_id: string | null;
  inline: boolean;
  sha256: string | null;
  omitted: string | null;
};

/** Another transaction stored the same message, or made the same conversation, a moment ago: look again. */
export class FiledMeanwhile extends Error {}

/** In one order, since two folders of a mailbox may be filed at once. */
async function noteSentAs(db: Db, sentAs: FilingWrites['sentAs']): Promise<void> {
  await run(
    db,
    `insert into sent_as (mailbox_id, canonical)
     select distinct mailbox_id, canonical from json_to_recordset(:sentAs::json) as t(mailbox_id text, canonical text)
      order by 1, 2
     on conflict do nothing`,
    { sentAs: json(sentAs) },
  );
}

/** An empty set of writes. */
export function noWrites(): FilingWrites {
  return {
    threads: [],
    links: [],
    threadKeys: [],
    participants: [],
    messages: [],
    messageKeys: [],
    sightings: [],
    attachments: [],
    fills: [],
    conversations: [],
    conversationThreads: [],
    sentAs: [],
    decisions: [],
  };
}

/**
 * Writes all of it in one statement. Foreign keys are checked when a statement ends, so the order
 * of the parts does not matter; of the rows that two filers may both want, one does, lest each wait for
 * the other. Throws FiledMeanwhile, with nothing kept once the caller's
 * transaction rolls back, when a unique index shows that this work was done by somebody else. `cursor` is
 * where the folder stands then; null: it is no folder's mail.
 */
export async function writeFiling(db: Db, writes: FilingWrites, cursor: Cursor | null): Promise<void> {
  if (writes.fills.length > 0 && !(await fillMessages(db, writes.fills)))
    throw new FiledMeanwhile('a message was filled, or erased, by another transaction');
  if (writes.sentAs.length > 0) await noteSentAs(db, writes.sentAs);
  const decided = decisionBindings(writes.decisions, cursor);
  const { messages, sightings, links, messageKeys, attachments, conversationThreads } = writes;
  const isMore = [messages, sightings, links, messageKeys, attachments, conversationThreads].some(
    ({ length }) => length > 0,
  );
  if (!isMore) {
    await run(db, `with ${decisionParts} select`, decided);
    return;
  }
  const [made] = await rows<{ keys: string; conversations: string }>(db, messagesSql, {
    ...decided,
    threads: json(writes.threads),
    links: json(writes.links),
    threadKeys: json(writes.threadKeys),
    participants: json(writes.participants),
    messages: json(writes.messages),
    messageKeys: json(writes.messageKeys),
    sightings: json(writes.sightings),
    attachments: json(writes.attachments),
    conversations: json(writes.conversations),
    conversationThreads: json(writes.conversationThreads),
  });
  const first = writes.messageKeys.filter((row) => row.first).length;
  if (Number(made?.keys) !== first || Number(made?.conversations) !== writes.conversations.length) {
    throw new FiledMeanwhile('the same message or conversation was filed by another transaction');
  }
}

const messagesSql = `
with ${decisionParts}, thread as (
  insert into threads (id, sub_account_id, subject, opened_by)
  select id, sub_account_id, subject, opened_by
    from json_to_recordset(:threads::json) as t(id text, sub_account_id text, subject text, opened_by text)
), link as (
  insert into thread_links (thread_id, mailbox_id, sub_account_id, state)
  select thread_id, mailbox_id, sub_account_id, 'live'
    from json_to_recordset(:links::json) as t(thread_id text, mailbox_id text, sub_account_id text)
   order by thread_id
  on conflict (thread_id, mailbox_id) do update set state = 'live', reason = null, since = now()
    where thread_links.state <> 'live'
), thread_key as (
  insert into thread_keys (sub_account_id, key, thread_id, kind)
  select sub_account_id, key, thread_id, kind
    from json_to_recordset(:threadKeys::json) as t(sub_account_id text, key text, thread_id text, kind text)
   order by sub_account_id, key, thread_id
  on conflict (sub_account_id, key, thread_id) do update set kind = excluded.kind
    where excluded.kind = 'message' and thread_keys.kind <> 'message'
), participant as (
  insert into thread_participants (thread_id, canonical)
  select thread_id, canonical from json_to_recordset(:participants::json) as t(thread_id text, canonical text)
   order by thread_id, canonical
  on conflict do nothing
), message as (
  insert into messages (id, sub_account_id, thread_id, direction, kind, via, user_id, sender, recipients_to,
                        recipients_cc, recipients_bcc, subject, date, received_at, internet_message_id,
                        in_reply_to, reference_ids, body_text, body_html, reply_text, automatic, partial,
                        is_read, mailbox_state, omitted, raw_sha256, raw_size)
  select id, sub_account_id, thread_id, direction, kind, via, user_id, sender, recipients_to, recipients_cc,
         recipients_bcc, subject, date, received_at, internet_message_id, in_reply_to, reference_ids, body_text,
         body_html, reply_text, automatic, partial, is_read, mailbox_state, omitted, raw_sha256, raw_size
    from json_to_recordset(:messages::json) as t(
         id text, sub_account_id text, thread_id text, direction text, kind text, via text[], user_id text,
         sender jsonb, recipients_to jsonb, recipients_cc jsonb, recipients_bcc jsonb, subject text,
         date timestamptz, received_at timestamptz, internet_message_id text, in_reply_to text[],
         reference_ids text[], body_text text, body_html text, reply_text text, automatic text, partial text,
         is_read boolean, mailbox_state text, omitted text, raw_sha256 text, raw_size bigint)
), wanted as (
  select * from json_to_recordset(:messageKeys::json) as t(
    sub_account_id text, key text, fingerprint text, message_id text, first boolean)
), message_key as (
  insert into message_keys (sub_account_id, key, fingerprint, message_id)
  select sub_account_id, key, fingerprint, message_id from wanted order by sub_account_id, key, fingerprint
  on conflict do nothing
  returning sub_account_id, key, fingerprint
), sighting as (
  insert into sightings (sub_account_id, folder_id, uid_validity, uid, message_id, mailbox_id, is_read, state)
  select sub_account_id, folder_id, uid_validity, uid, message_id, mailbox_id, is_read, state
    from json_to_recordset(:sightings::json) as t(
         sub_account_id text, folder_id text, uid_validity bigint, uid bigint, message_id text, mailbox_id text,
         is_read boolean, state text)
  on conflict do nothing
), attachment as (
  insert into attachments (sub_account_id, message_id, n, name, type, size, content_id, inline, sha256, omitted)
  select sub_account_id, message_id, n, name, type, size, content_id, inline, sha256, omitted
    from json_to_recordset(:attachments::json) as t(
         sub_account_id text, message_id text, n integer, name text, type text, size bigint, content_id text,
         inline boolean, sha256 text, omitted text)
), conversation as (
  insert into conversations (id, sub_account_id, contact_id)
  select id, sub_account_id, contact_id
    from json_to_recordset(:conversations::json) as t(id text, sub_account_id text, contact_id text)
   order by sub_account_id, contact_id
  on conflict (sub_account_id, contact_id) do nothing
  returning id
), shown as (
  insert into conversation_threads (conversation_id, thread_id)
  -- A conversation that another transaction made first, or that is gone with its contact, breaks the reference.
  select conversation_id, thread_id
    from json_to_recordset(:conversationThreads::json) as t(conversation_id text, thread_id text)
  on conflict do nothing
)
select (select count(*) from message_key k join wanted w using (sub_account_id, key, fingerprint) where w.first) as keys,
       (select count(*) from conversation) as conversations`;

/** The same message seen again by the mailbox: what that teaches about the stored one. */
export type Recognised = {
  message_id: MessageId;
  internet_message_id: string | null;
  /** Of its header; RFC 3339. */
  date: string | null;
  /** The send that this sighting confirms. */
  send_id: SendId | null;
  /** It is in Sent: the provider saves copies there. One that somebody sent to themselves is in the inbox. */
  in_sent: boolean;
};

/** `dated`: threads of messages whose date is another now; none of their dates was, or is, later than `datedTo`. */
export type Changed = { messages: MessageId[]; sends: SendId[]; dated: ThreadId[]; datedTo: string | null };

/**
 * Notes that the mailbox itself has the message: adds `mailbox` to its ways, takes over a rewritten
 * Message-ID, confirms the send. Answers which messages, and which sends, this changed; conversations
 * are not dated anew by it.
 */
export async function recogniseMessages(db: Db, recognised: readonly Recognised[]): Promise<Changed> {
  const nothing = { messages: [], sends: [], dated: [], datedTo: null };
  if (recognised.length === 0) return nothing;
  const [changed] = await rows<Changed>(
    db,
    `with seen as materialized (
       select distinct on (message_id) * from json_to_recordset(:recognised::json) as t(
         message_id text, internet_message_id text, date timestamptz, send_id text, in_sent boolean)
        order by message_id, send_id nulls last, in_sent desc
     ), locked as materialized (
       -- As they are now: whoever has one on its way may end it meanwhile, with recipients who are tried on.
       select s.* from sends s where s.id in (select send_id from seen) order by s.id for no key update
     ), sent as (
       update sends s set copy_seen_at = now(), uncertain_at = null, ready = next.ready,
              lease_owner = case when next.ready then s.lease_owner end,
              lease_until = case when next.ready then s.lease_until end,
              -- Recipients who were put off are tried on; whoever has it on its way says when.
              due_at = case when next.ready and s.state in ('queued', 'held', 'uncertain') then now() else s.due_at end,
              state = case when s.state = 'bounced' then s.state else 'sent' end,
              state_reason = case when s.state in ('sent', 'bounced') then s.state_reason end,
              state_since = case when s.state in ('sent', 'bounced') then s.state_since else now() end
         from locked old join seen on old.id = seen.send_id
        cross join lateral (select case when old.state in ('sent', 'bounced') then old.ready
                                        else old.refused @> '[{"state": "deferred"}]' end as ready) next
        -- Also one that waits to be tried again: its copy came later than it was looked for.
        where s.id = old.id and s.copy_seen_at is null and s.state in ('queued', 'held', 'sending', 'uncertain', 'sent', 'bounced')
       returning s.id, s.message_id, s.mailbox_id, old.state as was, seen.in_sent
     ), learned as (
       update mailboxes set saves_sent_copy = true
        where saves_sent_copy is distinct from true
          -- A copy that the gateway put there, or may have, says nothing about the host.
          and id in (select mailbox_id from sent
                      where in_sent and not exists (select from sent_copies c where c.id = sent.id and c.begun_at is not null))
     ), message as (
       update messages m set updated_at = now(),
              via = case when 'mailbox' = any(m.via) then m.via else m.via || 'mailbox'::text end,
              -- What was forwarded inline had neither an id nor, for certain, a zone and seconds.
              date = case when m.internet_message_id is null and m.direction = 'inbound' then coalesce(seen.date, m.date)
                          else m.date end,
              internet_message_id = case when seen.send_id is null or seen.was_confirmed
                                         then coalesce(m.internet_message_id, seen.internet_message_id)
                                         else coalesce(seen.internet_message_id, m.internet_message_id) end
         from (select seen.*, s.copy_seen_at is not null as was_confirmed, old.at as was
                 from seen left join sends s on s.id = seen.send_id
                 join lateral (select least(date, created_at) as at from messages where id = seen.message_id offset 0) old on true) seen
        where m.id = seen.message_id
          and (not 'mailbox' = any(m.via)
               or (seen.send_id is not null and not seen.was_confirmed and seen.internet_message_id is distinct from m.internet_message_id
                   and seen.internet_message_id is not null))
       returning m.id, m.thread_id, case when least(m.date, m.created_at) <> seen.was then greatest(seen.was, least(m.date, m.created_at)) end as dated_to
     )
     select (select max(dated_to)::text from message) as "datedTo",
            array(select thread_id from message where dated_to is not null) as dated,
            coalesce((select json_agg(id) from (select id from message union select message_id from sent where was not in ('sent', 'bounced')) c), '[]') as messages,
            coalesce((select json_agg(id) from sent where was not in ('sent', 'bounced')), '[]') as sends`,
    { recognised: json(recognised) },
  );
  // A mail to oneself in the inbox is no copy in Sent (U1).
  await awaitSentCopies(db, changed?.sends ?? []);
  return changed ?? nothing;
}

/**
 * Notes that messages came to a logging address, with the tags that were on it (B1). Answers which of them this
 * changed. Throws FiledMeanwhile where one of them is gone: its second copy may add no row that would refer to it.
 */
export async function noteLogged(
  db: Db,
  logged: readonly { message_id: MessageId; tags: string[] }[],
): Promise<MessageId[]> {
  if (logged.length === 0) return [];
  const ids = [...new Set(logged.map((each) => each.message_id))];
  const there = await run(db, 'select from messages where id = any(:ids) order by id for key share', { ids });
  if (there < ids.length) throw new FiledMeanwhile('a message that was logged again was erased');
  const changed = await rows<{ id: MessageId }>(
    db,
    `update messages m set updated_at = now(),
            via = case when 'logging_address' = any(m.via) then m.via else m.via || 'logging_address'::text end,
            logging_tags = m.logging_tags || array(select tag from unnest(l.tags) tag where tag <> all(m.logging_tags))
       from (select t.message_id, array_remove(array_agg(distinct tag), null) as tags
               from json_to_recordset(:logged::json) as t(message_id text, tags text[])
               left join lateral unnest(t.tags) tag on true group by t.message_id) l
      where m.id = l.message_id and (not 'logging_address' = any(m.via) or not m.logging_tags @> l.tags)
     returning m.id`,
    { logged: json(logged) },
  );
  return changed.map(({ id }) => id);
}

/**
 * Marks conversations as changed, and keeps them locked, in the order of their ids, until the transaction
 * ends. A message of tomorrow (a wrong clock's, or one that is to be sent then) counts as one of today.
 * `shown`: threads that a conversation shows from now on, with what is in them already.
 */
export async function touchConversations(
  db: Db,
  touched: readonly { id: ConversationId; date: string }[],
  shown: FilingWrites['conversationThreads'],
): Promise<void> {
  if (touched.length === 0) return;
  await run(
    db,
    // One by one, and in arrays: joins were planned as readings of every conversation there is (see rowsById).
    `with wanted as materialized (
       select id, max(date) as date
         from (select id, date from json_to_recordset(:touched::json) as t(id text, date timestamptz)
               union all
               select s.conversation_id, m.date
                 from json_to_recordset(:shown::json) as s(conversation_id text, thread_id text)
                cross join lateral (
                  select max(least(date, created_at)) as date from messages where thread_id = s.thread_id offset 0) m) w
        group by id),
     locked as materialized (
       select c.id, w.date from (select id, date from wanted order by id collate "C") w
        cross join lateral (select id from conversations where id = w.id for no key update) c),
     listed as materialized (select array_agg(id) as ids, array_agg(date) as dates from locked)
     update conversations c
        set updated_at = now(),
            last_message_at = greatest(c.last_message_at, least(l.dates[array_position(l.ids, c.id)], now()))
       from listed l where c.id = any(l.ids)`,
    { touched: json(touched), shown: json(shown) },
  );
}

/** To which sub-accounts messages and sends belong. */
export async function subAccountsOf(
  db: Db,
  of: { messages: readonly MessageId[]; sends: readonly SendId[] },
): Promise<{ kind: 'message' | 'send'; id: string; sub_account_id: string }[]> {
  return rows(
    db,
    `select 'message' as kind, id, sub_account_id from messages where id = any(:messages)
     union all select 'send', id, sub_account_id from sends where id = any(:sends)`,
    of,
  );
}
