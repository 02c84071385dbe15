import type { ProviderName } from '../provider/providers.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/** A grant that nothing uses any more and that is to be ended at its provider (C7). */
export type Revocation = {
  id: string;
  provider: ProviderName;
  identityKey: string;
  /** The refresh token, and what it is bound to. */
  tokenSealed: string;
  sealedFor: string;
  /** Tries so far, this one included. */
  attempts: number;
  ageMs: number;
};

/** Leaves a grant to be ended; in the transaction that makes it unused, where there is one. */
export async function addRevocation(
  db: Db,
  grant: Pick<Revocation, 'id' | 'provider' | 'identityKey' | 'tokenSealed' | 'sealedFor'>,
): Promise<void> {
  await run(
    db,
    `insert into revocations (id, provider, identity_key, token_sealed, sealed_for)
     values (:id, :provider, :identityKey, :tokenSealed, :sealedFor)`,
    grant,
  );
}

/** One that was claimed (see work.ts). */
export async function readRevocation(db: Db, id: string): Promise<Revocation | null> {
  const [row] = await rows<Revocation>(
    db,
    `select id, provider, identity_key as "identityKey", token_sealed as "tokenSealed", sealed_for as "sealedFor",
            attempts, (extract(epoch from now() - created_at) * 1000)::float8 as "ageMs"
       from revocations where id = :id`,
    { id },
  );
  return row ?? null;
}

/** Forgets a grant with its token: it is ended, in use again, or nobody can end it. */
export async function deleteRevocation(db: Db, id: string): Promise<void> {
  await run(db, 'delete from revocations where id = :id', { id });
}
