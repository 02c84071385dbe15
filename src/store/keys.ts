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

/** Stores a new key by its SHA-256. The sub-account must exist. */
export async function insertKey(
  db: Db,
  key: { hash: Buffer; subAccountId: string | null; scope: 'read' | 'write'; label: string },
): Promise<KeyRow> {
  const [row] = await rows<KeyRow>(
    db,
    `insert into api_keys (id, hash, sub_account_id, scope, label)
     values (:id, :hash, :subAccountId, :scope, :label) returning ${columns}`,
    { id: newId('key'), ...key },
  );
  if (row === undefined) throw new Error('an inserted key was not returned');
  return row;
}

/** The access of the key with this SHA-256; undefined when there is none, or it was revoked. */
export async function findKey(db: Db, hash: Buffer): Promise<KeyAccess | undefined> {
  const [row] = await rows<KeyAccess>(
    db,
    `select id, sub_account_id as "subAccountId", scope from api_keys where hash = :hash and revoked_at is null`,
    { hash },
  );
  return row;
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
       and (:subAccountId::text is null or sub_account_id = :subAccountId)
     order by id limit :limit`,
    page,
  );
}

/** Revokes a key that `subAccountId` may see. False when there is none in force. */
export async function revokeKey(db: Db, id: string, subAccountId: string | null): Promise<boolean> {
  const touched = await run(
    db,
    `update api_keys set revoked_at = now()
     where id = :id and revoked_at is null and (:subAccountId::text is null or sub_account_id = :subAccountId)`,
    { id, subAccountId },
  );
  return touched > 0;
}

/**
 * Stores a key for all sub-accounts unless one that can write is in force already; says whether it
 * did. Two nodes that start together end with one.
 */
export async function insertFirstKey(db: Db, key: { hash: Buffer; label: string }): Promise<boolean> {
  return db.transaction(async (tx) => {
    await run(tx, 'lock table api_keys in share row exclusive mode');
    const inForce = await rows(
      tx,
      `select 1 from api_keys where sub_account_id is null and scope = 'write' and revoked_at is null limit 1`,
    );
    if (inForce.length > 0) return false;
    await insertKey(tx, { ...key, subAccountId: null, scope: 'write' });
    return true;
  });
}

const columns = `id, sub_account_id as "subAccountId", scope, label, ${timestamp('created_at')} as "createdAt"`;
