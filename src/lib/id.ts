import { randomUUID } from 'node:crypto';

/** What an id names; the prefix is part of the id everywhere, so that a wrong one is seen at a glance. */
export type IdPrefix =
  | 'mbx'
  | 'fld'
  | 'con'
  | 'cnv'
  | 'thr'
  | 'msg'
  | 'snd'
  | 'dec'
  | 'evt'
  | 'whk'
  | 'dlv'
  | 'key'
  | 'lnk'
  | 'cct'
  | 'rvk'
  | 'bkf'
  | 'aud'
  | 'err'
  | 'wch'
  | 'lad'
  | 'spl'
  | 'mln'
  | 'adm'
  | 'ses'
  | 'pvl'
  | 'trc';

/** A gateway id: a prefix and a UUIDv7, for example `msg_01932c07-…`. Unique in the whole installation. */
export type Id<P extends IdPrefix> = `${P}_${string}`;

export type MailboxId = Id<'mbx'>;
export type FolderId = Id<'fld'>;
export type ConnectionId = Id<'con'>;
export type ConversationId = Id<'cnv'>;
export type ThreadId = Id<'thr'>;
export type MessageId = Id<'msg'>;
export type SendId = Id<'snd'>;
export type DecisionId = Id<'dec'>;
export type EventId = Id<'evt'>;
export type WebhookId = Id<'whk'>;
export type DeliveryId = Id<'dlv'>;
export type KeyId = Id<'key'>;
export type LinkId = Id<'lnk'>;
export type LoggingAddressId = Id<'lad'>;
export type SpoolId = Id<'spl'>;
export type AdministratorId = Id<'adm'>;
export type SessionId = Id<'ses'>;
export type ProvenLoginId = Id<'pvl'>;
export type TraceId = Id<'trc'>;
/** A backfill, an audit, or another errand in a mailbox. */
export type ErrandId = Id<'bkf' | 'aud' | 'err'>;

let lastMs = 0;
/** How an id of that time goes on behind its prefix. */
let lastTime = '';
let counter = 0;

/**
 * A new id. UUIDv7 (RFC 9562 §5.7) whose 12 bits after the time are a counter, so that ids made by
 * one process sort in the order in which they were made, also within one millisecond.
 */
export function newId<P extends IdPrefix>(prefix: P): Id<P> {
  const now = Date.now();
  if (now > lastMs || ++counter > 0xfff) {
    lastMs = Math.max(now, lastMs + 1);
    lastTime = timeText(lastMs);
    counter = 0;
  }
  const count = counter.toString(16).padStart(3, '0');
  // The end of a random UUID: its variant and 62 random bits, from a pool that Node keeps filled.
  return `${prefix}_${lastTime}-7${count}${randomUUID().slice(18)}`;
}

/** What every id made at `ms` (since the epoch) begins with: it sorts behind all older ids, before all later ones. */
export function idFrom<P extends IdPrefix>(prefix: P, ms: number): Id<P> {
  return `${prefix}_${timeText(ms)}`;
}

function timeText(ms: number): string {
  const time = ms.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}`;
}
