import type { ProviderName, ServerAddress } from '../provider/providers.ts';
import type { MailboxState } from '../provider/connection-states.ts';
import type { MailboxId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

/** A mailbox as its listener and its sender need it. */
export type Mailbox = {
  id: MailboxId;
  provider: ProviderName;
  address: string;
  /** What XOAUTH2 or LOGIN names; for Microsoft not always the address (C2). */
  login: string;
  /** Of a generic mailbox; null where the provider's table says it. */
  servers: { imap: ServerAddress; smtp: ServerAddress } | null;
  credentialKind: 'oauth' | 'password' | null;
  state: MailboxState;
  /** Since when its connections want its mail, ms since the epoch; null when there is none. */
  syncSince: number | null;
  /** Up to when every message has a decision, ms since the epoch; null before the first look. */
  caughtUpTo: number | null;
};

/** A mailbox with an active connection or without; null when there is no such mailbox. */
export async function readMailbox(db: Db, id: MailboxId): Promise<Mailbox | null> {
  const [row] = await rows<
    Omit<Mailbox, 'credentialKind' | 'syncSince' | 'caughtUpTo'> & {
      caught_up_to: Date | null;
      credential_kind: Mailbox['credentialKind'];
      since: Date | null;
    }
  >(
    db,
    `select m.id, m.provider, m.address, m.login, m.servers, m.credential_kind, m.state, m.caught_up_to,
            (select min(c.started_at) from connections c where c.mailbox_id = m.id and c.ended_at is null) as since
       from mailboxes m where m.id = :id`,
    { id },
  );
  if (row === undefined) return null;
  const { credential_kind, since, caught_up_to, ...mailbox } = row;
  return {
    ...mailbox,
    credentialKind: credential_kind,
    syncSince: since?.getTime() ?? null,
    caughtUpTo: caught_up_to?.getTime() ?? null,
  };
}

/** What a mailbox's sealed credential is bound to. */
export function credentialContext(mailboxId: MailboxId): string {
  return `mailboxes.credential ${mailboxId}`;
}

/** The password of a generic mailbox; null once it was erased. */
export async function readPassword(
  db: Db,
  secretBox: SecretBox,
  mailboxId: MailboxId,
): Promise<string | null> {
  const [row] = await rows<{ credential_sealed: string | null }>(
    db,
    `select credential_sealed from mailboxes where id = :mailboxId and credential_kind = 'password'`,
    { mailboxId },
  );
  return row?.credential_sealed == null
    ? null
    : secretBox.open(row.credential_sealed, credentialContext(mailboxId));
}

/**
 * Leases mailboxes that nobody listens to: they have a credential, an active connection and no state
 * that waits for a person. Each is leased by one node at a time.
 */
export async function leaseMailboxes(
  db: Db,
  by: { owner: string; leaseMs: number; limit: number },
): Promise<MailboxId[]> {
  const found = await rows<{ id: MailboxId }>(
    db,
    `update mailboxes set lease_owner = :owner, lease_until = now() + :leaseMs * interval '1 millisecond'
      where id in (
        select m.id from mailboxes m
         where m.credential_sealed is not null and m.state <> 'reauth_required'
           and (m.lease_until is null or m.lease_until < now())
           and exists (select from connections c where c.mailbox_id = m.id and c.ended_at is null and c.state <> 'paused')
         order by m.lease_until nulls first limit :limit for update skip locked)
     returning id`,
    by,
  );
  return found.map((row) => row.id);
}

/** Prolongs this node's leases; answers the mailboxes that are still its own and still to be listened to. */
export async function renewLeases(db: Db, by: { owner: string; leaseMs: number }): Promise<Set<MailboxId>> {
  const found = await rows<{ id: MailboxId }>(
    db,
    `update mailboxes m set lease_until = now() + :leaseMs * interval '1 millisecond'
      where m.lease_owner = :owner and m.credential_sealed is not null and m.state <> 'reauth_required'
        and exists (select from connections c where c.mailbox_id = m.id and c.ended_at is null and c.state <> 'paused')
     returning m.id`,
    by,
  );
  return new Set(found.map((row) => row.id));
}

/** Gives leases back, so that another node, or a later start, need not wait for their end. */
export async function releaseLeases(db: Db, owner: string, ids: readonly MailboxId[]): Promise<void> {
  await run(
    db,
    'update mailboxes set lease_owner = null, lease_until = null where lease_owner = :owner and id = any(:ids)',
    { owner, ids },
  );
}

/** Notes how far a mailbox has been judged. Times are ms since the epoch; null leaves a column as it is. */
export async function saveProgress(
  db: Db,
  mailboxId: MailboxId,
  progress: { caughtUpTo: number | null; sentLookedAt: number | null; backlog: number },
): Promise<void> {
  const time = (ms: number | null) => (ms === null ? null : new Date(ms));
  await run(
    db,
    `update mailboxes set caught_up_to = greatest(caught_up_to, :caughtUpTo::timestamptz),
            sent_looked_at = greatest(sent_looked_at, :sentLookedAt::timestamptz), backlog = :backlog
      where id = :mailboxId`,
    {
      mailboxId,
      caughtUpTo: time(progress.caughtUpTo),
      sentLookedAt: time(progress.sentLookedAt),
      backlog: progress.backlog,
    },
  );
}
