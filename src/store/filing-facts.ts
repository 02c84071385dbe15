import type {
  ConnectionId,
  ConversationId,
  FolderId,
  MailboxId,
  MessageId,
  SendId,
  ThreadId,
} from '../lib/id.ts';
import type { MailboxLimits, ProviderName } from '../provider/providers.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/** An active connection of a mailbox, with what the rules need of it. */
export type FilingConnection = {
  id: ConnectionId;
  subAccountId: string;
  userId: string;
  provider: ProviderName;
  /** ms since the epoch. */
  startedAt: number;
  /** Nothing is decided for it; it shares the mailbox all the same (S8, S9). */
  paused: boolean;
  settings: unknown;
  /** What was said of the limits of the mailbox (L4). */
  limitsSaid: Partial<MailboxLimits>;
  /** Of the mailbox: another one when contacts were claimed for it meanwhile (S9). */
  claimsVersion: number;
  /** Of the sub-account and of the user: other ones when a never-log list was put meanwhile (S15). */
  neverLogVersions: [number, number];
  /** Something was erased in the sub-account (C7): what comes is looked for among it. */
  hasErased: boolean;
  /** Own form; of who has no mailbox, empty. */
  mailboxAddress: string;
  /** Own form: the mailbox's address and every address of the user. */
  ownAddresses: string[];
};

/** Where a folder stands, and for whom its mail is judged. */
export type FilingPosition = {
  uidValidity: number | null;
  cursorUid: number;
  connections: FilingConnection[];
};

/**
 * Locks the folder's row against a second filer, and the mailbox's row against disconnects and
 * consents, for the rest of the transaction; null when the folder is gone, or at a host that the mailbox has left.
 */
export async function lockPosition(db: Db, folderId: FolderId): Promise<FilingPosition | null> {
  const [row] = await rows<{ uid_validity: string | null; cursor_uid: string; mailbox_id: MailboxId }>(
    db,
    `select f.uid_validity, f.cursor_uid, f.mailbox_id from folders f join mailboxes m on m.id = f.mailbox_id
      where f.id = :folderId and f.left_at is null for no key update of f for key share of m`,
    { folderId },
  );
  if (row === undefined) return null;
  // A statement of its own: one that waited for a lock still sees what was true before it waited.
  return positionOf({ ...row, connections: await readFilingConnections(db, row.mailbox_id) });
}

/** Where a folder stands at this moment; null as for lockPosition. */
export async function readPosition(db: Db, folderId: FolderId): Promise<FilingPosition | null> {
  const [row] = await rows<PositionRow>(
    db,
    `select f.uid_validity, f.cursor_uid, ${connectionsOf('f.mailbox_id')} as connections
       from folders f where f.id = :folderId and f.left_at is null`,
    { folderId },
  );
  return row === undefined ? null : positionOf(row);
}

type PositionRow = { uid_validity: string | null; cursor_uid: string; connections: FilingConnection[] };

function positionOf(row: PositionRow): FilingPosition {
  return {
    uidValidity: row.uid_validity === null ? null : Number(row.uid_validity),
    cursorUid: Number(row.cursor_uid),
    connections: row.connections,
  };
}

/** The active connections of a mailbox. */
export async function readFilingConnections(db: Db, mailboxId: MailboxId): Promise<FilingConnection[]> {
  const [found] = await rows<{ connections: FilingConnection[] }>(
    db,
    `select ${connectionsOf(':mailboxId')} as connections`,
    { mailboxId },
  );
  return found?.connections ?? [];
}

/** A member who logs mail, and their connection if they have one. */
export type LoggingParty = {
  /** Of one without a connection, that of nobody: see `nowhere`. */
  connection: FilingConnection;
  mailboxId: MailboxId | null;
};

/** Stands for the connection and the mailbox of a member who has none. */
export const nowhere = { connectionId: 'con_none', mailboxId: 'mbx_none' } as const;

/**
 * A member of a sub-account as their logged mail is judged, null when they are none; locked for the rest of the
 * transaction, and as lockPosition does the mailbox that they had when it was looked up: of another one, nothing is.
 */
export async function lockLoggingParty(
  db: Db,
  member: { subAccountId: string; userId: string },
  mailboxId: MailboxId | null,
): Promise<LoggingParty | null> {
  await run(
    db,
    `select from memberships where sub_account_id = :subAccountId and user_id = :userId for key share`,
    member,
  );
  if (mailboxId !== null)
    await run(db, 'select from mailboxes where id = :mailboxId for key share', { mailboxId });
  // A statement of its own: one that waited for a lock still sees what was true before it waited.
  return readLoggingParty(db, member);
}

/** The same as they are at this moment. */
export async function readLoggingParty(
  db: Db,
  member: { subAccountId: string; userId: string },
): Promise<LoggingParty | null> {
  const [row] = await rows<LoggingParty>(db, loggingPartySql, { ...member, ...nowhere });
  return row ?? null;
}

const loggingPartySql = `
select json_build_object(
    'id', coalesce(c.id, :connectionId), 'subAccountId', b.sub_account_id, 'userId', b.user_id,
    'provider', coalesce(c.provider, 'imap'), 'startedAt', 0, 'paused', false, 'settings', s.settings,
    'limitsSaid', coalesce(m.limits, '{}'),
    'claimsVersion', coalesce(m.claims_version, 0),
    'neverLogVersions', json_build_array(s.never_log_version, p.never_log_version),
    'hasErased', exists (select from tombstones t where t.sub_account_id = s.id),
    'mailboxAddress', coalesce(m.canonical, ''),
    'ownAddresses', array(select canonical from user_addresses u where u.user_id = b.user_id
                          union select m.canonical where m.canonical is not null order by 1)) as connection,
    c.mailbox_id as "mailboxId"
  from memberships b
  join sub_accounts s on s.id = b.sub_account_id
  join users p on p.id = b.user_id
  left join connections c on c.sub_account_id = b.sub_account_id and c.user_id = b.user_id and c.ended_at is null
   and c.mailbox_id is not null
  left join mailboxes m on m.id = c.mailbox_id
 where b.sub_account_id = :subAccountId and b.user_id = :userId`;

/** SQL: asked from the addresses, of which there are few; of a large sub-account all members were read. */
const usersAddresses = `
  select m.sub_account_id as sub, u.canonical from user_addresses u
   cross join lateral (
     select sub_account_id from memberships
      where user_id = u.user_id and sub_account_id = any(:subAccountIds) offset 0) m
   where u.canonical = any(:ownAddresses)`;

/** Addresses in own form that are users' of a sub-account, of those asked for. */
export async function findUserAddresses(
  db: Db,
  subAccountId: string,
  ownAddresses: readonly string[],
): Promise<Set<string>> {
  const found = await rows<{ canonical: string }>(db, `select canonical from (${usersAddresses}) u`, {
    subAccountIds: [subAccountId],
    ownAddresses,
  });
  return new Set(found.map(({ canonical }) => canonical));
}

/** The active connections of a mailbox as a JSON list, each time in the same order. */
const connectionsOf = (mailboxId: string) => `
(select coalesce(json_agg(l.connection order by l.id), '[]') from (
   ${selectConnection} where c.mailbox_id = ${mailboxId} and c.ended_at is null) l)`;

const selectConnection = `
select json_build_object(
    'id', c.id, 'subAccountId', c.sub_account_id, 'userId', c.user_id, 'provider', c.provider,
    'startedAt', floor(extract(epoch from c.started_at) * 1000), 'paused', c.state = 'paused',
    'settings', s.settings, 'limitsSaid', m.limits,
    'claimsVersion', m.claims_version,
    'neverLogVersions', json_build_array(s.never_log_version, p.never_log_version),
    'hasErased', exists (select from tombstones t where t.sub_account_id = s.id),
    'mailboxAddress', m.canonical,
    'ownAddresses', array(select m.canonical union
                          select canonical from user_addresses u where u.user_id = c.user_id
                          order by 1)) as connection, c.id
  from connections c
  join sub_accounts s on s.id = c.sub_account_id
  join users p on p.id = c.user_id
  join mailboxes m on m.id = c.mailbox_id`;

/** What a batch of sightings names: everything that the facts are looked up by. */
export type FactKeys = {
  mailboxId: MailboxId;
  subAccountIds: string[];
  userIds: string[];
  /** Contact's form. */
  addresses: string[];
  /** Own form. */
  ownAddresses: string[];
  /** Canonical addresses and `@domain`s. */
  neverLogPatterns: string[];
  messageKeys: string[];
  threadKeys: string[];
  /** Threads wanted besides those that the keys name. */
  threadIds: ThreadId[];
  fingerprints: string[];
  /** By what an erased message would be known again: of one sighting after the other, several for each. */
  tombstones: { uid: number; hash: string; ofSent: boolean }[];
};

export type ThreadKeyKind = 'message' | 'referenced' | 'gmail' | 'thread_index';

/** A message that the CRM sent, whichever way it took, with its envelope as written. */
export type SentMail = { sendId: SendId; from: string; to: string[] };

/** Why a thread does not sync any more in a mailbox. */
export type UnlinkedReason = 'superseded' | 'disconnected' | 'claimed_elsewhere';

/** What the database holds about the keys, for all sub-accounts at once. Lists, not maps: see filing/gather.ts. */
export type FactRows = {
  users: { sub: string; canonical: string }[];
  contacts: {
    sub: string;
    canonical: string;
    id: string;
    assigned: string | null;
    conversation: ConversationId | null;
  }[];
  /** Who has claimed a contact for the mailbox (S9), among the sub-accounts. */
  claims: { sub: string; canonical: string }[];
  neverLog: { sub: string | null; usr: string | null; pattern: string }[];
  messages: {
    sub: string;
    key: string;
    fingerprint: string;
    message: MessageId;
    thread: ThreadId;
    here: boolean;
    send: SendId | null;
    omitted: boolean;
    /** Null: the CRM did not send it. */
    sent: SentMail | null;
  }[];
  erased: { sub: string; uid: number; message: MessageId; ofSent: boolean }[];
  unconfirmed: {
    sub: string;
    fingerprint: string;
    message: MessageId;
    thread: ThreadId;
    send: SendId;
    sent: SentMail;
  }[];
  threadKeys: { sub: string; key: string; kind: ThreadKeyKind; thread: ThreadId }[];
  threads: {
    sub: string;
    thread: ThreadId;
    subject: string;
    link: 'live' | 'unlinked' | null;
    reason: UnlinkedReason | null;
    crm_sent: boolean;
    participants: string[] | null;
    conversations: { id: ConversationId; contact: string }[] | null;
  }[];
};

/** One round trip for a whole batch: each list comes back as JSON. */
export async function readFactRows(db: Db, keys: FactKeys): Promise<FactRows> {
  const { tombstones, ...named } = keys;
  const [row] = await rows<FactRows>(db, factsSql, {
    ...named,
    erasedUids: tombstones.map(({ uid }) => uid),
    erasedHashes: tombstones.map(({ hash }) => hash),
    erasedOfSent: tombstones.map(({ ofSent }) => ofSent),
  });
  if (row === undefined) throw new Error('a select without a from clause gave no row');
  return row;
}

/** Whether whoever has made claim c still has a contact of that address; otherwise nobody would get its mail. */
export const hasItsContact = `exists (
  select from contact_addresses a where a.sub_account_id = c.sub_account_id and a.canonical = c.contact_canonical)`;

const list = (select: string) => `(select coalesce(json_agg(l), '[]') from (${select}) l)`;

/** The rows of a table for each sub-account and key, looked up pair by pair: see `rowsById`. */
const lookUp = (table: string, column: string, keys: string) => `
  unnest(:subAccountIds::text[]) as of_sub (id) cross join unnest(${keys}::text[]) as asked (key)
  cross join lateral (select * from ${table} r where r.sub_account_id = of_sub.id and r.${column} = asked.key offset 0)`;

const sentMail = (id: string, envelope: string) =>
  `json_build_object('sendId', ${id}, 'from', ${envelope} -> 'from', 'to', ${envelope} -> 'to')`;

/**
 * The sends of the mailbox that look like what was seen, and of which a copy may show up that was not seen: the first one,
 * or that of a try for recipients who were put off. Each fingerprint by itself: thousands may wait to be sent.
 */
const unconfirmed = `(
  select s.* from (select distinct unnest(:fingerprints::text[]) as fingerprint) asked
   cross join lateral (
     select * from sends where mailbox_id = :mailboxId and fingerprint = asked.fingerprint
        and (copy_seen_at is null or refused <> '[]') offset 0) s)`;

const factsSql = `
with named as materialized (
  select k.sub_account_id, k.key, k.kind, k.thread_id from ${lookUp('thread_keys', 'key', ':threadKeys')} k
), found as materialized (
  select k.sub_account_id, k.key, k.fingerprint, k.message_id, m.thread_id, m.omitted is not null as omitted, s.id as send_id,
         s.mailbox_id, s.envelope
    from ${lookUp('message_keys', 'key', ':messageKeys')} k
    cross join lateral (select id, thread_id, omitted from messages where id = k.message_id offset 0) m
    left join lateral (select * from sends where message_id = m.id offset 0) s on true
)
select ${list(usersAddresses)} as users,
${list(`
  select a.sub_account_id as sub, a.canonical, c.id, c.assigned_user_id as assigned, v.id as conversation
    from ${lookUp('contact_addresses', 'canonical', ':addresses')} a
   cross join lateral (
     select * from contacts where sub_account_id = a.sub_account_id and id = a.contact_id offset 0) c
    left join lateral (
     select id from conversations where sub_account_id = c.sub_account_id and contact_id = c.id offset 0) v on true
   order by c.id`)} as contacts,
${list(`
  select c.sub_account_id as sub, c.contact_canonical as canonical from claims c
   where c.mailbox_id = :mailboxId and c.contact_canonical = any(:addresses)
     and c.sub_account_id = any(:subAccountIds) and ${hasItsContact}`)} as claims,
${list(`
  select sub_account_id as sub, user_id as usr, pattern from never_log
   where pattern = any(:neverLogPatterns)
     and (sub_account_id = any(:subAccountIds) or user_id = any(:userIds))`)} as "neverLog",
${list(`
  select f.sub_account_id as sub, f.key, f.fingerprint, f.message_id as message, f.thread_id as thread,
         (coalesce(f.mailbox_id = :mailboxId, false) or exists (
            select from sightings s where s.message_id = f.message_id and s.mailbox_id = :mailboxId)) as here,
         case when f.mailbox_id = :mailboxId then f.send_id end as send, f.omitted,
         case when f.send_id is not null then ${sentMail('f.send_id', 'f.envelope')} end as sent
    from found f`)} as messages,
${list(`
  select of_sub.id as sub, asked.uid, t.message_id as message, asked.of_sent as "ofSent"
    from unnest(:subAccountIds::text[]) as of_sub (id)
   cross join unnest(:erasedUids::bigint[], :erasedHashes::text[], :erasedOfSent::boolean[]) as asked (uid, hash, of_sent)
   cross join lateral (
     select message_id from tombstones where sub_account_id = of_sub.id and hash = decode(asked.hash, 'hex') offset 0) t
   -- Of several, the one that counts whichever way the mail went.
   order by asked.of_sent desc`)} as erased,
${list(`
  select s.sub_account_id as sub, s.fingerprint, s.message_id as message, m.thread_id as thread, s.id as send,
         ${sentMail('s.id', 's.envelope')} as sent
    from ${unconfirmed} s cross join lateral (select thread_id from messages where id = s.message_id offset 0) m
   -- Whose end is known was tried, also where its tries are past, and dropped (see partitions.ts).
   where s.state in ('sent', 'bounced', 'uncertain') or exists (select from send_attempts t where t.send_id = s.id)
   order by s.copy_seen_at is not null, s.seq`)} as unconfirmed,
${list(`select sub_account_id as sub, key, kind, thread_id as thread from named order by thread_id`)} as "threadKeys",
${list(`
  select t.sub_account_id as sub, t.id as thread, t.subject, l.state as link, l.reason,
         exists (select from (select id from messages where thread_id = t.id and kind = 'individual' offset 0) m
                  cross join lateral (
                    select from sends where message_id = m.id and mailbox_id = :mailboxId offset 0) s) as crm_sent,
         (select json_agg(p.canonical) from thread_participants p where p.thread_id = t.id) as participants,
         (select json_agg(json_build_object('id', v.id, 'contact', v.contact_id))
            from conversation_threads ct
           cross join lateral (select id, contact_id from conversations where id = ct.conversation_id offset 0) v
           where ct.thread_id = t.id) as conversations
    from (select unnest(:threadIds::text[]) as id union select thread_id from named union select thread_id from found
          union select m.thread_id from ${unconfirmed} s
            cross join lateral (select thread_id from messages where id = s.message_id offset 0) m) asked
    cross join lateral (select * from threads where id = asked.id offset 0) t
    left join lateral (
      select * from thread_links where thread_id = t.id and mailbox_id = :mailboxId offset 0) l on true`)} as threads`;
