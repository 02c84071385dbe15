import type { ConnectionState } from '../provider/connection-states.ts';
import type { MailboxLimits, ProviderName } from '../provider/providers.ts';
import type { ConnectionId, ConversationId, MailboxId, MessageId, ThreadId } from '../lib/id.ts';
import { inOneGo, rows, run } from './database.ts';
import type { Db } from './database.ts';
import type { ThreadKeyKind } from './filing-facts.ts';

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

/** A call to send a message, as far as its facts are looked up by it. */
export type AskedFacts = {
  subAccountId: string;
  userId: string;
  contactId: string | null;
  /** Contact's form. */
  addresses: readonly string[];
  parentId: string | null;
};

/** Everything that routing, recipients and threading of messages look at, in the order of the calls, in one round trip. */
export async function readOutgoingFacts(db: Db, asked: readonly AskedFacts[]): Promise<OutgoingFacts[]> {
  const listed = asked.map(({ subAccountId, userId, contactId, addresses, parentId }, n) => ({
    n,
    sub: subAccountId,
    usr: userId,
    contact: contactId,
    addresses,
    parent: parentId,
  }));
  return rows<OutgoingFacts>(db, factsSql, { asked: JSON.stringify(listed) });
}

const factsSql = `
select
  (select json_build_object('id', u.id, 'name', u.name)
     from memberships m join users u on u.id = m.user_id
    where m.sub_account_id = a.sub and m.user_id = a.usr) as user,
  case when c.id is not null then
    json_build_object('id', c.id, 'provider', c.provider, 'mailboxId', c.mailbox_id, 'address', c.address, 'limitsSaid', c.limits,
          -- Its mailbox may need a person before the connection was told.
          'state', case when c.mailbox_state = 'reauth_required' and c.state <> 'paused' then c.mailbox_state else c.state end,
          'aliases', array(select canonical from sent_as where mailbox_id = c.mailbox_id
                           intersect select canonical from user_addresses where user_id = a.usr)) end as connection,
  (select json_build_object('from', provider ->> 'from') from sub_accounts
    where id = a.sub and provider is not null) as provider,
  array(select canonical from user_addresses where user_id = a.usr
        union select c.canonical where c.canonical is not null) as "ownAddresses",
  (select json_build_object('id', k.id, 'name', k.name,
          'addresses', (select coalesce(json_agg(d.address order by d.position), '[]') from contact_addresses d
                         where d.sub_account_id = k.sub_account_id and d.contact_id = k.id),
          'canonical', (select coalesce(json_agg(d.canonical order by d.position), '[]') from contact_addresses d
                         where d.sub_account_id = k.sub_account_id and d.contact_id = k.id))
     from contacts k where k.sub_account_id = a.sub and k.id = a.contact) as contact,
  array(select distinct asked from unnest(a.addresses) asked
         where (select true from contact_addresses d
                 where d.sub_account_id = a.sub and d.canonical = asked limit 1)) as "contactAddresses",
  (select json_build_object('id', m.id, 'threadId', m.thread_id, 'direction', m.direction, 'sender', m.sender,
          'to', m.recipients_to, 'subject', m.subject, 'internetMessageId', m.internet_message_id,
          'sentAs', s.internet_message_id, 'inReplyTo', m.in_reply_to, 'references', m.reference_ids,
          'rawSha256', m.raw_sha256)
     from (select * from messages where id = a.parent offset 0) m
     left join lateral (select * from sends where message_id = m.id offset 0) s on true
    where m.sub_account_id = a.sub) as parent
  from json_to_recordset(:asked::json) as a(n integer, sub text, usr text, contact text, addresses text[], parent text)
  left join lateral (
    select c.id, c.provider, c.state, b.id as mailbox_id, b.address, b.canonical, b.limits, b.state as mailbox_state
      from connections c join mailboxes b on b.id = c.mailbox_id
     where c.sub_account_id = a.sub and c.user_id = a.usr and c.ended_at is null offset 0) c on true
 order by a.n`;

/** A message that is about to be filed, as far as it is looked up where it goes. */
export type AskedGround = {
  subAccountId: string;
  userId: string;
  /** What it goes through; null: the sub-account's provider. */
  through: { connectionId: ConnectionId; mailboxId: MailboxId } | null;
  /** Contact's form: those of To and Cc. */
  addresses: readonly string[];
  /** Contacts named in the call. */
  contactIds: readonly string[];
  /** The thread that it answers in. */
  threadId: ThreadId | null;
  threadKeys: readonly string[];
};

/** Where a message goes that is about to be filed. */
export type OutgoingGround = {
  /** The connection that it goes through is active, or its user a member. */
  sends: boolean;
  /** Its mailbox is connected in other sub-accounts, too. */
  shared: boolean;
  contacts: { canonical: string; id: string; conversation: ConversationId | null }[];
  /** The conversations that the named contacts have. */
  named: { contact: string; conversation: ConversationId }[];
  /** Null: it answers in none, or that is gone. */
  thread: {
    /** In its mailbox. */
    link: 'live' | 'unlinked' | null;
    participants: string[];
    conversations: { id: ConversationId; contact: string }[];
    keys: { key: string; kind: ThreadKeyKind }[];
  } | null;
};

/**
 * Holds mailboxes and members as they are until the transaction ends: no connection of theirs begins or ends, and no
 * membership. What is read of them must be read by a later statement: one that waited sees what was true before.
 */
export async function lockSenders(
  db: Db,
  asked: readonly Pick<AskedGround, 'subAccountId' | 'userId' | 'through'>[],
): Promise<void> {
  const members = asked.filter(({ through }) => through === null);
  const mailboxIds = asked.flatMap(({ through }) => through?.mailboxId ?? []);
  const membersHeld = () =>
    run(
      db,
      // One by one: see rowsById.
      `select from (select distinct sub, usr from unnest(:subs::text[], :users::text[]) as t(sub, usr) order by 1, 2) asked
        cross join lateral (
          select from memberships where sub_account_id = asked.sub and user_id = asked.usr for key share) held`,
      { subs: members.map((one) => one.subAccountId), users: members.map((one) => one.userId) },
    );
  const mailboxesHeld = () =>
    run(db, 'select from mailboxes where id = any(:mailboxIds) order by id for key share', { mailboxIds });
  await inOneGo([
    ...(members.length > 0 ? [membersHeld()] : []),
    ...(mailboxIds.length > 0 ? [mailboxesHeld()] : []),
  ]);
}

/** Where messages go, in their order; their senders must be locked. One round trip. */
export async function readOutgoingGrounds(db: Db, asked: readonly AskedGround[]): Promise<OutgoingGround[]> {
  const listed = asked.map(({ subAccountId, userId, through, ...names }, n) => ({
    n,
    sub: subAccountId,
    usr: userId,
    connection: through?.connectionId ?? null,
    mailbox: through?.mailboxId ?? null,
    addresses: names.addresses,
    contacts: names.contactIds,
    thread: names.threadId,
    keys: names.threadKeys,
  }));
  return rows<OutgoingGround>(db, groundSql, { asked: JSON.stringify(listed) });
}

const list = (select: string) => `(select coalesce(json_agg(l), '[]') from (${select}) l)`;

// Each table is looked up row by row: see rowsById.
const groundSql = `
select
  case when a.connection is null
       then exists (select from memberships where sub_account_id = a.sub and user_id = a.usr)
       else exists (select from connections where id = a.connection and ended_at is null) end as sends,
  exists (select from connections where mailbox_id = a.mailbox and ended_at is null and sub_account_id <> a.sub) as shared,
  ${list(`
    select d.canonical, d.contact_id as id, v.id as conversation
      from unnest(a.addresses) asked
     cross join lateral (
       select * from contact_addresses where sub_account_id = a.sub and canonical = asked offset 0) d
      left join lateral (
       select id from conversations where sub_account_id = a.sub and contact_id = d.contact_id offset 0) v on true
     order by d.contact_id`)} as contacts,
  ${list(`
    select asked as contact, v.id as conversation
      from unnest(a.contacts) asked
     cross join lateral (
       select id from conversations where sub_account_id = a.sub and contact_id = asked offset 0) v`)} as named,
  (select json_build_object(
      'link', (select state from thread_links where thread_id = t.id and mailbox_id = a.mailbox),
      'participants', (select coalesce(json_agg(canonical), '[]') from thread_participants where thread_id = t.id),
      'conversations', ${list(`
        select v.id, v.contact_id as contact from conversation_threads ct
         cross join lateral (select id, contact_id from conversations where id = ct.conversation_id offset 0) v
         where ct.thread_id = t.id`)},
      'keys', ${list(`
        select k.key, k.kind from unnest(a.keys) asked
         cross join lateral (
           select * from thread_keys where sub_account_id = a.sub and key = asked and thread_id = t.id offset 0) k`)})
     from (select * from threads where id = a.thread offset 0) t where t.sub_account_id = a.sub) as thread
  from json_to_recordset(:asked::json) as a(n integer, sub text, usr text, connection text, mailbox text,
       addresses text[], contacts text[], thread text, keys text[])
 order by a.n`;
