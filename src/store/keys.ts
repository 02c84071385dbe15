import { createHash, randomBytes } from 'node:crypto';
import { newId } from '../lib/id.ts';
import type { KeyId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** What a key opens. */
export type KeyAccess = {
  id: KeyId;
  /** The only sub-account that the key sees; null: all of them. */
  subAccountId: string | null;
  /** `read`: nothing can be changed with it. `write`: reads and changes. */
  scope: 'read' | 'write';
};

/** A key as it is listed: the key itself is known to nobody but its holder. */
export type KeyRow = KeyAccess & { label: string; createdAt: string };

/** What a new key shall be. */
export type NewKey = { subAccountId: string | null; scope: 'read' | 'write'; label: string };

/**
 * Makes a key, `tw_` and 256 random bits, which is shown once: only its hash is stored. The sub-account must exist.
 */
export async function makeKey(db: Db, wanted: NewKey): Promise<{ key: string; row: KeyRow }> {
  const key = `tw_${randomBytes(32).toString('base64url')}`;
  return { key, row: await insertKey(db, { ...wanted, hash: hashOfKey(key) }) };
}

/** What is stored of a key. */
export function hashOfKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

async function insertKey(db: Db, key: NewKey & { hash: Buffer }): Promise<KeyRow> {
  const [row] = await rows<KeyRow>(
    db,
    `insert into api_keys (id, hash, sub_account_id, scope, label)
     values (:id, :hash, :subAccountId, :scope, :label) returning ${columns}`,
    { id: newId('key'), ...key },
  );
  if (row === undefined) throw new Error('an inserted key was not returned');
  return row;
}

/** A key that a call carries, and where the call goes. */
export type AskedKey = {
  /** SHA-256. */
  hash: Buffer;
  /** Null: to no sub-account. */
  subAccountId: string | null;
};

/** What is known of a key and of the sub-account that its call names. */
export type FoundKey = {
  /** Null: there is no such key, or it was revoked. */
  access: KeyAccess | null;
  subAccountExists: boolean;
};

/** What is known at this moment of keys, in their order. */
export async function findKeys(db: Db, asked: readonly AskedKey[]): Promise<FoundKey[]> {
  return rows<FoundKey>(
    db,
    `select case when k.id is not null then
              json_build_object('id', k.id, 'subAccountId', k.sub_account_id, 'scope', k.scope) end as access,
            -- Not exists: that was planned as a hash of all sub-accounts, at each call.
            coalesce((select true from sub_accounts where id = asked.sub), false) as "subAccountExists"
       from unnest(:hashes::bytea[], :subs::text[]) with ordinality as asked (hash, sub, n)
       left join lateral (select * from api_keys where hash = asked.hash and revoked_at is null offset 0) k on true
      order by asked.n`,
    { hashes: asked.map(({ hash }) => hash), subs: asked.map(({ subAccountId }) => subAccountId) },
  );
}

/** Whether a key that was given a while ago still opens anything. */
export async function isKeyInForce(db: Db, id: KeyId): Promise<boolean> {
  return (await rows(db, 'select 1 from api_keys where id = :id and revoked_at is null', { id })).length > 0;
}

/** The keys in force, oldest first, after the one with id `after`. */
export function listKeys(
  db: Db,
  page: { subAccountId: string | null; after: string; limit: number },
): Promise<KeyRow[]> {
  return rows<KeyRow>(
    db,
    `select ${columns} from api_keys
     where revoked_at is null and id > :after
       ${page.subAccountId === null ? '' : 'and sub_account_id = :subAccountId'}
     order by id limit :limit`,
    page,
  );
}

/** Revokes a key that `subAccountId` may see. Null when there is none in force. */
export async function revokeKey(db: Db, id: string, subAccountId: string | null): Promise<KeyRow | null> {
  const [revoked] = await rows<KeyRow>(
    db,
    `update api_keys set revoked_at = now()
     where id = :id and revoked_at is null and (:subAccountId::text is null or sub_account_id = :subAccountId)
     returning ${columns}`,
    { id, subAccountId },
  );
  return revoked ?? null;
}

/**
 * Makes the administrator's key, for all sub-accounts, on the first start. Returns it for printing, or null when such a
 * key is in force already: two nodes that start together end with one. `given` is taken in its place, and known to
 * whoever gave it.
 */
export async function createFirstKey(db: Db, given: string | null = null): Promise<string | null> {
  return db.transaction(async (tx) => {
    await run(tx, 'lock table api_keys in share row exclusive mode');
    const inForce = await rows(
      tx,
      `select 1 from api_keys where sub_account_id is null and scope = 'write' and revoked_at is null limit 1`,
    );
    if (inForce.length > 0) return null;
    const wanted = { subAccountId: null, scope: 'write', label: 'first administrator' } as const;
    if (given === null) return (await makeKey(tx, wanted)).key;
    await insertKey(tx, { ...wanted, hash: hashOfKey(given) });
    return null;
  });
}

const columns = `id, sub_account_id as "subAccountId", scope, label, ${timestamp('created_at')} as "createdAt"`;
