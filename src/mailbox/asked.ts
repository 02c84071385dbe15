import { newId } from '../lib/id.ts';
import type { ConnectionId, ErrandId, MailboxId } from '../lib/id.ts';
import { findMailboxOf } from '../store/connections.ts';
import type { Db } from '../store/database.ts';
import { addErrands } from '../store/errands.ts';
import { inLifecycle, pauseConnection, resumeConnection } from '../store/lifecycle.ts';

/* What is asked of a connection by whoever runs things, by the API or on the pages. `also` is done in the same transaction. */

type Also = (tx: Db) => Promise<void>;
const nothing: Also = () => Promise.resolve();

export type AskedDeps = {
  db: Db;
  wakePublisher(): void;
  wakeMailbox(mailboxId: MailboxId): void;
  wakeErrands(): void;
};

/** Pauses a connection or lets it go on (C5); false: it has ended, or has no mailbox yet. */
export async function pauseOrResume(
  deps: AskedDeps,
  id: ConnectionId,
  verb: 'pause' | 'resume',
  also: Also = nothing,
): Promise<boolean> {
  const change = verb === 'pause' ? pauseConnection : resumeConnection;
  const isDone = await inLifecycle(deps.db, async (tx) => {
    if (!(await change(tx, id))) return false;
    await also(tx);
    return true;
  });
  if (!isDone) return false;
  deps.wakePublisher();
  const mailboxId = (await findMailboxOf(deps.db, id))?.mailboxId ?? null;
  if (mailboxId !== null) deps.wakeMailbox(mailboxId);
  deps.wakeErrands();
  return true;
}

/** Leaves an audit of a connection that has a mailbox (T2), from `since` on; ms since the epoch. */
export async function askForAudit(
  deps: Pick<AskedDeps, 'db' | 'wakeErrands'>,
  of: { connectionId: ConnectionId; subAccountId: string; mailboxId: MailboxId; startedAt: number },
  { since, heal }: { since: number; heal: boolean },
  also: Also = nothing,
): Promise<ErrandId> {
  const id = newId('aud');
  // What came before the connection is no business of its own (C8).
  const request = { since: Math.max(since, of.startedAt), heal, scheduled: false };
  const { subAccountId: sub_account_id, connectionId: connection_id, mailboxId: mailbox_id } = of;
  await deps.db.transaction(async (tx) => {
    await addErrands(tx, [{ id, kind: 'audit', sub_account_id, connection_id, mailbox_id, request }]);
    await also(tx);
  });
  deps.wakeErrands();
  return id;
}
