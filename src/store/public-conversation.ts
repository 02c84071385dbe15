import type { ConversationId, MailboxId, ThreadId } from '../lib/id.ts';
import { changedAt } from './changed-messages.ts';
import { rows, rowsById } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** Everything exchanged with one contact in one sub-account, as the API and the events show it. */
export type PublicConversation = {
  id: ConversationId;
  sub_account_id: string;
  contact_id: string;
  /** Date of its newest message; null while it has none. */
  last_message_at: string | null;
  created_at: string;
  updated_at: string;
};

/** An e-mail thread, as the API and the events show it. */
export type PublicThread = {
  id: ThreadId;
  sub_account_id: string;
  /** Subject of the message that opened it. */
  subject: string;
  /** The rule that opened it, as a reason code. */
  opened_by: string;
  /** Whether its next messages sync, in at least one mailbox. */
  state: 'live' | 'unlinked';
  /** Why it was unlinked; null while it is live. */
  reason: string | null;
  /** The mailbox in which it lives, or lived last; null for one that never touched a mailbox. */
  mailbox: { id: MailboxId; address: string } | null;
  conversation_ids: ConversationId[];
  created_at: string;
  /** When a message of it came or changed, or it became live or unlinked in a mailbox. */
  updated_at: string;
};

/** Conversation `c` as it is shown, in SQL. */
export const conversationObject = `json_build_object(
  'id', c.id, 'sub_account_id', c.sub_account_id, 'contact_id', c.contact_id,
  'last_message_at', ${timestamp('c.last_message_at')},
  'created_at', ${timestamp('c.created_at')}, 'updated_at', ${timestamp('c.updated_at')})`;

/** Conversations by id, in no order; another sub-account's are left out. */
export async function readConversations(
  db: Db,
  subAccountId: string,
  ids: readonly ConversationId[],
): Promise<PublicConversation[]> {
  const found = await rows<{ conversation: PublicConversation }>(
    db,
    `select ${conversationObject} as conversation from ${rowsById('conversations')} c
      where c.sub_account_id = :subAccountId`,
    { subAccountId, ids },
  );
  return found.map((row) => row.conversation);
}

/** The conversations with a message of a user's mailbox: by its threads first, and each by its id (see rowsById). */
const ofUser = `(
  select c.* from (
    select distinct t.conversation_id as id
      from (select distinct thread_id from messages
             where sub_account_id = :subAccountId and user_id = :userId offset 0) m
     cross join lateral (select conversation_id from conversation_threads where thread_id = m.thread_id offset 0) t
    offset 0) named
   cross join lateral (select * from conversations where id = named.id offset 0) c)`;

/** Conversations of a sub-account, the last changed first; `after` is the last one of the page before. */
export async function listConversations(
  db: Db,
  subAccountId: string,
  filter: { contactId: string | null; userId: string | null; updatedAfter: string | null },
  page: { after: { updatedAt: string; id: string } | null; limit: number },
): Promise<PublicConversation[]> {
  const { contactId, userId, updatedAfter } = filter;
  const { after, limit } = page;
  const found = await rows<{ conversation: PublicConversation }>(
    db,
    `select ${conversationObject} as conversation from ${userId === null ? 'conversations' : ofUser} c
      where c.sub_account_id = :subAccountId
        ${contactId === null ? '' : 'and c.contact_id = :contactId'}
        ${updatedAfter === null ? '' : 'and c.updated_at > :updatedAfter'}
        ${after === null ? '' : 'and (c.updated_at, c.id) < (:afterTime, :afterId)'}
      order by c.updated_at desc, c.id desc limit :limit`,
    { subAccountId, ...filter, afterTime: after?.updatedAt ?? null, afterId: after?.id ?? null, limit },
  );
  return found.map((row) => row.conversation);
}

/** Threads by id, in no order; another sub-account's are left out. */
export async function readThreads(
  db: Db,
  subAccountId: string,
  ids: readonly ThreadId[],
): Promise<PublicThread[]> {
  const found = await rows<{ thread: PublicThread }>(
    db,
    `select json_build_object(
        'id', t.id, 'sub_account_id', t.sub_account_id, 'subject', t.subject, 'opened_by', t.opened_by,
        'state', coalesce(l.state, 'unlinked'), 'reason', l.reason,
        'mailbox', case when l.mailbox_id is not null then json_build_object('id', l.mailbox_id, 'address', l.address) end,
        'conversation_ids', (select coalesce(json_agg(ct.conversation_id order by ct.conversation_id), '[]')
                               from conversation_threads ct where ct.thread_id = t.id),
        'created_at', ${timestamp('t.created_at')}, 'updated_at', ${timestamp(
          // The messages' and links' own: a column of the thread would have two filers lock threads in opposite orders.
          `greatest(t.updated_at, (select max(${changedAt('m')}) from messages m where m.thread_id = t.id),
                    (select max(k.since) from thread_links k where k.thread_id = t.id))`,
        )}) as thread
       from ${rowsById('threads')} t
       left join lateral (
         select k.state, k.reason, k.mailbox_id, m.address from thread_links k join mailboxes m on m.id = k.mailbox_id
          where k.thread_id = t.id order by (k.state = 'live') desc, k.since desc limit 1) l on true
      where t.sub_account_id = :subAccountId`,
    { subAccountId, ids },
  );
  return found.map((row) => row.thread);
}
