import { canonicalOwnAddress } from '../message/addresses.ts';
import type { MailboxState } from '../provider/connection-states.ts';
import type { ProviderName } from '../provider/providers.ts';
import { newId } from '../lib/id.ts';
import type { MailboxId } from '../lib/id.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import { Overtaken } from './lifecycle.ts';
import type { ActiveConnection } from './lifecycle.ts';
import type { Mailbox } from './mailboxes.ts';

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

/** A mailbox whose row is locked. */
export type LockedMailbox = {
  id: MailboxId;
  state: MailboxState;
  /** False: the user's own, by password, that the login leads to at another host or by another login. */
  isSameAccount: boolean;
  /** Somebody else than the user is connected to it, or the user in another sub-account. */
  activeElsewhere: boolean;
};

/** Whether mailbox m is of the account that `accountOf` says. */
export const ofAccount = `m.provider = :provider and m.account = coalesce(:identityKey::text, lower(:loginText::text))`;

/** By what a mailbox is found whose login this is. */
export function accountOf(
  proven: ProvenMailbox,
): Pick<ProvenMailbox, 'provider' | 'identityKey'> & { loginText: string } {
  const { provider, identityKey, login, servers } = proven;
  const canonical = canonicalOwnAddress(proven.address);
  // As the column `account` is generated.
  const loginText = `${canonical} ${login} ${servers?.imap.host ?? ''} ${servers?.imap.port ?? ''}`;
  return { provider, identityKey, loginText };
}

/**
 * Locks the mailbox that a login leads to and the one that the user is connected to, against each
 * other and against filing. Answers the former: the one of the same account, whose address may have
 * changed at the provider; else the user's own of the same address that has moved to another host,
 * where nobody else is connected to it.
 */
export async function lockMailboxes(
  db: Db,
  proven: ProvenMailbox,
  active: ActiveConnection | null,
): Promise<LockedMailbox | null> {
  const wanted = {
    ...accountOf(proven),
    canonical: canonicalOwnAddress(proven.address),
    connectedTo: active?.mailboxId ?? null,
    connectionId: active?.id ?? null,
  };
  await run(
    db,
    `select from mailboxes m where m.id = :connectedTo or (${ofAccount}) order by id for update`,
    wanted,
  );
  // A statement of its own: one that waited for a lock still sees what was true before it waited.
  const [target] = await rows<LockedMailbox>(
    db,
    `select * from (
       select m.id, m.state, (${ofAccount}) as "isSameAccount",
              exists (select from connections c where c.mailbox_id = m.id and c.ended_at is null
                         and c.id is distinct from :connectionId) as "activeElsewhere"
         from mailboxes m
        where (${ofAccount})
           or (m.id = :connectedTo and m.canonical = :canonical and m.identity_key is null and :identityKey::text is null)) t
      where "isSameAccount" or not "activeElsewhere"
      order by "isSameAccount" desc limit 1`,
    wanted,
  );
  return target ?? null;
}

/**
 * Writes what a proven login says of its mailbox: one row, however many sub-accounts (C4).
 * `startsAnew`: nobody's sync of it goes on. Connecting again starts from then (C7): what arrived in
 * between is not looked for; and a listener that still runs, perhaps at another server, loses its lease.
 */
export async function saveMailbox(
  db: Db,
  proven: ProvenMailbox,
  over: { target: LockedMailbox | null; startsAnew: boolean },
): Promise<MailboxId> {
  const values = {
    ...proven,
    canonical: canonicalOwnAddress(proven.address),
    servers: proven.servers === null ? null : jsonText(proven.servers),
  };
  if (over.target === null) {
    const [made] = await rows<{ id: MailboxId }>(
      db,
      `insert into mailboxes (id, provider, address, canonical, login, identity_key, servers, credential_kind, scopes, state)
       values (:id, :provider, :address, :canonical, :login, :identityKey, :servers::jsonb, :credentialKind, :scopes, 'connecting')
       on conflict (provider, account) do nothing returning id`,
      { ...values, id: newId('mbx') },
    );
    if (made === undefined) throw new Overtaken('the mailbox was made by somebody else');
    return made.id;
  }
  const { id } = over.target;
  await run(
    db,
    `update mailboxes set address = :address, canonical = :canonical, login = :login, servers = :servers::jsonb,
            scopes = :scopes, updated_at = now()
      where id = :id`,
    { ...values, id },
  );
  if (over.startsAnew) {
    await run(
      db,
      `update mailboxes set state = 'connecting', state_reason = null, state_since = now(), next_try_at = null,
              caught_up_to = null, backlog = 0, node_id = null,
              saves_sent_copy = case when :isSameAccount then saves_sent_copy end
        where id = :id`,
      over.target,
    );
    await startFoldersAnew(db, over.target);
  }
  return id;
}

/**
 * At another host an equal UIDVALIDITY and UID is another message, so its folders must be other folders. What
 * was seen in the old ones stays known.
 */
async function startFoldersAnew(db: Db, { id, isSameAccount }: LockedMailbox): Promise<void> {
  await run(
    db,
    `update folders set uid_validity = null, cursor_uid = 0, highest_modseq = null,
            left_at = case when :isSameAccount then null else now() end
      where mailbox_id = :id and left_at is null`,
    { id, isSameAccount },
  );
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

/** Whether a grant of this account is in use, or may be soon: revoking any grant of it would end that one, too. */
export async function hasCredentialOf(
  db: Db,
  account: { provider: ProviderName; identityKey: string },
): Promise<boolean> {
  const found = await rows(
    db,
    `select 1 from mailboxes where account = :identityKey and provider = :provider
        and credential_sealed is not null
     union all
     select 1 from proven_logins where mailbox ->> 'identityKey' = :identityKey
        and mailbox ->> 'provider' = :provider and outcome is null and expires_at > now()
      limit 1`,
    account,
  );
  return found.length > 0;
}
