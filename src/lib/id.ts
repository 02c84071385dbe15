import { randomBytes } from 'node:crypto';

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
  | 'cct';

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

let lastMs = 0;
let counter = 0;

/**
 * A new id. UUIDv7 (RFC 9562 §5.7) whose 12 bits after the time are a counter, so that ids made by
 * one process sort in the order in which they were made, also within one millisecond.
 */
export function newId<P extends IdPrefix>(prefix: P): Id<P> {
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    counter = 0;
  } else if (++counter > 0xfff) {
    lastMs += 1;
    counter = 0;
  }
  const bytes = randomBytes(16);
  bytes.writeUIntBE(lastMs, 0, 6);
  bytes.writeUInt16BE(0x7000 | counter, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  const uuid = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join(
    '-',
  );
  return `${prefix}_${uuid}`;
}
