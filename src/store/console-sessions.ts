import type { AdministratorId, SessionId } from '../lib/id.ts';
import { newId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';

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
  await run(
    db,
    `insert into console_sessions (id, token_hash, administrator_id, sub_account_id, user_id, return_url, expires_at)
     values (:id, :tokenHash, :administratorId, :subAccountId, :userId, :returnUrl, now() + :lifeMs * interval '1 millisecond')`,
    { ...blank, ...of, id, tokenHash: session.tokenHash, lifeMs: session.lifeMs },
  );
  return id;
}

const blank = { administratorId: null, subAccountId: null, userId: null, returnUrl: null };

/** How often it is written down that a session is used: each page would else write a row. */
const seenEveryMs = 30_000;

/** The session behind a cookie, as one of its kind that has not run out; null when there is none. Keeps it alive. */
export async function findConsoleSession<Kind extends SignedIn['kind']>(
  db: Db,
  by: { tokenHash: Buffer; kind: Kind; idleMs: number },
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
  if (found.stale) await run(db, 'update console_sessions set seen_at = now() where id = :id', found);
  return { ...found, kind: by.kind } as unknown as Extract<ConsoleSession, { kind: Kind }>;
}

export async function endConsoleSession(db: Db, id: SessionId): Promise<void> {
  await run(db, 'delete from console_sessions where id = :id', { id });
}
