import { newId } from '../lib/id.ts';
import { run } from './database.ts';
import type { Db } from './database.ts';

/** What can happen, as the CRM hears of it. The list of API.md; closed. */
export const eventTypes = [
  'message.created',
  'message.updated',
  'conversation.created',
  'conversation.updated',
  'contact.created',
  'contact.claimed',
  'thread.unlinked',
  'send.queued',
  'send.held',
  'send.sent',
  'send.bounced',
  'send.failed',
  'send.cancelled',
  'send.opened',
  'send.clicked',
  'connection.created',
  'connection.state_changed',
  'connection.recovered',
  'connection.superseded',
  'connection.disconnected',
  'decision.held',
  'backfill.finished',
  'audit.finished',
] as const;

export type EventType = (typeof eventTypes)[number];

/** An event that a transaction is about to leave behind. */
export type NewEvent = {
  type: EventType;
  /** Null: of the installation; only keys and webhooks for all sub-accounts see it. */
  sub_account_id: string | null;
  /** Within each of these keys the CRM hears events in order: conversations, or the connection. */
  order_keys: string[];
  /** The object as the API shows it, in snake_case. */
  data: unknown;
};

/**
 * Leaves events behind in the caller's transaction (W2): they exist if and only if what they tell
 * was committed. They get their number, and reach webhooks, when they are published. One statement
 * for all of them; in the order of the list.
 */
export async function recordEvents(db: Db, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  const listed = events.map((event) => ({ id: newId('evt'), ...event }));
  await run(
    db,
    `with recorded as (
       insert into events (id, type, sub_account_id, order_keys, data)
       select e.value->>'id', e.value->>'type', e.value->>'sub_account_id',
              array(select jsonb_array_elements_text(e.value->'order_keys')), e.value->'data'
       from jsonb_array_elements(:events::jsonb) with ordinality as e (value, n)
       order by e.n)
     select pg_notify('twoway_events', '')`,
    { events: jsonText(listed) },
  );
}

/** JSON that jsonb takes: it knows neither U+0000 nor half of a surrogate pair, and mail has both. */
function jsonText(value: unknown): string {
  const text = JSON.stringify(value);
  if (!/\\u(0000|d[89a-f])/.test(text)) return text;
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'string' ? part.replaceAll('\0', '').toWellFormed() : part,
  );
}
