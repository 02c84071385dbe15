import { AsyncLocalStorage } from 'node:async_hooks';
import type { AdministratorId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** What an administrator did, or a key of the API. No secret and nothing of any mail belongs into it. */
export type AuditEntry = {
  /** Null: nobody who is signed in, such as somebody whose try to sign in failed. */
  administratorId: AdministratorId | null;
  /** The key that a call of the API carried; missing: it was none. */
  keyId?: string;
  /** What was done, as noun and verb: `key.made`. Its words for people are `audit.<action>` of the catalogues. */
  action: `${string}.${string}`;
  /** The id, or the address, of what it was done to; null where the action says it all. */
  subject: string | null;
  /** What else one would ask about it later, by name. */
  details?: Readonly<Record<string, AuditDetail>>;
};

type AuditDetail = string | number | boolean | null;

/** An entry as it is shown. */
export type Audited = {
  /** Rises with time. */
  id: string;
  /** RFC 3339. */
  at: string;
  administratorId: AdministratorId | null;
  /** The address that the administrator had then. */
  email: string | null;
  /** The id of the key that asked for it by the API. */
  keyId: string | null;
  action: string;
  subject: string | null;
  details: Record<string, AuditDetail>;
  /** Address from which it was asked for; null: from nowhere outside. */
  client: string | null;
};

/**
 * From which address what is being done was asked for. Not an argument of each function: it would be handed through
 * everything that an administrator can do.
 */
const asker = new AsyncLocalStorage<string | null>();

/** Does `work`, asked for from an address; the audit log names it. */
export function askedFrom<T>(client: string | null, work: () => T): T {
  return asker.run(client, work);
}

/** The address from which what is being done was asked for; null: from nowhere outside. */
export function currentClient(): string | null {
  return asker.getStore() ?? null;
}

/** Writes down what was done. `db` is the transaction that does it, so that neither is there without the other. */
export async function writeAudit(db: Db, entry: AuditEntry): Promise<void> {
  const { administratorId, keyId = null, action, subject, details = {} } = entry;
  await run(
    db,
    `insert into audit (administrator_id, email, key_id, action, subject, details, client)
     values (:administratorId, (select email from administrators where id = :administratorId), :keyId, :action, :subject,
             :details::jsonb, :client)`,
    { administratorId, keyId, action, subject, details: JSON.stringify(details), client: currentClient() },
  );
}

/** Which entries are asked for; null: all. */
export type AuditPage = {
  /** The id of the entry before which they were written. */
  before: string | null;
  administratorId: string | null;
  /** What it was done to, by the first word of the action: `key`. */
  noun: string | null;
  limit: number;
};

/** Entries, the latest first. */
export function listAudit(db: Db, page: AuditPage): Promise<Audited[]> {
  // Each by its own index: one statement for all of them would read the whole log for a rare one.
  const conditions = [
    ...(page.before === null ? [] : ['id < :before::bigint']),
    ...(page.administratorId === null ? [] : ['administrator_id = :administratorId']),
    ...(page.noun === null ? [] : ['noun = :noun']),
  ];
  return rows<Audited>(
    db,
    `select id::text, ${timestamp('at')} as at, administrator_id as "administratorId", email, key_id as "keyId", action, subject,
            details, client
       from audit ${conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`}
      order by audit.id desc limit :limit`,
    page,
  );
}

/** So many entries are deleted in one statement. */
const forgottenAtOnce = 5_000;

/** Forgets entries that are older; their ids rise with time, so that none but the oldest are looked at. */
export async function forgetAudit(db: Db, keptDays: number): Promise<void> {
  for (;;) {
    const gone = await run(
      db,
      `delete from audit where id = any(array(
         select id from (select id, at from audit order by id limit :forgottenAtOnce) oldest
          where at < now() - :keptDays * interval '1 day'))`,
      { keptDays, forgottenAtOnce },
    );
    if (gone < forgottenAtOnce) return;
  }
}
