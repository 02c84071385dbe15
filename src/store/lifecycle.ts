import { canonicalOwnAddress } from '../message/addresses.ts';
import type { ConnectionState } from '../provider/connection-states.ts';
import type { ProviderName } from '../provider/providers.ts';
import { newId } from '../lib/id.ts';
import type { ConnectionId, MailboxId, ThreadId } from '../lib/id.ts';
import { readConnections } from './connections.ts';
import type { PublicConnection } from './connections.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import { recordEvents } from './events.ts';
import type { NewEvent } from './events.ts';
import type { Mailbox } from './mailboxes.ts';
import { readThreads } from './public-conversation.ts';

/** A connection that is not ended, as the lifecycle sees it. */
export type ActiveConnection = {
  id: ConnectionId;
  /** Null while a permission or an administrator's consent is missing. */
  mailboxId: MailboxId | null;
  address: string | null;
  identityKey: string | null;
  state: ConnectionState;
};

/** The active connection of a user in a sub-account, locked for the rest of the transaction. */
export async function lockActiveConnection(
  db: Db,
  of: { subAccountId: string; userId: string },
): Promise<ActiveConnection | null> {
  const [row] = await rows<ActiveConnection>(
    db,
    `select c.id, c.mailbox_id as "mailboxId", m.address, m.identity_key as "identityKey", c.state
       from connections c left join mailboxes m on m.id = c.mailbox_id
      where c.sub_account_id = :subAccountId and c.user_id = :userId and c.ended_at is null
        for update of c`,
    of,
  );
  return row ?? null;
}

/** What a proven login brings with it. */
export type ProvenMailbox = {
  provider: ProviderName;
  /** From the identity token, or the address that a password was proven for; as written. */
  address: string;
  login: string;
  identityKey: string | null;
  servers: Mailbox['servers'];
  credentialKind: 'oauth' | 'password';
  scopes: string[];
};

/**
 * The mailbox of this address, made where there is none (C4: one, however many sub-accounts). Its row
 * is locked; `fresh` says that nobody is connected to it now, so that its sync starts anew.
 */
export async function upsertMailbox(
  db: Db,
  proven: ProvenMailbox,
): Promise<{ id: MailboxId; fresh: boolean }> {
  const [row] = await rows<{ id: MailboxId }>(
    db,
    `insert into mailboxes (id, provider, address, canonical, login, identity_key, servers, credential_kind, scopes, state)
     values (:id, :provider, :address, :canonical, :login, :identityKey, :servers::jsonb, :credentialKind, :scopes, 'connecting')
     on conflict (canonical) do update set
       provider = excluded.provider, address = excluded.address, login = excluded.login,
       identity_key = excluded.identity_key, servers = excluded.servers,
       credential_kind = excluded.credential_kind, scopes = excluded.scopes,
       state = case when mailboxes.state = 'live' then 'live' else 'connecting' end,
       state_reason = null, next_try_at = null, updated_at = now()
     returning id`,
    {
      ...proven,
      id: newId('mbx'),
      canonical: canonicalOwnAddress(proven.address),
      servers: proven.servers === null ? null : jsonText(proven.servers),
    },
  );
  if (row === undefined) throw new Error('the mailbox was not written');
  const active = await rows(
    db,
    'select 1 from connections where mailbox_id = :id and ended_at is null limit 1',
    row,
  );
  if (active.length === 0) {
    // Connecting again starts from then (C7): what arrived in between is not looked for.
    await run(
      db,
      `update mailboxes set state = 'connecting', caught_up_to = null, backlog = 0 where id = :id`,
      row,
    );
    await run(db, 'update folders set uid_validity = null, cursor_uid = 0 where mailbox_id = :id', row);
  }
  return { id: row.id, fresh: active.length === 0 };
}

/** Stores a sealed credential; the newest consent wins (C4), and no older refresh overwrites it. */
export async function saveCredential(
  db: Db,
  mailboxId: MailboxId,
  sealed: { credential: string; accessToken: string | null; accessTokenExpiresAt: number | null },
): Promise<void> {
  await run(
    db,
    `update mailboxes set credential_sealed = :credential, access_token_sealed = :accessToken,
            access_token_expires_at = :expiresAt::timestamptz, token_version = token_version + 1,
            refresh_lease_owner = null, refresh_lease_until = null
      where id = :mailboxId`,
    {
      mailboxId,
      credential: sealed.credential,
      accessToken: sealed.accessToken,
      expiresAt: sealed.accessTokenExpiresAt === null ? null : new Date(sealed.accessTokenExpiresAt),
    },
  );
}

/** Links a user to a mailbox: a new connection, or the one that waited for a permission. Tells the CRM. */
export async function openConnection(
  db: Db,
  link: {
    subAccountId: string;
    userId: string;
    mailboxId: MailboxId;
    provider: ProviderName;
    waiting: ConnectionId | null;
  },
): Promise<ConnectionId> {
  const id = link.waiting ?? newId('con');
  await run(
    db,
    `insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state)
     select :id, :subAccountId, :userId, :mailboxId, :provider, m.state from mailboxes m where m.id = :mailboxId
     on conflict (id) do update set mailbox_id = excluded.mailbox_id, provider = excluded.provider,
       state = excluded.state, state_reason = null, state_since = now(), started_at = now()`,
    { ...link, id },
  );
  await run(
    db,
    `insert into user_addresses (user_id, kind, canonical) select :userId, 'mailbox', canonical from mailboxes where id = :mailboxId
     on conflict do nothing`,
    link,
  );
  await tell(db, link.waiting === null ? 'connection.created' : 'connection.state_changed', [id]);
  return id;
}

/** A connection that waits for an administrator, or for a permission that was unticked (C1). One event. */
export async function openWaitingConnection(
  db: Db,
  link: {
    subAccountId: string;
    userId: string;
    provider: ProviderName;
    state: 'admin_consent_required' | 'permission_missing';
    reason: string | null;
    waiting: ConnectionId | null;
  },
): Promise<ConnectionId> {
  const id = link.waiting ?? newId('con');
  const changed = await run(
    db,
    `insert into connections (id, sub_account_id, user_id, provider, state, state_reason)
     values (:id, :subAccountId, :userId, :provider, :state, :reason)
     on conflict (id) do update set provider = excluded.provider, state = excluded.state,
       state_reason = excluded.state_reason, state_since = now()
      where (connections.state, connections.state_reason) is distinct from (excluded.state, excluded.state_reason)`,
    { ...link, id },
  );
  if (changed > 0)
    await tell(db, link.waiting === null ? 'connection.created' : 'connection.state_changed', [id]);
  return id;
}

/** What ending a connection left to do outside the database. */
export type Ended = {
  /** The mailbox, when nobody is connected to it any more: its sealed credential, erased here already. */
  orphan: {
    mailboxId: MailboxId;
    provider: ProviderName;
    credentialKind: string | null;
    credentialSealed: string | null;
  } | null;
};

/**
 * Ends a connection (C6, C7) in one step: its threads are unlinked in its mailbox, and the credential
 * is erased when it was the mailbox's last. What is stored stays. The mailbox's row is locked first,
 * so that no filing transaction of it is under way.
 */
export async function endConnection(
  db: Db,
  connectionId: ConnectionId,
  as: 'disconnected' | 'superseded',
): Promise<Ended> {
  const [connection] = await rows<{ mailbox_id: MailboxId | null; sub_account_id: string }>(
    db,
    'select mailbox_id, sub_account_id from connections where id = :connectionId and ended_at is null for update',
    { connectionId },
  );
  if (connection === undefined) return { orphan: null };
  const mailboxId = connection.mailbox_id;
  await run(db, 'select from mailboxes where id = :mailboxId for update', { mailboxId });
  await run(
    db,
    `update connections set state = :as, state_reason = null, state_since = now(), next_try_at = null, ended_at = now()
      where id = :connectionId`,
    { connectionId, as },
  );
  if (mailboxId !== null)
    await unlinkThreads(db, { mailboxId, subAccountId: connection.sub_account_id, reason: as });
  await tell(db, `connection.${as}`, [connectionId]);
  return { orphan: mailboxId === null ? null : await eraseCredentialIfLast(db, mailboxId) };
}

async function unlinkThreads(
  db: Db,
  of: { mailboxId: MailboxId; subAccountId: string; reason: string },
): Promise<void> {
  const unlinked = await rows<{ thread_id: ThreadId }>(
    db,
    `update thread_links set state = 'unlinked', reason = :reason, since = now()
      where mailbox_id = :mailboxId and sub_account_id = :subAccountId and state = 'live'
        and not exists (select from connections c where c.mailbox_id = :mailboxId
                          and c.sub_account_id = :subAccountId and c.ended_at is null)
     returning thread_id`,
    of,
  );
  const threads = await readThreads(
    db,
    of.subAccountId,
    unlinked.map((row) => row.thread_id),
  );
  await recordEvents(
    db,
    threads.map((thread) => ({
      type: 'thread.unlinked',
      sub_account_id: of.subAccountId,
      order_keys: thread.conversation_ids.length > 0 ? thread.conversation_ids : [thread.id],
      data: thread,
    })),
  );
}

async function eraseCredentialIfLast(db: Db, mailboxId: MailboxId): Promise<Ended['orphan']> {
  const [orphan] = await rows<NonNullable<Ended['orphan']>>(
    db,
    `update mailboxes m set credential_sealed = null, access_token_sealed = null, access_token_expires_at = null,
            token_version = m.token_version + 1, backlog = 0, next_try_at = null
       from mailboxes old
      where old.id = m.id and m.id = :mailboxId
        and not exists (select from connections c where c.mailbox_id = m.id and c.ended_at is null)
     returning m.id as "mailboxId", m.provider, old.credential_kind as "credentialKind", old.credential_sealed as "credentialSealed"`,
    { mailboxId },
  );
  return orphan ?? null;
}

async function tell(db: Db, type: NewEvent['type'], ids: readonly ConnectionId[]): Promise<void> {
  const connections: PublicConnection[] = await readConnections(db, ids);
  await recordEvents(
    db,
    connections.map((connection) => ({
      type,
      sub_account_id: connection.sub_account_id,
      order_keys: [connection.id],
      data: connection,
    })),
  );
}
