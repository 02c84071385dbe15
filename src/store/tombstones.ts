import type { MessageId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** Which of the hashes (in hexadecimal) something is known by that was erased: their positions. */
export function findTombstones(
  db: Db,
  sought: readonly { sub: string; hash: string }[],
): Promise<{ position: number }[]> {
  return rows(
    db,
    `select asked.position::int - 1 as position
       from unnest(:subs::text[], :hashes::text[]) with ordinality as asked (sub, hash, position)
      cross join lateral (
        select from tombstones where sub_account_id = asked.sub and hash = decode(asked.hash, 'hex') offset 0) t`,
    { subs: sought.map(({ sub }) => sub), hashes: sought.map(({ hash }) => hash) },
  );
}

/** A name of a stored message. */
export type StoredName = { sub: string; key: string; fingerprint: string; message: MessageId };

/** The names of stored messages after `after`, in sub-accounts in which something was erased. */
export function listNames(
  db: Db,
  page: { after: Omit<StoredName, 'message'>; limit: number },
): Promise<StoredName[]> {
  return rows(
    db,
    `select k.sub_account_id as sub, k.key, k.fingerprint, k.message_id as message from message_keys k
      where (k.sub_account_id, k.key, k.fingerprint) > (:sub, :key, :fingerprint)
        and exists (select from tombstones t where t.sub_account_id = k.sub_account_id)
      order by k.sub_account_id, k.key, k.fingerprint limit :limit`,
    { ...page.after, limit: page.limit },
  );
}

/** When a message was erased; null when it was not, or was never there. */
export async function findErasedAt(db: Db, subAccountId: string, id: MessageId): Promise<string | null> {
  const [row] = await rows<{ erasedAt: string }>(
    db,
    `select ${timestamp('erased_at')} as "erasedAt" from tombstones
      where message_id = :id and sub_account_id = :subAccountId limit 1`,
    { subAccountId, id },
  );
  return row?.erasedAt ?? null;
}

/** The sub-account that has a message, or had it before it was erased; null: there never was one of that id. */
export async function subAccountOfMessage(db: Db, id: MessageId): Promise<string | null> {
  const [row] = await rows<{ sub: string }>(
    db,
    `select sub_account_id as sub from messages where id = :id
     union all (select sub_account_id from tombstones where message_id = :id limit 1) limit 1`,
    { id },
  );
  return row?.sub ?? null;
}
