import type { ConversationId, MailboxId, MessageId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';

/*
 * Which messages an erasure is about, some at a time. What was erased is found no more, so that the same
 * question names the next ones.
 */

/** Messages that one erasing transaction takes. */
export const erasedAtOnce = 50;

/** Everything that a conversation shows. */
export function findOfConversation(
  db: Db,
  subAccountId: string,
  conversationId: ConversationId,
): Promise<MessageId[]> {
  return idsOf(
    db,
    `select m.id from conversations v
       join conversation_threads t on t.conversation_id = v.id
       join messages m on m.thread_id = t.thread_id
      where v.id = :conversationId and v.sub_account_id = :subAccountId
      order by m.thread_id, m.date, m.id limit ${erasedAtOnce}`,
    { subAccountId, conversationId },
  );
}

/** What the conversation of a contact shows, and no other contact's. */
export function findOfContact(db: Db, subAccountId: string, contactId: string): Promise<MessageId[]> {
  return idsOf(
    db,
    `select m.id from conversations v
       join conversation_threads t on t.conversation_id = v.id
       join messages m on m.thread_id = t.thread_id
      where v.sub_account_id = :subAccountId and v.contact_id = :contactId
        and not exists (select from conversation_threads o
                         where o.thread_id = t.thread_id and o.conversation_id <> v.id)
      order by m.thread_id, m.date, m.id limit ${erasedAtOnce}`,
    { subAccountId, contactId },
  );
}

/**
 * What a mailbox brought into a sub-account, after the message `after`: nothing that another mailbox
 * brought, too, and nothing that the CRM sent or somebody logged.
 */
export function findOfMailbox(
  db: Db,
  of: { subAccountId: string; mailboxId: MailboxId; after: MessageId | '' },
): Promise<MessageId[]> {
  return idsOf(
    db,
    `select m.id from messages m
      where m.sub_account_id = :subAccountId and m.id > :after and m.via = '{mailbox}'
        and exists (select from sightings s where s.message_id = m.id and s.mailbox_id = :mailboxId)
        and not exists (select from sightings s where s.message_id = m.id and s.mailbox_id <> :mailboxId)
      order by m.id limit ${erasedAtOnce}`,
    of,
  );
}

async function idsOf(db: Db, sql: string, bindings: Record<string, string>): Promise<MessageId[]> {
  return (await rows<{ id: MessageId }>(db, sql, bindings)).map(({ id }) => id);
}
