import type { ConnectionState } from '../provider/connection-states.ts';
import type { ProviderName } from '../provider/providers.ts';
import { newId } from '../lib/id.ts';
import type { ConnectionId, MailboxId, ThreadId } from '../lib/id.ts';
import { endClaims } from './claims.ts';
import { readConnections } from './connections.ts';
import type { PublicConnection } from './connections.ts';
import { logStates } from './connection-log.ts';
import { inTransaction, rows, run, wasOvertaken } from './database.ts';
import type { Db } from './database.ts';
import { recordEvents } from './events.ts';
import type { NewEvent } from './events.ts';
import { credentialContext } from './mailboxes.ts';
import { addErrands } from './errands.ts';
import { hurryLeftSends } from './leaving.ts';
import { addRevocation } from './revocations.ts';
import { tellUnlinked } from './unlinked.ts';
import { endAwaitedCopies } from './sent-copies.ts';
import { endWanted } from './wanted.ts';

/** A user in a sub-account. */
export type Member = { subAccountId: string; userId: string };

/** Thrown inside `inLifecycle` when somebody else wrote what was not there a moment ago. */
export class Overtaken extends Error {}

/**
 * Runs what changes who is connected to what, in one transaction. The order of locks is: sub-account,
 * user, membership, mailboxes by id, connections. Filing and leases lock a mailbox and its folders in another order, so
 * that PostgreSQL may end one of two as a deadlock: then all of it runs again.
 */
export async function inLifecycle<T>(db: Db, work: (tx: Db) => Promise<T>): Promise<T> {
  return inTransaction(db, work, (error) => wasOvertaken(error) || error instanceof Overtaken);
}

/** Holds off every other change of what a user is connected to here; false when they are no member. */
export async function lockMembership(db: Db, of: Member): Promise<boolean> {
  // The rows that a connection refers to, before the membership: who deletes one of them takes them first, too.
  await run(db, 'select from sub_accounts where id = :subAccountId for key share', of);
  await run(db, 'select from users where id = :userId for key share', of);
  const found = await rows(
    db,
    'select 1 from memberships where sub_account_id = :subAccountId and user_id = :userId for no key update',
    of,
  );
  return found.length > 0;
}

/** Whose connections: of a sub-account, of a user, or of both together. */
export type Whose = { subAccountId?: string; userId?: string };

/** Holds off everybody who connects one of them, for the transaction that is going to delete the row. */
export async function lockWhose(db: Db, { subAccountId, userId }: Whose): Promise<void> {
  if (subAccountId !== undefined && userId !== undefined) await lockMembership(db, { subAccountId, userId });
  else if (userId !== undefined) await run(db, 'select from users where id = :userId for update', { userId });
  else await run(db, 'select from sub_accounts where id = :subAccountId for update', { subAccountId });
}

/** A connection that is not ended, as the lifecycle sees it. */
export type ActiveConnection = {
  id: ConnectionId;
  provider: ProviderName;
  /** Null while a permission or an administrator's consent is missing. */
  mailboxId: MailboxId | null;
  address: string | null;
  state: ConnectionState;
};

/** The active connection of a user in a sub-account. Stays as it is while the membership is locked. */
export async function findActiveConnection(db: Db, of: Member): Promise<ActiveConnection | null> {
  const [row] = await rows<ActiveConnection>(
    db,
    `select c.id, c.provider, c.mailbox_id as "mailboxId", m.address, c.state
       from connections c left join mailboxes m on m.id = c.mailbox_id
      where c.sub_account_id = :subAccountId and c.user_id = :userId and c.ended_at is null`,
    of,
  );
  return row ?? null;
}

/** Those whose connections are to be ended. */
export async function findActiveMembers(db: Db, which: Whose): Promise<Member[]> {
  return rows<Member>(
    db,
    `select sub_account_id as "subAccountId", user_id as "userId" from connections
      where ended_at is null ${which.subAccountId === undefined ? '' : 'and sub_account_id = :subAccountId'}
        ${which.userId === undefined ? '' : 'and user_id = :userId'} order by id`,
    { subAccountId: which.subAccountId ?? null, userId: which.userId ?? null },
  );
}

/** Links a user to a mailbox: a new connection, or the one that waited for a permission. Tells the CRM. */
export async function openConnection(
  db: Db,
  link: Member & { mailboxId: MailboxId; provider: ProviderName; waiting: ConnectionId | null },
): Promise<ConnectionId> {
  const id = link.waiting ?? newId('con');
  await run(
    db,
    `insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state, state_reason, next_try_at)
     select :id, :subAccountId, :userId, :mailboxId, :provider, m.state, m.state_reason, m.next_try_at
       from mailboxes m where m.id = :mailboxId
     on conflict (id) do update set mailbox_id = excluded.mailbox_id, provider = excluded.provider,
       state = excluded.state, state_reason = excluded.state_reason, next_try_at = excluded.next_try_at,
       state_since = now(), started_at = now()`,
    { ...link, id },
  );
  await countAddressAsUsers(db, link.mailboxId);
  await tell(db, link.waiting === null ? 'connection.created' : 'connection.state_changed', [id]);
  return id;
}

/** A connection goes on with a new credential: a mailbox that waited for one is tried again at once. */
export async function renewConnection(
  db: Db,
  renewed: { mailboxId: MailboxId; provider: ProviderName; connectionId: ConnectionId },
): Promise<void> {
  await run(db, 'update connections set provider = :provider where id = :connectionId', renewed);
  await countAddressAsUsers(db, renewed.mailboxId);
}

/**
 * S7: the address of a mailbox counts as its users' from then on, also after they disconnect.
 *
 * Also an address that was typed for an IMAP mailbox, which no token proves (C2): RULES.md counts what a user connected.
 * Left out, mail among colleagues would get into the CRM, from which nobody takes it back. Counted, somebody may hide a
 * customer's mail by typing that address; every such mail has its decision (`counterpart_is_user`), and is in its mailbox still.
 */
async function countAddressAsUsers(db: Db, mailboxId: MailboxId): Promise<void> {
  await run(
    db,
    `insert into user_addresses (user_id, kind, canonical)
     select c.user_id, 'mailbox', m.canonical from connections c join mailboxes m on m.id = c.mailbox_id
      where m.id = :mailboxId and c.ended_at is null
     on conflict do nothing`,
    { mailboxId },
  );
}

/** A connection that waits for an administrator, or for a permission that was unticked (C1). One event. */
export async function openWaitingConnection(
  db: Db,
  link: Member & {
    provider: ProviderName;
    state: 'admin_consent_required' | 'permission_missing';
    reason: string | null;
    /** The active connection, when there is one. */
    active: Pick<ActiveConnection, 'id' | 'state'> | null;
  },
): Promise<ConnectionId> {
  const { active, ...values } = link;
  const id = active?.id ?? newId('con');
  await run(
    db,
    `insert into connections (id, sub_account_id, user_id, provider, state, state_reason)
     values (:id, :subAccountId, :userId, :provider, :state, :reason)
     on conflict (id) do update set provider = excluded.provider, state = excluded.state,
       state_reason = excluded.state_reason, next_try_at = null,
       state_since = case when connections.state = excluded.state then connections.state_since else now() end`,
    { ...values, id },
  );
  if (active === null) await tell(db, 'connection.created', [id]);
  else if (active.state !== link.state) await tell(db, 'connection.state_changed', [id]);
  return id;
}

/**
 * Ends a connection (C6, C7) in one step: its threads are unlinked in its mailbox, and when it was the
 * mailbox's last, the credential is erased and its grant left to be revoked. What waits to be sent through it fails within
 * seconds. What is stored stays. The mailbox's row is locked before
 * the connection's, so that no filing transaction of it is under way.
 */
export async function endConnection(
  db: Db,
  connectionId: ConnectionId,
  as: 'disconnected' | 'superseded',
): Promise<void> {
  await run(
    db,
    'select from mailboxes where id = (select mailbox_id from connections where id = :connectionId) for update',
    { connectionId },
  );
  const [ended] = await rows<{ mailboxId: MailboxId | null; subAccountId: string }>(
    db,
    `update connections set state = :as, state_reason = null, state_since = now(), next_try_at = null, ended_at = now()
      where id = :connectionId and ended_at is null
     returning mailbox_id as "mailboxId", sub_account_id as "subAccountId"`,
    { connectionId, as },
  );
  if (ended === undefined) return;
  const { mailboxId, subAccountId } = ended;
  if (mailboxId !== null) {
    await unlinkThreads(db, { mailboxId, subAccountId, reason: as });
    await endClaims(db, { mailboxId, subAccountId });
    await endWanted(db, { mailboxId, subAccountId });
    await endAwaitedCopies(db, { mailboxId, subAccountId });
    await hurryLeftSends(db, connectionId);
  }
  await tell(db, `connection.${as}`, [connectionId]);
  if (mailboxId !== null) await eraseCredentialIfLast(db, mailboxId);
}

/**
 * Stops an active connection for a while (C5): nothing is decided for it until it is resumed, and nothing that it
 * has is given up. False when it has ended, or waits for a person before it begins.
 */
export async function pauseConnection(db: Db, connectionId: ConnectionId): Promise<boolean> {
  const mailboxId = await lockMailboxOf(db, connectionId);
  if (mailboxId === null) return false;
  const paused = await run(
    db,
    // An outage that was not caught up yet is behind the pause, too.
    `update connections c set state = 'paused', state_reason = null, state_since = now(), next_try_at = null,
            paused_from = least(now(), coalesce(m.caught_up_to, c.started_at))
       from mailboxes m
      where m.id = c.mailbox_id and c.id = :connectionId and c.ended_at is null and c.state <> 'paused'`,
    { connectionId },
  );
  if (paused > 0) await tell(db, 'connection.state_changed', [connectionId]);
  return true;
}

/**
 * Lets a paused connection go on, and leaves what came meanwhile to be judged: other connections of the mailbox may
 * have moved its cursors. False when it has ended; one that is not paused stays as it is.
 */
export async function resumeConnection(db: Db, connectionId: ConnectionId): Promise<boolean> {
  const mailboxId = await lockMailboxOf(db, connectionId);
  if (mailboxId === null) return false;
  const [resumed] = await rows<{ sub: string; since: number }>(
    db,
    `with mailbox as (
       -- Nobody has listened to it, if they were all paused.
       update mailboxes m set state = 'connecting', state_reason = null, next_try_at = null, state_since = now()
        where id = :mailboxId and state <> 'reauth_required' and not exists (
          select from connections c where c.mailbox_id = m.id and c.ended_at is null and c.state <> 'paused')
       returning *
     ), now as (
       select state, state_reason, next_try_at from mailbox
       union all select state, state_reason, next_try_at from mailboxes where id = :mailboxId limit 1
     )
     update connections c set state = now.state, state_reason = now.state_reason, next_try_at = now.next_try_at,
            state_since = now(), paused_from = null
       from now, connections old
      where c.id = :connectionId and old.id = c.id and c.state = 'paused'
     returning c.sub_account_id as sub,
               floor(extract(epoch from coalesce(old.paused_from, old.state_since)) * 1000)::float8 as since`,
    { connectionId, mailboxId },
  );
  if (resumed === undefined) return true;
  await addErrands(db, [
    {
      id: newId('err'),
      kind: 'resume',
      sub_account_id: resumed.sub,
      connection_id: connectionId,
      mailbox_id: mailboxId,
      // Two clocks, and a mail that the provider had and nobody had seen yet.
      request: { since: resumed.since - resumeMarginMs },
    },
  ]);
  await tell(db, 'connection.state_changed', [connectionId]);
  return true;
}

const resumeMarginMs = 300_000;

/** Holds off whoever files mail of a connection; null where it has ended or has no mailbox. */
async function lockMailboxOf(db: Db, connectionId: ConnectionId): Promise<MailboxId | null> {
  const [row] = await rows<{ id: MailboxId }>(
    db,
    `select m.id from mailboxes m where m.id = (
       select mailbox_id from connections where id = :connectionId and ended_at is null) for update`,
    { connectionId },
  );
  return row?.id ?? null;
}

async function unlinkThreads(
  db: Db,
  of: { mailboxId: MailboxId; subAccountId: string; reason: string },
): Promise<void> {
  const unlinked = await rows<{ thread_id: ThreadId }>(
    db,
    `with unlinked as (
       update thread_links set state = 'unlinked', reason = :reason, since = now()
        where mailbox_id = :mailboxId and sub_account_id = :subAccountId and state = 'live'
          and not exists (select from connections c where c.mailbox_id = :mailboxId
                            and c.sub_account_id = :subAccountId and c.ended_at is null)
       returning thread_id
     )
     update threads set updated_at = now() where id in (select thread_id from unlinked) returning id as thread_id`,
    of,
  );
  await tellUnlinked(
    db,
    of.subAccountId,
    unlinked.map((row) => row.thread_id),
  );
}

/** The token goes on as it is sealed: nobody must be kept from leaving by a key that is lost. */
async function eraseCredentialIfLast(db: Db, mailboxId: MailboxId): Promise<void> {
  const [erased] = await rows<{
    provider: ProviderName;
    identityKey: string | null;
    credentialKind: 'oauth' | 'password' | null;
    credentialSealed: string | null;
  }>(
    db,
    `update mailboxes m set credential_sealed = null, access_token_sealed = null, access_token_expires_at = null,
            token_version = m.token_version + 1, backlog = 0, next_try_at = null
       from mailboxes old
      where old.id = m.id and m.id = :mailboxId
        and not exists (select from connections c where c.mailbox_id = m.id and c.ended_at is null)
     returning m.provider, m.identity_key as "identityKey", old.credential_kind as "credentialKind", old.credential_sealed as "credentialSealed"`,
    { mailboxId },
  );
  if (erased?.credentialKind !== 'oauth') return;
  const { provider, identityKey, credentialSealed } = erased;
  if (identityKey === null || credentialSealed === null) return;
  await addRevocation(db, {
    id: newId('rvk'),
    provider,
    identityKey,
    tokenSealed: credentialSealed,
    sealedFor: credentialContext(mailboxId),
  });
}

async function tell(db: Db, type: NewEvent['type'], ids: readonly ConnectionId[]): Promise<void> {
  await logStates(db, ids);
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
