import type { Context } from 'hono';
import { askedFrom, writeAudit } from '../store/audit.ts';
import type { AuditEntry } from '../store/audit.ts';
import type { Db } from '../store/database.ts';
import { addressOf } from './auth.ts';
import type { ApiDeps, ApiEnv } from './route.ts';

/** What is written into the audit log of a call. */
type Noted = Pick<AuditEntry, 'action' | 'subject' | 'details'>;

/**
 * Does what a call asks for in one transaction, and writes down beside it which key asked, and from where: to make keys, to
 * redirect events and to read along is what somebody would do first who has got hold of a key.
 */
export function audited<Result>(
  c: Context<ApiEnv>,
  { db, httpProxies }: Pick<ApiDeps, 'db' | 'httpProxies'>,
  work: (tx: Db, note: (noted: Noted) => Promise<void>) => Promise<Result>,
): Promise<Result> {
  const { id: keyId } = c.var.key;
  return askedFrom(addressOf(c, httpProxies), () =>
    db.transaction((tx) => work(tx, (noted) => writeAudit(tx, { administratorId: null, keyId, ...noted }))),
  );
}
