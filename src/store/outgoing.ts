import type { ConnectionState } from '../provider/connection-states.ts';
import type { MailboxLimits, ProviderName } from '../provider/providers.ts';
import type { ConnectionId, MailboxId, MessageId, ThreadId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';

/** What the database holds about a message that the CRM wants to send. */
export type OutgoingFacts = {
  /** The user, when they are a member of the sub-account. */
  user: { id: string; name: string } | null;
  /** The user's active connection, when it has a mailbox. */
  connection: OutgoingConnection | null;
  /** The sub-account's own way to send. */
  provider: { from: string } | null;
  /** Own form: every address of the user, and the connected mailbox's. */
  ownAddresses: string[];
  /** The contact that the call names, with its addresses as written, the main one first. */
  contact: { id: string; name: string; addresses: string[]; canonical: string[] } | null;
  /** Contact's form: those of the asked addresses that are a contact's. */
  contactAddresses: string[];
  /** The message that it answers. */
  parent: ParentFacts | null;
};

export type OutgoingConnection = {
  id: ConnectionId;
  provider: ProviderName;
  state: ConnectionState;
  mailboxId: MailboxId;
  address: string;
  /** Own form: other addresses of the user, of which mail was seen in the mailbox's Sent folder (D4). */
  aliases: string[];
  /** What was said of the limits of the mailbox (L4). */
  limitsSaid: Partial<MailboxLimits>;
};

export type ParentFacts = {
  id: MessageId;
  threadId: ThreadId;
  direction: 'inbound' | 'outbound';
  sender: { name: string; address: string };
  to: { name: string; address: string }[];
  subject: string;
  internetMessageId: string | null;
  /** The id under which we sent it; null for what we did not. */
  sentAs: string | null;
  inReplyTo: string[];
  references: string[];
  rawSha256: string | null;
};

/** Everything that routing, recipients and threading of a message look at, in one round trip. */
export async function readOutgoingFacts(
  db: Db,
  asked: {
    subAccountId: string;
    userId: string;
    contactId: string | null;
    /** Contact's form. */
    addresses: readonly string[];
    parentId: string | null;
  },
): Promise<OutgoingFacts> {
  const [facts] = await rows<OutgoingFacts>(db, factsSql, asked);
  if (facts === undefined) throw new Error('a select without a from clause gave no row');
  return facts;
}

const factsSql = `
with connection as materialized (
  select c.id, c.provider, c.state, b.id as mailbox_id, b.address, b.canonical, b.limits, b.state as mailbox_state
    from connections c join mailboxes b on b.id = c.mailbox_id
   where c.sub_account_id = :subAccountId and c.user_id = :userId and c.ended_at is null
)
select
  (select json_build_object('id', u.id, 'name', u.name)
     from memberships m join users u on u.id = m.user_id
    where m.sub_account_id = :subAccountId and m.user_id = :userId) as user,
  (select json_build_object('id', id, 'provider', provider, 'mailboxId', mailbox_id, 'address', address, 'limitsSaid', limits,
          -- Its mailbox may need a person before the connection was told.
          'state', case when mailbox_state = 'reauth_required' and state <> 'paused' then mailbox_state else state end,
          'aliases', array(select canonical from sent_as where mailbox_id = connection.mailbox_id
                           intersect select canonical from user_addresses where user_id = :userId))
     from connection) as connection,
  (select json_build_object('from', provider ->> 'from') from sub_accounts
    where id = :subAccountId and provider is not null) as provider,
  array(select canonical from user_addresses where user_id = :userId union select canonical from connection) as "ownAddresses",
  (select json_build_object('id', c.id, 'name', c.name,
          'addresses', (select coalesce(json_agg(a.address order by a.position), '[]') from contact_addresses a
                         where a.sub_account_id = c.sub_account_id and a.contact_id = c.id),
          'canonical', (select coalesce(json_agg(a.canonical order by a.position), '[]') from contact_addresses a
                         where a.sub_account_id = c.sub_account_id and a.contact_id = c.id))
     from contacts c where c.sub_account_id = :subAccountId and c.id = :contactId) as contact,
  array(select distinct asked from unnest(:addresses::text[]) asked
         where (select true from contact_addresses a
                 where a.sub_account_id = :subAccountId and a.canonical = asked limit 1)) as "contactAddresses",
  (select json_build_object('id', m.id, 'threadId', m.thread_id, 'direction', m.direction, 'sender', m.sender,
          'to', m.recipients_to, 'subject', m.subject, 'internetMessageId', m.internet_message_id,
          'sentAs', s.internet_message_id, 'inReplyTo', m.in_reply_to, 'references', m.reference_ids,
          'rawSha256', m.raw_sha256)
     from messages m left join lateral (select * from sends where message_id = m.id offset 0) s on true
    where m.sub_account_id = :subAccountId and m.id = :parentId) as parent`;
