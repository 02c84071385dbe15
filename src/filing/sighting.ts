import { canonicalAddress, canonicalOwnAddress, domainOf } from '../message/addresses.ts';
import type { Address } from '../message/addresses.ts';
import { citedFingerprint, differByZone, minuteOf, quotedFingerprint } from '../message/fingerprint.ts';
import { author } from '../message/header.ts';
import type { MessageHeader } from '../message/header.ts';
import type { MailKind } from '../message/kind.ts';
import { idKey } from '../message/message-id.ts';
import type { FolderId, MailboxId } from '../lib/id.ts';
import type { PlaceState } from '../store/places.ts';

/** What a folder is for. `all` is Gmail's All Mail. */
export type FolderRole = 'all' | 'inbox' | 'sent' | 'archive' | 'other' | 'spam' | 'trash' | 'drafts';

/** Where in a mailbox a message was seen. A UID means something only with its UIDVALIDITY (RFC 9051 §2.3.1.1). */
export type Place = {
  folderId: FolderId;
  role: FolderRole;
  uidValidity: number;
  uid: number;
};

/** One message, seen once, in one place: all that is known of it before its body is fetched. */
export type Sighting = Seen & {
  /** Everybody named in it, once for each canonical (contact) form. */
  people: { author: Address | null; recipients: Address[] };
  messageKeys: string[];
  /** By what it is known where it was forwarded inline before it was seen; null: it was not received, or has no date. */
  quotedKey: string | null;
  threadKeys: ThreadKey[];
};

/** What the provider showed of it. */
type Seen = {
  mailboxId: MailboxId;
  place: Place;
  header: MessageHeader;
  kind: MailKind;
  /** Of the header alone, see message/fingerprint.ts. */
  fingerprint: string;
  /** INTERNALDATE, ms since the epoch: when the provider received it. */
  internalDate: number;
  /** RFC822.SIZE in bytes; Exchange only estimates it. */
  size: number;
  /** Flags and Gmail labels, lower-case: `\seen`, `\draft`, `\sent`, `\inbox`, … */
  marks: ReadonlySet<string>;
  /** X-GM-MSGID and X-GM-THRID (decimal text, they exceed 2^53); null elsewhere. */
  gmail: { messageId: string; threadId: string } | null;
  /** It is there, and the provider cannot show even its header (T3): header and structure are empty. */
  unreadable: boolean;
};

/** A sighting, with what filing asks of it again and again. Pure. */
export function sight(seen: Seen): Sighting {
  return {
    ...seen,
    people: peopleOf(seen.header),
    messageKeys: messageKeysOf(seen),
    quotedKey: quotedKeyOf(seen),
    threadKeys: threadKeysOf(seen),
  };
}

/**
 * The same without logging addresses among its people: one is no participant and no contact, and mail to nobody
 * else is mail to nobody (B6). What the message is known by stays. Pure.
 */
export function withoutLogging(sighting: Sighting, loggingDomain: string | null): Sighting {
  const isLogging = ({ address }: Address) => domainOf(address) === loggingDomain;
  if (loggingDomain === null || !sighting.people.recipients.some(isLogging)) return sighting;
  const rest = (list: readonly Address[]) => list.filter((one) => !isLogging(one));
  const { to, cc, bcc } = sighting.header;
  const header = { ...sighting.header, to: rest(to), cc: rest(cc), bcc: rest(bcc) };
  return { ...sighting, header, people: peopleOf(header) };
}

/** Sent by the mailbox's own person, or received by them. */
export type Direction = 'inbound' | 'outbound';

/**
 * The direction of a message. The Sent folder (or Gmail's \Sent label) decides. Elsewhere what was
 * delivered was received, whoever it claims to be from, so that a forged From cannot pass as something
 * the user wrote: mail in the inbox, and mail with the headers that a server adds on delivery, which a
 * filter or a person may have moved anywhere. What is left was put there by a mail program: a Sent copy
 * that was archived, an answer saved beside its question.
 */
export function directionOf(sighting: Seen, ownAddresses: ReadonlySet<string>): Direction {
  const { role } = sighting.place;
  if (role === 'sent' || sighting.marks.has('\\sent')) return 'outbound';
  if (role === 'inbox' || role === 'all' || wasDelivered(sighting.header)) return 'inbound';
  const writer = author(sighting.header);
  return writer !== null && ownAddresses.has(canonicalOwnAddress(writer.address)) ? 'outbound' : 'inbound';
}

/**
 * What a place says of a message that lies there (U3). In Gmail's All Mail the labels say it: what has left
 * the inbox is archived, what the person wrote is in Sent as long as it exists. Pure.
 */
export function placeStateOf(role: FolderRole, marks: ReadonlySet<string>): PlaceState {
  const has = (...labels: string[]) => labels.some((label) => marks.has(label));
  if (role === 'spam' || role === 'trash') return 'trashed';
  if (role === 'archive') return 'archived';
  if (role !== 'all') return 'present';
  if (has('\\trash', '\\spam', '\\junk')) return 'trashed';
  return has('\\inbox', '\\sent') ? 'present' : 'archived';
}

/** RFC 5321 §4.4: each server on the way adds Received, the last one Return-Path; Delivered-To is custom. */
function wasDelivered({ fields }: MessageHeader): boolean {
  return fields.has('received') || fields.has('return-path') || fields.has('delivered-to');
}

/**
 * The names that this message is known by (table message_keys), the best one first. One without an id has
 * its size for a name: devices send several in a second that are else alike.
 */
function messageKeysOf(sighting: Seen): string[] {
  const { messageId, originalMessageId } = sighting.header;
  return [
    messageId === null ? `none:${sighting.fingerprint}:${sighting.size}` : idKey(messageId),
    ...(originalMessageId === null ? [] : [idKey(originalMessageId)]),
    ...(sighting.gmail === null ? [] : [gmailMessageKey(sighting.mailboxId, sighting.gmail.messageId)]),
  ];
}

/**
 * The name under which a mail is logged that the user forwarded inline, and by which the mailbox's own copy is known as
 * the same (S12). It goes with `quoted` for a fingerprint, which no header has: a Message-ID may be written like this key.
 */
function quotedKeyOf({ header, place }: Seen): string | null {
  const fingerprint = place.role === 'sent' ? null : quotedFingerprint(header);
  return fingerprint === null ? null : `none:quoted:${fingerprint}`;
}

/** Stands for the fingerprint beside a quotedKey. */
export const quoted = 'quoted';

/**
 * The fingerprint that goes with the Message-ID of a mail that was forwarded inline, as far as the forward cites it:
 * of what is logged so, and of the mailbox's own copy. Null where it was not received, or has no date.
 */
export function citedAs({ header, place }: Seen): string | null {
  const fingerprint = place.role === 'sent' ? null : citedFingerprint(header);
  if (fingerprint === null || header.date === null) return null;
  return `${citedPrefix}${fingerprint}:${minuteOf(header.date)}`;
}

/** Which no fingerprint of a header begins with. */
export const citedPrefix = 'cited:';

/** Without the minute, which may be of another time zone: by that alone an erased one is known again. */
export function zoneless(fingerprint: string): string {
  return fingerprint.startsWith(citedPrefix)
    ? fingerprint.slice(0, fingerprint.lastIndexOf(':'))
    : fingerprint;
}

/** Whether what was `read` above a forward may be what was `written`, both by their names of `citedAs`. */
export function isCited(read: string, written: string): boolean {
  const minute = (name: string) => Number(name.slice(name.lastIndexOf(':') + 1));
  return (
    zoneless(read) === zoneless(written) && differByZone({ read: minute(read), written: minute(written) })
  );
}

/** Gmail's own id names one message of one mailbox, whatever label it is seen in. */
function gmailMessageKey(mailboxId: MailboxId, gmailMessageId: string): string {
  return `gm:${mailboxId}:${gmailMessageId}`;
}

/** By what a thread knows its messages (table thread_keys). */
export type ThreadKey = { key: string; kind: 'message' | 'referenced' | 'gmail' | 'thread_index' };

/**
 * The keys by which this message may belong to a thread, the strongest first: what it answers
 * (In-Reply-To, then References from the newest back, RFC 5256 REFERENCES step 1), its own ids
 * (an answer may have come before it), Gmail's thread, the root of Outlook's Thread-Index.
 */
function threadKeysOf(sighting: Seen): ThreadKey[] {
  const { inReplyTo, references, messageId, originalMessageId, threadIndexRoot } = sighting.header;
  const ids = [...inReplyTo, ...references.toReversed()];
  const keys = new Map<string, ThreadKey['kind']>();
  for (const id of ids) keys.set(idKey(id), 'referenced');
  for (const id of [messageId, originalMessageId]) {
    if (id !== null) keys.set(idKey(id), 'message');
  }
  if (sighting.gmail !== null) keys.set(`gm:${sighting.mailboxId}:${sighting.gmail.threadId}`, 'gmail');
  if (threadIndexRoot !== null) keys.set(`ti:${threadIndexRoot}`, 'thread_index');
  return [...keys].map(([key, kind]) => ({ key, kind }));
}

function peopleOf(header: MessageHeader): Sighting['people'] {
  return { author: author(header), recipients: distinct([...header.to, ...header.cc, ...header.bcc]) };
}

function distinct(addresses: readonly Address[]): Address[] {
  const seen = new Map<string, Address>();
  for (const address of addresses) {
    const canonical = canonicalAddress(address.address);
    if (!seen.has(canonical)) seen.set(canonical, address);
  }
  return [...seen.values()];
}
