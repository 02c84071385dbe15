import type { LinkId, ProvenLoginId } from '../lib/id.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import type { FolderEnd } from './folders.ts';
import type { ProvenMailbox } from './proven-mailboxes.ts';

/** A login that was proven on the connect page and waits for the person's word. */
export type ProvenLogin = {
  id: ProvenLoginId;
  linkId: LinkId;
  mailbox: ProvenMailbox;
  /** Refresh token or password; null once it is settled. */
  credentialSealed: string | null;
  accessTokenSealed: string | null;
  /** ms since the epoch. */
  accessTokenExpiresAt: number | null;
  /** What became of it; null: nothing yet. */
  outcome: 'connected' | 'declined' | null;
};

const credentialContext = 'proven_logins.credential ';

/** What the sealed credential of a proven login is bound to. */
export function provenCredentialContext(id: ProvenLoginId): string {
  return `${credentialContext}${id}`;
}

/** What its sealed access token is bound to. */
export function provenTokenContext(id: ProvenLoginId): string {
  return `proven_logins.access_token ${id}`;
}

/** Keeps a login for `lifeMs`. `tokenHash`: SHA-256 of the token that its page is reached by. */
export async function insertProvenLogin(
  db: Db,
  login: Omit<ProvenLogin, 'outcome'> & { ends: readonly FolderEnd[]; tokenHash: Buffer; lifeMs: number },
): Promise<void> {
  const { mailbox, ends, accessTokenExpiresAt } = login;
  await run(
    db,
    `insert into proven_logins (id, token_hash, link_id, mailbox, ends, credential_sealed, access_token_sealed,
            access_token_expires_at, expires_at)
     values (:id, :tokenHash, :linkId, :mailbox::jsonb, :ends::jsonb, :credentialSealed, :accessTokenSealed,
            :tokenExpiresAt::timestamptz, now() + :lifeMs * interval '1 millisecond')`,
    {
      ...login,
      mailbox: jsonText(mailbox),
      ends: jsonText(ends),
      tokenExpiresAt: accessTokenExpiresAt === null ? null : new Date(accessTokenExpiresAt),
    },
  );
}

const columns = `
id, link_id as "linkId", mailbox, credential_sealed as "credentialSealed", access_token_sealed as "accessTokenSealed",
outcome, floor(extract(epoch from access_token_expires_at) * 1000)::float8 as "accessTokenExpiresAt"`;

/** The login behind the token of its page; null when there is none, or it has run out. */
export async function findProvenLogin(db: Db, tokenHash: Buffer): Promise<ProvenLogin | null> {
  const [login] = await rows<ProvenLogin>(
    db,
    `select ${columns} from proven_logins where token_hash = :tokenHash and expires_at > now()`,
    { tokenHash },
  );
  return login ?? null;
}

/** A login that is still open, locked for the rest of the transaction; null when it is settled or has run out. */
export async function lockProvenLogin(
  db: Db,
  id: ProvenLoginId,
): Promise<(ProvenLogin & { credentialSealed: string; ends: FolderEnd[] }) | null> {
  const [login] = await rows<ProvenLogin & { credentialSealed: string; ends: FolderEnd[] }>(
    db,
    `select ${columns}, ends from proven_logins where id = :id and outcome is null and expires_at > now() for update`,
    { id },
  );
  return login ?? null;
}

/** Says what became of a login, and erases its credential and what its mailbox looked like. */
export async function settleProvenLogin(
  db: Db,
  id: ProvenLoginId,
  outcome: 'connected' | 'declined',
): Promise<void> {
  await run(
    db,
    `update proven_logins set outcome = :outcome, credential_sealed = null, access_token_sealed = null, ends = '[]' where id = :id`,
    { id, outcome },
  );
}

/** Counts one more dry run; false when there were `looksMax` of them. */
export async function countLook(db: Db, id: ProvenLoginId, looksMax: number): Promise<boolean> {
  const counted = await run(
    db,
    'update proven_logins set looks = looks + 1 where id = :id and looks < :looksMax',
    { id, looksMax },
  );
  return counted > 0;
}

/** Forgets logins that have run out; the grants of those that nobody settled are left to be revoked (C7). */
export async function forgetProvenLogins(db: Db): Promise<void> {
  await run(
    db,
    `with gone as (delete from proven_logins where expires_at <= now() returning *)
     insert into revocations (id, provider, identity_key, token_sealed, sealed_for)
     select 'rvk' || substr(id, 4), mailbox ->> 'provider', mailbox ->> 'identityKey', credential_sealed,
            :contextOfId || id
       from gone where outcome is null and mailbox ->> 'identityKey' is not null`,
    { contextOfId: credentialContext },
  );
}
