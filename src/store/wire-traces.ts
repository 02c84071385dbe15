import type { ConnectionId, MailboxId, TraceId } from '../lib/id.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { timestamp } from './timestamp.ts';

/*
 * Traces of what is said to the servers of one mailbox, while somebody asks for them. In the database, so that whichever
 * node listens to the mailbox, any other can show them.
 */

/** Has the connections with a mailbox traced that begin within so many minutes; null: the connection has no mailbox, or is over. */
export async function askForTraces(
  db: Db,
  connectionId: ConnectionId,
  minutes: number,
): Promise<{ mailboxId: MailboxId; until: string } | null> {
  const [asked] = await rows<{ mailboxId: MailboxId; until: string }>(
    db,
    `update mailboxes set trace_until = now() + :minutes * interval '1 minute'
      where id = (select mailbox_id from connections where id = :connectionId and ended_at is null)
     returning id as "mailboxId", ${timestamp('trace_until')} as until`,
    { connectionId, minutes },
  );
  return asked ?? null;
}

/** Ends it, and forgets what was traced. */
export async function endTraces(db: Db, connectionId: ConnectionId): Promise<void> {
  const mailbox = '(select mailbox_id from connections where id = :connectionId)';
  await run(db, `update mailboxes set trace_until = null where id = ${mailbox}`, { connectionId });
  await run(db, `delete from wire_traces where mailbox_id = ${mailbox}`, { connectionId });
}

/** What is spoken on a traced connection: with the server that the mailbox is read at, or with that by which it sends. */
export type TracedProtocol = 'imap' | 'smtp';

/** Adds to a trace; false: it is not wanted any more, and nothing was added. */
export async function appendTrace(
  db: Db,
  part: { id: TraceId; mailboxId: MailboxId; protocol: TracedProtocol; n: number; text: string },
): Promise<boolean> {
  const added = await run(
    db,
    `insert into wire_traces (id, mailbox_id, protocol, n, text)
     select :id, id, :protocol, :n, :text from mailboxes where id = :mailboxId and trace_until > now()`,
    part,
  );
  return added > 0;
}

/** A trace of one connection with the server. */
export type TraceRow = { id: TraceId; protocol: TracedProtocol; started_at: string; bytes: number };

/** Those of the mailbox of a connection, the newest first, and until when there will be more; null: there will be none. */
export async function listTraces(
  db: Db,
  connectionId: ConnectionId,
): Promise<{ until: string | null; traces: TraceRow[] }> {
  const [found] = await rows<{ until: string | null; traces: TraceRow[] }>(
    db,
    `select case when m.trace_until > now() then ${timestamp('m.trace_until')} end as until,
            (select coalesce(json_agg(t order by t.id desc), '[]') from (
               select id, min(protocol) as protocol, ${timestamp('min(at)')} as started_at, sum(octet_length(text))::int as bytes
                 from wire_traces where mailbox_id = m.id group by id) t) as traces
       from connections c join mailboxes m on m.id = c.mailbox_id where c.id = :connectionId`,
    { connectionId },
  );
  return found ?? { until: null, traces: [] };
}

/** The text of a trace of the mailbox of a connection; null where there is none. */
export async function readTrace(db: Db, connectionId: ConnectionId, id: string): Promise<string | null> {
  const [found] = await rows<{ text: string | null }>(
    db,
    `select string_agg(text, '' order by n) as text from wire_traces
      where id = :id and mailbox_id = (select mailbox_id from connections where id = :connectionId)`,
    { connectionId, id },
  );
  return found?.text ?? null;
}

/** Forgets what is older. */
export async function forgetTraces(db: Db, keptDays: number): Promise<void> {
  await run(db, `delete from wire_traces where at < now() - :keptDays * interval '1 day'`, { keptDays });
}
