import { canonicalAddress, domainOf, validAddress } from '../message/addresses.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/** Whose list it is: one of the two. */
export type NeverLogOwner =
  { subAccountId: string; userId?: never } | { userId: string; subAccountId?: never };

/** The addresses and `@domain`s of a never-log list (S15), as written, in the order of their canonical form. */
export async function findNeverLog(db: Db, owner: NeverLogOwner): Promise<string[]> {
  const found = await rows<{ entry: string }>(
    db,
    `select as_written as entry from never_log where ${ofOwner(owner)} order by pattern`,
    ids(owner),
  );
  return found.map((row) => row.entry);
}

/** Some entries of a user's list, as written, in the order of their canonical form, after that of `after`. */
export async function listNeverLog(
  db: Db,
  userId: string,
  page: { after: string | null; limit: number },
): Promise<string[]> {
  const found = await rows<{ entry: string }>(
    db,
    `select as_written as entry from never_log
      where user_id = :userId and (:after::text is null or pattern > :after) order by pattern limit :limit`,
    { userId, limit: page.limit, after: page.after === null ? null : neverLogPattern(page.after) },
  );
  return found.map((row) => row.entry);
}

/**
 * Replaces a list; in a transaction. Of two entries that mean the same the first stays. A domain
 * means itself alone, not what is below it.
 */
export async function putNeverLog(db: Db, owner: NeverLogOwner, entries: readonly string[]): Promise<void> {
  const byPattern = new Map<string, string>();
  for (const entry of entries) {
    const pattern = neverLogPattern(entry);
    if (!byPattern.has(pattern)) byPattern.set(pattern, entry);
  }
  // Whoever files mail at this moment looks again at who is on the list.
  await run(
    db,
    owner.userId === undefined
      ? 'update sub_accounts set never_log_version = never_log_version + 1 where id = :subAccountId'
      : 'update users set never_log_version = never_log_version + 1 where id = :userId',
    ids(owner),
  );
  await run(db, `delete from never_log where ${ofOwner(owner)}`, ids(owner));
  await run(
    db,
    `insert into never_log (sub_account_id, user_id, pattern, as_written)
     select :subAccountId::text, :userId::text, * from unnest(:patterns::text[], :entries::text[])`,
    { ...ids(owner), patterns: [...byPattern.keys()], entries: [...byPattern.values()] },
  );
}

/** No list is longer. */
export const neverLogEntriesMax = 10_000;

/** Whether a text is an address, or `@` and a domain, which means itself and nothing below it. */
export function isNeverLogEntry(text: string): boolean {
  return validAddress(text.startsWith('@') ? `x@${domainOf(text)}` : text);
}

/** What an entry means, whatever the way in which it is written. */
export function neverLogPattern(entry: string): string {
  return entry.startsWith('@') ? `@${domainOf(entry)}` : canonicalAddress(entry);
}

/** The patterns that an address of a mail falls under. */
export function patternsOf(address: string): string[] {
  return [canonicalAddress(address), `@${domainOf(address)}`];
}

/** An entry has one owner. */
function ofOwner(owner: NeverLogOwner): string {
  return owner.userId === undefined ? 'sub_account_id = :subAccountId' : 'user_id = :userId';
}

function ids(owner: NeverLogOwner): { subAccountId: string | null; userId: string | null } {
  return { subAccountId: owner.subAccountId ?? null, userId: owner.userId ?? null };
}
