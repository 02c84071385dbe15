import type { AdministratorId } from '../lib/id.ts';
import { newId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** Somebody who runs the gateway. */
export type Administrator = { id: AdministratorId; email: string };

/** What an administrator signs in with. */
export type Credentials = Administrator & {
  /** argon2id, with its parameters; null: none was set, or it goes by OpenID Connect alone. */
  passwordHash: string | null;
  /** Opens with the context of `totpContext`; null: no second factor. */
  totpSecretSealed: string | null;
};

/** As the list shows them. */
export type ListedAdministrator = Administrator & {
  hasPassword: boolean;
  hasSecondFactor: boolean;
  /** Signed in by OpenID Connect. */
  hasIdentity: boolean;
  createdAt: string;
  signedInAt: string | null;
};

/** An address in the form by which administrators are told apart. */
export function canonicalOf(email: string): string {
  return email.trim().toLowerCase();
}

/** What the sealed secret of a second factor is bound to. */
export function totpContext(id: AdministratorId): string {
  return `administrators.totp_secret ${id}`;
}

export async function findAdministrator(db: Db, id: AdministratorId): Promise<Administrator | null> {
  const [found] = await rows<Administrator>(db, 'select id, email from administrators where id = :id', {
    id,
  });
  return found ?? null;
}

const credentials = `id, email, password_hash as "passwordHash", totp_secret_sealed as "totpSecretSealed"`;

/** What whoever has this address, or this id, signs in with. */
export async function findCredentials(
  db: Db,
  by: { email: string } | { id: AdministratorId },
): Promise<Credentials | null> {
  const [found] =
    'id' in by
      ? await rows<Credentials>(db, `select ${credentials} from administrators where id = :id`, by)
      : await rows<Credentials>(
          db,
          `select ${credentials} from administrators where canonical = :canonical`,
          {
            canonical: canonicalOf(by.email),
          },
        );
  return found ?? null;
}

/** The same, which nobody changes until the end of the transaction; null: they are gone. */
export async function lockCredentials(db: Db, id: AdministratorId): Promise<Credentials | null> {
  const [found] = await rows<Credentials>(
    db,
    `select ${credentials} from administrators where id = :id for no key update`,
    { id },
  );
  return found ?? null;
}

/** All who are, and were invited to be, administrators: few. By address. */
export function listAdministrators(db: Db): Promise<ListedAdministrator[]> {
  return rows<ListedAdministrator>(
    db,
    `select id, email, password_hash is not null as "hasPassword", totp_secret_sealed is not null as "hasSecondFactor",
            subject is not null as "hasIdentity", ${timestamp('created_at')} as "createdAt",
            ${timestamp('signed_in_at')} as "signedInAt"
       from administrators order by canonical limit 1000`,
  );
}

export async function hasAdministrator(db: Db): Promise<boolean> {
  return (await rows(db, 'select 1 from administrators limit 1')).length > 0;
}

/** Makes an administrator, who can do nothing yet; the one of that address where there is one already. */
export async function addAdministrator(
  db: Db,
  email: string,
): Promise<{ administrator: Administrator; created: boolean }> {
  const id = newId('adm');
  const [row] = await rows<Administrator>(
    db,
    `insert into administrators (id, email, canonical) values (:id, :email, :canonical)
     on conflict (canonical) do update set canonical = excluded.canonical
     returning id, email`,
    { id, email: email.trim(), canonical: canonicalOf(email) },
  );
  if (row === undefined) throw new Error('an administrator was not returned');
  return { administrator: row, created: row.id === id };
}

/** Lets nobody else make or remove an administrator until the end of the transaction: who is the last must be certain. */
export async function lockAdministrators(db: Db): Promise<void> {
  await run(db, 'lock table administrators in share row exclusive mode');
}

/**
 * Removes one, with sessions and links. `last`: nobody else could sign in; by an identity they could while its address is
 * among `identities`, in canonical form. In a transaction.
 */
export async function removeAdministrator(
  db: Db,
  id: string,
  identities: readonly string[],
): Promise<'removed' | 'last' | 'unknown'> {
  await lockAdministrators(db);
  const [found] = await rows<{ others: boolean }>(
    db,
    `select exists (select from administrators o where o.id <> a.id and (o.password_hash is not null
                      or o.subject is not null and o.canonical = any(:identities::text[]))) as others
       from administrators a where id = :id`,
    { id, identities },
  );
  if (found === undefined) return 'unknown';
  if (!found.others) return 'last';
  await run(db, 'delete from administrators where id = :id', { id });
  return 'removed';
}

export async function setPassword(db: Db, id: AdministratorId, passwordHash: string): Promise<void> {
  await run(db, 'update administrators set password_hash = :passwordHash where id = :id', {
    id,
    passwordHash,
  });
}

/** Puts another hash of the same password in the place of `from`, unless the password was changed meanwhile. */
export async function renewPasswordHash(
  db: Db,
  id: AdministratorId,
  hash: { from: string; to: string },
): Promise<void> {
  await run(db, 'update administrators set password_hash = :to where id = :id and password_hash = :from', {
    id,
    ...hash,
  });
}

/** Notes that somebody signed in. */
export async function noteSignIn(db: Db, id: AdministratorId): Promise<void> {
  await run(db, 'update administrators set signed_in_at = now() where id = :id', { id });
}

/** Turns the second factor on, from the step of the code that showed it works; or off, with its recovery codes. */
export async function setSecondFactor(
  db: Db,
  id: AdministratorId,
  factor: { secretSealed: string; step: number } | null,
): Promise<void> {
  await run(
    db,
    `update administrators set totp_secret_sealed = :secretSealed, totp_step = greatest(totp_step, :step::bigint)
      where id = :id`,
    { id, secretSealed: factor?.secretSealed ?? null, step: factor?.step ?? 0 },
  );
  if (factor === null) await run(db, 'delete from recovery_codes where administrator_id = :id', { id });
}

/** Takes the code of a step; false when that one, or a later one, was taken before. */
export async function takeTotpStep(db: Db, id: AdministratorId, step: number): Promise<boolean> {
  const taken = await run(
    db,
    'update administrators set totp_step = :step::bigint where id = :id and totp_step < :step::bigint',
    { id, step },
  );
  return taken > 0;
}

/** Puts new recovery codes in the place of all others. In a transaction. */
export async function replaceRecoveryCodes(
  db: Db,
  id: AdministratorId,
  hashes: readonly Buffer[],
): Promise<void> {
  await run(db, 'delete from recovery_codes where administrator_id = :id', { id });
  await run(
    db,
    'insert into recovery_codes (administrator_id, hash) select :id, hash from unnest(:hashes::bytea[]) as hash',
    { id, hashes },
  );
}

/** Uses a recovery code up; false when there is none such. */
export async function useRecoveryCode(db: Db, id: AdministratorId, hash: Buffer): Promise<boolean> {
  const used = await run(db, 'delete from recovery_codes where administrator_id = :id and hash = :hash', {
    id,
    hash,
  });
  return used > 0;
}

export async function countRecoveryCodes(db: Db, id: AdministratorId): Promise<number> {
  const [found] = await rows<{ n: number }>(
    db,
    'select count(*)::int as n from recovery_codes where administrator_id = :id',
    { id },
  );
  return found?.n ?? 0;
}

/**
 * The administrator of an identity (issuer and sub), by an address that its provider has verified: the one who signed in
 * by it before, else the one of that address, else a new one; `isNew`: until now nobody signed in by it. Null: that
 * address signed in by another identity before.
 */
export async function administratorOfIdentity(
  db: Db,
  identity: { subject: string; email: string },
): Promise<{ administrator: Administrator; isNew: boolean } | null> {
  const [known] = await rows<Administrator>(
    db,
    'select id, email from administrators where subject = :subject',
    { subject: identity.subject },
  );
  if (known !== undefined) return { administrator: known, isNew: false };
  const { administrator } = await addAdministrator(db, identity.email);
  const bound = await run(
    db,
    'update administrators set subject = :subject where id = :id and subject is null',
    { id: administrator.id, subject: identity.subject },
  );
  return bound > 0 ? { administrator, isNew: true } : null;
}
