import type { MessageId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** Whether something was erased that is known by one of these hashes (in hexadecimal). */
export async function hasTombstones(
  db: Db,
  sought: readonly { sub: string; hash: string }[],
): Promise<boolean> {
  const found = await rows(
    db,
    `select 1 from unnest(:subs::text[], :hashes::text[]) as asked (sub, hash)
      cross join lateral (
        select from tombstones where sub_account_id = asked.sub and hash = decode(asked.hash, 'hex') offset 0) t
      limit 1`,
    { subs: sought.map(({ sub }) => sub), hashes: sought.map(({ hash }) => hash) },
  );
  return found.length > 0;
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
