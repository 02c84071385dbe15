import type { ConversationId, DecisionId, MessageId, SendId, ThreadId } from '../lib/id.ts';
import { firstAnswerOf } from './answers.ts';
import { changedAt } from './changed-messages.ts';
import { rows, rowsById } from './database.ts';
import type { Db } from './database.ts';
import { reportsOf } from './public-send.ts';
import type { SendAnswered, SendRefused, SendReported, SendState } from './public-send.ts';
import { timestamp } from './timestamp.ts';

/** A person as a message names them. */
export type PublicAddress = {
  /** Display name, decoded; empty when there is none. Never trust it as identity. */
  name: string;
  /** As written in the message. */
  address: string;
};

/** An attachment, listed whether or not its content is kept. */
export type PublicAttachment = {
  /** Its number in the message, from 1: …/attachments/{n}. */
  n: number;
  name: string;
  /** MIME type as declared. */
  type: string;
  /** Decoded bytes. */
  size: number;
  /** Shown inside the HTML by its content id. */
  inline: boolean;
  content_id: string | null;
  /** Why there is no content, as an identifier of RULES.md; null when there is. */
  omitted: string | null;
};

/** A message, as the API and the events show it. */
export type PublicMessage = {
  id: MessageId;
  sub_account_id: string;
  /** Seen from the mailbox's owner. */
  direction: 'inbound' | 'outbound';
  kind: 'individual' | 'bulk' | 'workflow';
  /** Each way on which it reached the CRM. */
  via: ('crm' | 'mailbox' | 'logging_address')[];
  /** Whose mailbox it went through. */
  user_id: string | null;
  from: PublicAddress;
  to: PublicAddress[];
  cc: PublicAddress[];
  subject: string;
  /** The message's own date, RFC 3339 UTC. */
  date: string;
  /** When the provider received it. */
  received_at: string;
  text: string;
  /** Sanitised; null when the message has no HTML. Remote images are left in it. */
  html: string | null;
  /** The text without quotes and signature. */
  reply_text: string;
  attachments: PublicAttachment[];
  /** Without angle brackets, as the mailbox knows it now; null when the message has none. */
  internet_message_id: string | null;
  /** Bare ids of the message it answers. */
  in_reply_to: string[];
  /** The message of its thread that it answers; null when it answers none, or none that is here. */
  answers: MessageId | null;
  read: boolean;
  /** Why it is no person's letter; null when it is one. */
  automatic: string | null;
  /** Why the body is not whole (for example `parse_timeout`); null when it is. */
  partial: string | null;
  /** Why there is no more of it than its header, and the decision by which it can be stored all the same; null: it is whole (L1). */
  omitted: { reason: string; decision_id: DecisionId } | null;
  thread_id: ThreadId;
  conversation_ids: ConversationId[];
  /** Where it is in the mailbox now. */
  mailbox_state: 'present' | 'archived' | 'trashed' | 'gone';
  /** What became of a message that the CRM sent; null for the others. */
  send: {
    id: SendId;
    state: SendState;
    reason: string | null;
    refused: SendRefused[];
    reports: SendReported[];
    /** The first answer of a person, and the first of a program. */
    answered: SendAnswered | null;
    auto_replied: SendAnswered | null;
  } | null;
  /** Behind the + of the logging addresses that it came to (B1). */
  logging_tags: string[];
  created_at: string;
  updated_at: string;
};

/** Long bodies are left where they are: what is shown of a message is its text, and its HTML has a page of its own. */
export type MessageHead = Omit<PublicMessage, 'html'> & {
  /** Null: it has no HTML. */
  html: { remote_images: boolean } | null;
};

/** Ids of the conversations in which message `m` is shown, as a JSON list, in SQL. */
const conversationsOf = `(select coalesce(json_agg(ct.conversation_id order by ct.conversation_id), '[]')
    from conversation_threads ct where ct.thread_id = m.thread_id)`;

/** Characters of a text that is shown among others. */
const headTextMax = 100_000;

const messageHeadObject = messageObjectOf({
  text: `left(m.body_text, ${headTextMax})`,
  html: `case when m.body_html is not null then
           json_build_object('remote_images', position('src="http' in m.body_html) > 0) end`,
});

/** Message `m` as it is shown, in SQL. */
export const messageObject = messageObjectOf({ text: 'm.body_text', html: 'm.body_html' });

function messageObjectOf(body: { text: string; html: string }): string {
  return `json_build_object(
  'id', m.id, 'sub_account_id', m.sub_account_id, 'direction', m.direction, 'kind', m.kind, 'via', m.via,
  'user_id', m.user_id, 'from', m.sender, 'to', m.recipients_to, 'cc', m.recipients_cc, 'subject', m.subject,
  'date', ${timestamp('m.date')}, 'received_at', ${timestamp('m.received_at')},
  'text', ${body.text}, 'html', ${body.html}, 'reply_text', m.reply_text,
  'attachments', (select coalesce(json_agg(json_build_object(
      'n', a.n, 'name', a.name, 'type', a.type, 'size', a.size, 'inline', a.inline,
      'content_id', a.content_id, 'omitted', a.omitted) order by a.n), '[]')
    from attachments a where a.message_id = m.id),
  'internet_message_id', m.internet_message_id, 'in_reply_to', m.in_reply_to, 'answers', m.answers, 'read', m.is_read,
  'automatic', m.automatic, 'partial', m.partial,
  'omitted', case when m.omitted is not null then json_build_object('reason', m.omitted, 'decision_id', (
      select d.id from decisions d
        left join sightings g on g.folder_id = d.folder_id and g.uid_validity = d.uid_validity and g.uid = d.uid
             and g.sub_account_id = d.sub_account_id
       where d.message_id = m.id and d.reason = m.omitted and d.replaced_by is null
       order by g.gone_at is null desc, d.id desc limit 1)) end,
  'thread_id', m.thread_id,
  'conversation_ids', ${conversationsOf},
  'mailbox_state', m.mailbox_state,
  'send', (select json_build_object('id', s.id, 'state', s.state, 'reason', s.state_reason, 'refused', s.refused,
      'reports', ${reportsOf('s')},
      'answered', ${firstAnswerOf('m', 'is null')}, 'auto_replied', ${firstAnswerOf('m', 'is not null')})
    from sends s where s.message_id = m.id),
  'logging_tags', m.logging_tags,
  'created_at', ${timestamp('m.created_at')}, 'updated_at', ${timestamp(changedAt('m'))})`;
}

/** Messages by id, in the order of the ids; another sub-account's are left out. */
export async function readMessages(
  db: Db,
  subAccountId: string,
  ids: readonly MessageId[],
): Promise<PublicMessage[]> {
  if (ids.length === 0) return [];
  const found = await rows<{ message: PublicMessage }>(
    db,
    `select ${messageObject} as message
       from ${rowsById('messages')} m
      where m.sub_account_id = :subAccountId
      order by wanted.position`,
    { ids, subAccountId },
  );
  return found.map((row) => row.message);
}

/** Of messages by id, in no order, what the order of their events goes by; another sub-account's are left out. */
export async function readWhereShown(
  db: Db,
  subAccountId: string,
  ids: readonly MessageId[],
): Promise<Pick<PublicMessage, 'id' | 'thread_id' | 'conversation_ids'>[]> {
  if (ids.length === 0) return [];
  return rows(
    db,
    `select m.id, m.thread_id, ${conversationsOf} as conversation_ids
       from ${rowsById('messages')} m
      where m.sub_account_id = :subAccountId`,
    { ids, subAccountId },
  );
}

type ListOf =
  { subAccountId: string; threadId: ThreadId } | { subAccountId: string; conversationId: ConversationId };
type ListPage = { after: { date: string; id: string } | null; limit: number; oldestFirst: boolean };

/** Messages of a thread or of a conversation, by date; `after` is the last one of the page before. */
export function listMessages(db: Db, of: ListOf, page: ListPage): Promise<PublicMessage[]> {
  return listAs<PublicMessage>(db, messageObject, of, page);
}

/** The same without their HTML. */
export function listMessageHeads(db: Db, of: ListOf, page: ListPage): Promise<MessageHead[]> {
  return listAs<MessageHead>(db, messageHeadObject, of, page);
}

async function listAs<Shown>(db: Db, object: string, of: ListOf, page: ListPage): Promise<Shown[]> {
  const [comparison, order] = page.oldestFirst ? ['>', 'asc'] : ['<', 'desc'];
  const side = page.after === null ? '' : `and (date, id) ${comparison} (:afterDate::timestamptz, :afterId)`;
  const first = `order by date ${order}, id ${order} limit`;
  const inThread = (thread: string) =>
    `select date, id from messages where thread_id = ${thread} ${side} ${first}`;
  // A contact may have thousands of messages in each of thousands of threads. What the page begins with is asked of each
  // thread, and the rest only of those whose own first message may be on the page.
  const threads =
    'threadId' in of
      ? '(select :key::text as thread_id)'
      : `(select c.thread_id from conversation_threads c
           cross join lateral (${inThread('c.thread_id')} 1) f
           where c.conversation_id = :key order by f.date ${order}, f.id ${order} limit :limit)`;
  const found = await rows<{ message: Shown }>(
    db,
    `select ${object} as message
       from (select m.* from ${threads} t cross join lateral (${inThread('t.thread_id')} :limit) m ${first} :limit) p
      cross join lateral (select * from messages where id = p.id offset 0) m
      where m.sub_account_id = :subAccountId
      order by m.date ${order}, m.id ${order}`,
    {
      subAccountId: of.subAccountId,
      key: 'threadId' in of ? of.threadId : of.conversationId,
      afterDate: page.after?.date ?? null,
      afterId: page.after?.id ?? null,
      limit: page.limit,
    },
  );
  return found.map((row) => row.message);
}

/** What a frame shows of a message: its HTML, and the pictures in it; null where there is no such message, or no HTML. */
export async function findHtml(
  db: Db,
  id: MessageId,
): Promise<{ subject: string; html: string; pictures: { n: number; content_id: string }[] } | null> {
  const [row] = await rows<{ subject: string; html: string; pictures: { n: number; content_id: string }[] }>(
    db,
    `select m.subject, m.body_html as html, (
              select coalesce(json_agg(json_build_object('n', a.n, 'content_id', a.content_id) order by a.n), '[]')
                from attachments a where a.message_id = m.id and a.content_id is not null and a.sha256 is not null) as pictures
       from messages m where m.id = :id and m.body_html is not null`,
    { id },
  );
  return row ?? null;
}

/** The blob of a message's own bytes, null where they are not kept; null when there is no such message. */
export async function findRawContent(
  db: Db,
  subAccountId: string,
  id: MessageId,
): Promise<{ sha256: string | null; omitted: string } | null> {
  const [row] = await rows<{ sha256: string | null; omitted: string }>(
    db,
    `select m.raw_sha256 as sha256, coalesce(m.omitted, (
              select a.omitted from attachments a where a.message_id = m.id and a.omitted is not null order by a.n limit 1), '') as omitted
       from messages m where m.sub_account_id = :subAccountId and m.id = :id`,
    { subAccountId, id },
  );
  return row ?? null;
}

/** Where the content of an attachment is; null when there is no such attachment. */
export async function findAttachmentContent(
  db: Db,
  subAccountId: string,
  messageId: MessageId,
  n: number,
): Promise<{ sha256: string | null; omitted: string | null; name: string; type: string } | null> {
  const [row] = await rows<{ sha256: string | null; omitted: string | null; name: string; type: string }>(
    db,
    `select a.sha256, a.omitted, a.name, a.type from attachments a join messages m on m.id = a.message_id
      where m.sub_account_id = :subAccountId and m.id = :messageId and a.n = :n`,
    { subAccountId, messageId, n },
  );
  return row ?? null;
}
