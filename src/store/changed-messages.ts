import type { MessageId } from '../lib/id.ts';
import { run } from './database.ts';
import type { Db } from './database.ts';

/** When anything of message `m` last changed, also of its send, in SQL. */
export function changedAt(m: string): string {
  return `greatest(${m}.updated_at, (select changed_at from sends where message_id = ${m}.id))`;
}

/**
 * Locks messages, in one order for everybody: who tells of one that its send has changed tells all else of it as well, and
 * that must not be older than what another transaction tells meanwhile.
 */
export async function lockMessages(db: Db, ids: readonly MessageId[]): Promise<void> {
  if (ids.length === 0) return;
  await run(db, 'select from messages where id = any(:ids) order by id for no key update', { ids });
}

/** Marks messages as changed: what is reported of its send, or of its copy in Sent, is part of a message. */
export async function touchMessages(db: Db, ids: readonly MessageId[]): Promise<void> {
  if (ids.length === 0) return;
  await run(
    db,
    `update messages set updated_at = now()
      where id = any(array(select id from messages where id = any(:ids) order by id for no key update))`,
    { ids },
  );
}
