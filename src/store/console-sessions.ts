import type { AdministratorId, SessionId } from '../lib/id.ts';
import { newId } from '../lib/id.ts';
import { currentClient } from './audit.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/** Who is signed in to the pages. */
export type SignedIn =
  | { kind: 'administrator'; administratorId: AdministratorId }
  | { kind: 'user'; subAccountId: string; userId: string; returnUrl: string | null };

export type ConsoleSession = SignedIn & { id: SessionId };

/** How long a session lasts: without anything done in it, and however much is done; ms. */
export type SessionLife = { idleMs: number; lifeMs: number };

/** `tokenHash`: SHA-256 of the cookie. Sessions that have run out are forgotten by the way. */
export async function insertConsoleSession(
  db: Db,
  session: { tokenHash: Buffer; of: SignedIn; lifeMs: number },
): Promise<SessionId> {
  await run(db, `delete from console_sessions where expires_at < now() - interval '1 day'`);
  const { of } = session;
  const id = newId('ses');
  const client = of.kind === 'administrator' ? currentClient() : null;
  await run(
    db,
    `insert into console_sessions (id, token_hash, administrator_id, sub_account_id, user_id, return_url, client, expires_at)
     values (:id, :tokenHash, :administratorId, :subAccountId, :userId, :returnUrl, :client, now() + :lifeMs * interval '1 millisecond')`,
    { ...blank, ...of, id, client, tokenHash: session.tokenHash, lifeMs: session.lifeMs },
  );
  return id;
}

const blank = { administratorId: null, subAccountId: null, userId: null, returnUrl: null };

/** How often it is written down that a session is used: each page would else write a row. */
const seenEveryMs = 30_000;

/** The session behind a cookie, as one of its kind that has not run out; null when there is none. */
export async function findConsoleSession<Kind extends SignedIn['kind']>(
  db: Db,
  by: { tokenHash: Buffer; kind: Kind; idleMs: number; keepsAlive: boolean },
): Promise<Extract<ConsoleSession, { kind: Kind }> | null> {
  const [found] = await rows<Record<keyof typeof blank | 'id', string | null> & { stale: boolean }>(
    db,
    `select id, administrator_id as "administratorId", sub_account_id as "subAccountId", user_id as "userId",
            return_url as "returnUrl", seen_at < now() - :seenEveryMs * interval '1 millisecond' as stale
       from console_sessions
      where token_hash = :tokenHash and expires_at > now() and seen_at > now() - :idleMs * interval '1 millisecond'
        and (administrator_id is not null) = :isAdministrator`,
    { ...by, isAdministrator: by.kind === 'administrator', seenEveryMs },
  );
  if (found === undefined) return null;
  if (by.keepsAlive && found.stale)
    await run(db, 'update console_sessions set seen_at = now() where id = :id', found);
  return { ...found, kind: by.kind } as unknown as Extract<ConsoleSession, { kind: Kind }>;
}

/** Whether a session has not run out. What a page asks for by itself is no sign of anybody: it does not keep it alive. */
export async function isConsoleSessionOpen(
  db: Db,
  { id, idleMs }: { id: SessionId; idleMs: number },
): Promise<boolean> {
  const found = await rows(
    db,
    `select from console_sessions
      where id = :id and expires_at > now() and seen_at > now() - :idleMs * interval '1 millisecond'`,
    { id, idleMs },
  );
  return found.length > 0;
}

export async function endConsoleSession(db: Db, id: SessionId): Promise<void> {
  await run(db, 'delete from console_sessions where id = :id', { id });
}

/** A session of an administrator, as its owner sees it. */
export type ListedSession = {
  id: SessionId;
  /** RFC 3339. */
  createdAt: string;
  seenAt: string;
  /** Address that it was begun from. */
  client: string | null;
};

/** The sessions of an administrator that are open, the latest first. */
export function listSessionsOf(
  db: Db,
  of: { administratorId: AdministratorId; idleMs: number },
): Promise<ListedSession[]> {
  return rows<ListedSession>(
    db,
    `select id, ${timestamp('created_at')} as "createdAt", ${timestamp('seen_at')} as "seenAt", client
       from console_sessions
      where administrator_id = :administratorId and expires_at > now()
        and seen_at > now() - :idleMs * interval '1 millisecond'
      order by console_sessions.created_at desc limit 100`,
    of,
  );
}

/** Ends the sessions of an administrator, but one where it is named. Says how many that were. */
export async function endSessionsOf(
  db: Db,
  of: { administratorId: AdministratorId; but: SessionId | null },
): Promise<number> {
  return run(
    db,
    'delete from console_sessions where administrator_id = :administratorId and id is distinct from :but::text',
    of,
  );
}

/** Ends the sessions of those who have no password, but sign in elsewhere, and may not any more. */
export async function endSessionsOfOthers(db: Db, allowed: readonly string[]): Promise<void> {
  await run(
    db,
    `delete from console_sessions s using administrators a
      where a.id = s.administrator_id and a.password_hash is null and a.canonical <> all(:allowed::text[])`,
    { allowed },
  );
}
