import type { ConnectionId, MailboxId } from '../lib/id.ts';
import type { ConnectionState } from '../provider/connection-states.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/*
 * The life line of a connection (C5): its own states, and the sessions and tokens of its mailbox. Nothing is decided by
 * it. Each of a connection and of a mailbox keeps its newest lines; the others go when one is written.
 */

const linesKept = 200;

const trimmed = (owner: 'connection_id' | 'mailbox_id', of: string) => `
  delete from connection_log l using (${of}) as owner (id)
   where l.${owner} = owner.id and l.n <= (
     select k.n from connection_log k where k.${owner} = owner.id order by k.n desc offset ${linesKept - 1} limit 1)`;

/** Notes the states that connections are in now, in the transaction that brought them there. */
export async function logStates(db: Db, ids: readonly ConnectionId[]): Promise<void> {
  await run(
    db,
    `with trimmed as (${trimmed('connection_id', 'select unnest(:ids::text[]) collate "C"')})
     insert into connection_log (connection_id, kind, state, reason)
     select id, 'state', state, state_reason from connections where id = any(:ids) order by id`,
    { ids },
  );
}

/** Notes that the provider took the logins of sessions, each of another mailbox; answers their lines, for their ends. */
export async function logLogins(db: Db, mailboxIds: readonly MailboxId[]): Promise<Map<MailboxId, string>> {
  const lines = await rows<{ n: string; mailbox_id: MailboxId }>(
    db,
    `with trimmed as (${trimmed('mailbox_id', 'select unnest(:mailboxIds::text[]) collate "C"')})
     insert into connection_log (mailbox_id, kind, logged_in_at)
     select id, 'session', now() from unnest(:mailboxIds::text[]) as m (id) returning n, mailbox_id`,
    { mailboxIds: [...mailboxIds] },
  );
  return new Map(lines.map(({ n, mailbox_id }) => [mailbox_id, n]));
}

/**
 * Notes what a session ended by: that of a line, or (null) one that never got as far as the login. Of those, as many as
 * follow each other with the same cause are one line.
 */
export async function logSessionEnd(
  db: Db,
  ended: { mailboxId: MailboxId; line: string | null; reason: string },
): Promise<void> {
  if (ended.line !== null) {
    await run(db, 'update connection_log set ended_at = now(), reason = :reason where n = :line', ended);
    return;
  }
  await run(
    db,
    `with last as (
       select n, kind, reason, logged_in_at from connection_log where mailbox_id = :mailboxId order by n desc limit 1
     ), again as (
       update connection_log l set times = l.times + 1, ended_at = now() from last
        where l.n = last.n and last.kind = 'session' and last.logged_in_at is null and last.reason = :reason
       returning l.n
     ), trimmed as (${trimmed('mailbox_id', 'select :mailboxId::text collate "C"')} and not exists (select from again))
     insert into connection_log (mailbox_id, kind, reason, ended_at)
     select :mailboxId, 'session', :reason, now() where not exists (select from again)`,
    ended,
  );
}

/** The statement that notes a renewed access token, for the one that stores it. */
export const tokenLine = (renewed: string) =>
  `insert into connection_log (mailbox_id, kind) select id, 'token' from ${renewed}`;

/** One line of the life of a connection. */
export type LifeLine = {
  n: string;
  at: string;
} & (
  | { kind: 'state'; state: ConnectionState; reason: string | null }
  | {
      kind: 'session';
      /** Null: the provider never took the login. */
      logged_in_at: string | null;
      /** Null: it goes on, or its process ended without a word, which a later session shows. */
      ended_at: string | null;
      /** What it ended by; a word for machines. */
      reason: string | null;
      times: number;
      is_last: boolean;
    }
  | { kind: 'token' }
);

/** The life of a connection, the newest first, while it was connected to its mailbox; `before` is the last line of the page before. */
export async function readLifeLine(
  db: Db,
  connectionId: ConnectionId,
  page: { before: string | null; limit: number },
): Promise<LifeLine[]> {
  return rows<LifeLine>(
    db,
    `with own as (
       select * from connection_log where connection_id = :connectionId and (:before::bigint is null or n < :before::bigint)
        order by n desc limit :limit
     ), of_mailbox as (
       select l.* from connections c cross join lateral (
         select * from connection_log where mailbox_id = c.mailbox_id and (:before::bigint is null or n < :before::bigint)
            and coalesce(ended_at, 'infinity') >= c.created_at and (c.ended_at is null or at <= c.ended_at)
          order by n desc limit :limit) l
        where c.id = :connectionId
     )
     select l.n, l.kind, ${timestamp('l.at')} as at, l.state, l.reason, l.times,
            ${timestamp('l.logged_in_at')} as logged_in_at, ${timestamp('l.ended_at')} as ended_at,
            not exists (select from connection_log k
              where k.mailbox_id = l.mailbox_id and k.n > l.n and k.kind = 'session') as is_last
       from (select * from own union all select * from of_mailbox) l
      order by l.n desc limit :limit`,
    { connectionId, ...page },
  );
}
