import type { ConversationId, FolderId, MailboxId, MessageId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';

/*
 * Which messages an erasure is about, some at a time. What was erased is found no more, so that the same
 * question names the next ones.
 */

/** Messages that one erasing transaction takes. */
export const erasedAtOnce = 50;

/** SQL: messages m of those threads (c) of conversation v, thread by thread: in an order, all would be read for each portion. */
const messagesOf = (threads: string) => `
  cross join lateral (
    select c.thread_id from conversation_threads c where c.conversation_id = v.id and ${threads} offset 0) t
  cross join lateral (
    select id from messages where thread_id = t.thread_id order by date, id limit ${erasedAtOnce}) m`;

/** Everything that a conversation shows. */
export function findOfConversation(
  db: Db,
  subAccountId: string,
  conversationId: ConversationId,
): Promise<MessageId[]> {
  return idsOf(
    db,
    `select m.id from conversations v ${messagesOf('true')}
      where v.id = :conversationId and v.sub_account_id = :subAccountId limit ${erasedAtOnce}`,
    { subAccountId, conversationId },
  );
}

/** What the conversation of a contact shows, and no other contact's. */
export function findOfContact(db: Db, subAccountId: string, contactId: string): Promise<MessageId[]> {
  return idsOf(
    db,
    `select m.id from conversations v ${messagesOf(`not exists (
         select from conversation_threads o where o.thread_id = c.thread_id and o.conversation_id <> v.id)`)}
      where v.sub_account_id = :subAccountId and v.contact_id = :contactId limit ${erasedAtOnce}`,
    { subAccountId, contactId },
  );
}

/** Where a message was seen; the first of a folder is behind UID 0. */
export type SeenPlace = { folderId: FolderId; uidValidity: string; uid: string };

/**
 * What a mailbox brought into a sub-account, place by place after `after` (null: from the first one): nothing that another
 * mailbox brought, too, and nothing that the CRM sent or somebody logged. What was seen in two places is there twice.
 */
export async function findOfMailbox(
  db: Db,
  of: { subAccountId: string; mailboxId: MailboxId; after: SeenPlace | null },
): Promise<(SeenPlace & { id: MessageId })[]> {
  return rows<SeenPlace & { id: MessageId }>(
    db,
    `select s.message_id as id, s.folder_id as "folderId", s.uid_validity as "uidValidity", s.uid
       from (select id from folders where mailbox_id = :mailboxId and id >= :folderId order by id offset 0) f
      cross join lateral (
        select * from sightings
         where folder_id = f.id and (uid_validity, uid) > (
               case when f.id = :folderId then :uidValidity::bigint else 0 end, case when f.id = :folderId then :uid::bigint else 0 end)
         order by uid_validity, uid offset 0) s
      cross join lateral (select via from messages where id = s.message_id offset 0) m
      where s.sub_account_id = :subAccountId and m.via = '{mailbox}'
        and not exists (
          select from (select mailbox_id from sightings where message_id = s.message_id offset 0) o
           where o.mailbox_id <> :mailboxId)
      limit ${erasedAtOnce}`,
    {
      subAccountId: of.subAccountId,
      mailboxId: of.mailboxId,
      ...(of.after ?? { folderId: '', uidValidity: '0', uid: '0' }),
    },
  );
}

async function idsOf(db: Db, sql: string, bindings: Record<string, string>): Promise<MessageId[]> {
  return (await rows<{ id: MessageId }>(db, sql, bindings)).map(({ id }) => id);
}
