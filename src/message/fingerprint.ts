import { hash } from 'node:crypto';
import { canonicalAddress } from './addresses.ts';
import { foldBlanks } from './charset.ts';
import { author, type MessageHeader } from './header.ts';
import { baseSubject } from './subject.ts';

/**
 * What makes two copies the same message, beside the Message-ID, which senders reuse, rewrite and
 * omit (rule S12): 32 hex characters of a SHA-256 over what every copy of a message shares.
 *
 * - the author, in canonical form: programs differ in how they write the name;
 * - the date in whole seconds: set once by the sender, and what tells apart two messages of a
 *   program that reuses its ids and subjects. Unreadable dates count as they are written; without
 *   any, the time at which the provider received it does, which a copy or a move keeps;
 * - the subject, decoded, white space folded: servers fold and encode it anew;
 * - To and Cc, each once and sorted: servers reorder and merge them.
 *
 * Sizes and bodies are left out: each way a message takes adds headers, changes transfer encodings
 * or appends a footer, so the Sent copy and the received one differ. Bcc is left out because only
 * the sender's own copy has it; References, because Exchange shortens them. `receivedAt` is INTERNALDATE
 * in ms since the epoch, NaN where the server gives none.
 */
export function headerFingerprint(header: MessageHeader, receivedAt: number): string {
  const writer = author(header);
  const recipients = [...header.to, ...header.cc].map((recipient) => canonicalAddress(recipient.address));
  const parts = [
    writer === null ? '' : canonicalAddress(writer.address),
    dateOf(header, receivedAt),
    foldBlanks(header.subject.normalize('NFC')),
    ...[...new Set(recipients)].sort(),
  ];
  // Control characters are stripped from every part, so a newline can not be part of one.
  return hash('sha256', parts.join('\n'), 'hex').slice(0, 32);
}

function dateOf({ date, dateText }: MessageHeader, receivedAt: number): string {
  if (date !== null) return String(Math.floor(date / 1000));
  return dateText === '' ? `received ${Math.floor(receivedAt / 1000)}` : dateText;
}

const minuteMs = 60_000;

/**
 * What is left of a message's identity where somebody forwards it in the text of another one: 32 hex characters of a
 * SHA-256 over its author, the minute of its date and its subject without the marks of answers and forwards, since mail
 * programs write no Message-ID and no second above what they forward. Null where author or date is missing.
 */
export function quotedFingerprint(header: MessageHeader): string | null {
  return fingerprintBy(header, minuteOf, baseSubject(header.subject).toLowerCase());
}

/** Of a date in ms since the epoch. */
export function minuteOf(date: number): number {
  return Math.floor(date / minuteMs);
}

/** Time zones differ by so many whole minutes. */
const zoneMinutes = 15;

/** The furthest from UTC; those, in minutes, that are no whole or half hours: Nepal, Eucla, the Chatham Islands. */
const [zoneMinutesMax, quarterZones] = [14 * 60, new Set([345, 525, 765, 825])];

/**
 * Whether two dates, in whole minutes, may be one that was `read` without its zone, as Outlook and Gmail write it above
 * what they forward: taken for one in UTC, since Exchange dates all that it sends in that, it is off by the zone, and
 * else by an hour or none.
 */
export function differByZone({ read, written }: { read: number; written: number }): boolean {
  const apart = read - written;
  return quarterZones.has(apart) || (apart % 30 === 0 && Math.abs(apart) <= zoneMinutesMax);
}

/** As it stands above what is forwarded, with its `Re:`, but for white space and case. */
export function subjectAsWritten(subject: string): string {
  return foldBlanks(subject.normalize('NFC')).toLowerCase();
}

/**
 * The same beside the Message-ID, where the forward cites that: without the zone of its date, and with its subject as
 * it is written, since programs may cite another mail of the thread. Null where author or date is missing.
 */
export function citedFingerprint(header: MessageHeader): string | null {
  return fingerprintBy(header, (date) => minuteOf(date) % zoneMinutes, subjectAsWritten(header.subject));
}

function fingerprintBy(
  header: MessageHeader,
  minuteBy: (date: number) => number,
  subject: string,
): string | null {
  const writer = author(header);
  if (writer === null || header.date === null) return null;
  const parts = [canonicalAddress(writer.address), minuteBy(header.date), subject];
  return hash('sha256', parts.join('\n'), 'hex').slice(0, 32);
}
