import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import type { Address } from '../message/addresses.ts';
import { domainOf } from '../message/addresses.ts';
import type { AttachmentLimits } from '../message/attachment-limits.ts';
import { textLines } from '../message/body-lines.ts';
import { cleanBody } from '../message/charset.ts';
import { headerFingerprint } from '../message/fingerprint.ts';
import { readForwarded } from '../message/forwarded.ts';
import type { Forwarded } from '../message/forwarded.ts';
import { author } from '../message/header.ts';
import type { MessageHeader } from '../message/header.ts';
import { mailKind } from '../message/kind.ts';
import type { MailKind } from '../message/kind.ts';
import { parseMessage } from '../message/parse.ts';
import type { ParsedMessage } from '../message/parse.ts';
import { isForwardMark } from '../message/quote-marks.ts';
import { replyText } from '../message/reply-text.ts';
import type { FolderId, MailboxId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { blobName } from '../store/blobs.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { HeldReading, LoggedMail } from '../store/spool.ts';
import { keepBody } from './body.ts';
import type { Body } from './effects.ts';
import type { LoggedFacts } from './facts.ts';
import { sight, withoutLogging } from './sighting.ts';
import type { Sighting } from './sighting.ts';

/** A mail that came to a logging address, read. */
export type Letter = {
  mail: LoggedMail;
  /**
   * What is to be logged: the mail itself, or what it forwards; no logging address is among its people. A forward's
   * own names are not kept: its copy in Sent is no copy of what it forwards (U3).
   */
  sighting: Sighting;
  body: Body;
  /** Resolves when the blobs of the body are durable: see readBody. */
  kept: Promise<unknown>;
  /** Who sent the mail itself; null where From is not one readable address. */
  writer: Address | null;
  /** Of the mail itself. */
  kind: MailKind;
  loop: boolean;
  forwarded: LoggedFacts['forwarded'];
  /** The Message-ID of what it forwards inline, as mail programs cite it: last. Null where they cite none. */
  citedId: string | null;
  /** The same, where it forwards one mail alone: of several it cites one, perhaps not the first, which is logged. */
  knownAsCited: string | null;
  /** Its attachments are past the limit of the user's mailbox, and such mail is not to be stored without them (L1). */
  isTooLarge: boolean;
  /** Logging addresses that it names beside the one that it came to, in Cc or To. */
  otherLocalParts: string[];
  /** What whoever reviews it is shown. */
  reading: HeldReading;
};

export type OpenMail = { mail: LoggedMail; raw: Buffer; parsed: ParsedMessage };

/** RFC 5321 §6.3: as often a message is passed on before it must be going in circles. */
const hopsMax = 100;
/** A header is within them (see message/header.ts). */
const headBytesMax = 256 * 1024;

/** What a mail is read with. */
export type Reading = {
  blobs: BlobStore;
  secretBox: SecretBox;
  loggingDomain: string | null;
  /** The mailbox of the user, or what stands for none. */
  mailboxId: MailboxId;
  /** Of the provider of that mailbox (B7). */
  limits: AttachmentLimits;
  /** What is past them is not stored without the attachments, but not at all. */
  refusesTooLarge: boolean;
  /** Of the sub-account, in whatever spelling. */
  isUser(address: string): boolean;
};

/** A mail from its blob, parsed. Rejects where the blob cannot be read, or is not what was accepted (T3). */
export async function openMail(blobs: BlobStore, mail: LoggedMail): Promise<OpenMail> {
  const raw = await buffer(blobs.get(mail.sha256));
  assert.equal(blobName(raw), mail.sha256, 'a blob is not what its name says');
  return { mail, raw, parsed: await parseMessage(raw) };
}

/** Finds out what of a mail is to be logged. `uid` tells it from the others of a batch. */
export async function readLetter(
  reading: Reading,
  { mail, raw, parsed }: OpenMail,
  uid: number,
): Promise<Letter> {
  const outer = sightLetter(reading, mail, uid, { header: parsed.header, at: mail.receivedAt, role: 'sent' });
  const hasOutside = outer.people.recipients.some(({ address }) => !reading.isUser(address));
  // A mail to somebody else that quotes a forward is a mail to them.
  const forwarded: Forwarded = hasOutside ? { form: 'none' } : readForwarded(parsed);
  const inner = await innerOf(forwarded, { raw, parsed, mail });
  const limiting = { limits: reading.limits, anySize: mail.isReleased };
  // The row of the mail that waits holds its blob, until the message does.
  const stored = inner.raw === raw ? { name: mail.sha256, kept: Promise.resolve() } : null;
  const { body, kept } = keepBody(reading, { raw: inner.raw, stored }, inner.parsed, limiting);
  const citedId = forwarded.form === 'inline' ? (inner.parsed.header.references.at(-1) ?? null) : null;
  const isTooLarge = reading.refusesTooLarge && !mail.isReleased && body.tooLarge;
  const { header } = inner.parsed;
  // What the user wrote themselves stays theirs, also when they forward it.
  const isOwn = forwarded.form === 'none' || sameWriter(header, parsed.header);
  const at = forwarded.form === 'none' ? mail.receivedAt : (header.date ?? mail.receivedAt);
  const sighting =
    forwarded.form === 'none'
      ? outer
      : sightLetter(reading, mail, uid, { header, at, role: isOwn ? 'sent' : 'inbox' });
  return {
    mail,
    sighting,
    body,
    kept,
    writer: author(parsed.header),
    kind: kindOf(mail, parsed.header),
    loop: isLoop(reading, mail, raw, [...parsed.header.from, ...header.from]),
    isTooLarge,
    citedId,
    knownAsCited: citedId === null || hasForwardMark(inner.parsed.text) ? null : citedId,
    forwarded: forwarded.form === 'none' ? 'no' : forwarded.confident ? 'sure' : 'unsure',
    otherLocalParts: loggingLocalParts(reading, parsed.header),
    reading: shownOf(outer, forwarded, { sighting, text: inner.parsed.text }),
  };
}

/** A further mail is forwarded in it. */
function hasForwardMark(text: string): boolean {
  return textLines(text).some((line) => isForwardMark(line.text));
}

/** What is logged: the mail, or what it forwards with whatever a reviewer has said of it. */
async function innerOf(
  forwarded: Forwarded,
  given: { raw: Buffer; parsed: ParsedMessage; mail: LoggedMail },
): Promise<{ raw: Buffer; parsed: ParsedMessage }> {
  const { raw, parsed, mail } = given;
  if (forwarded.form === 'none') return { raw, parsed };
  const from = mail.author === null ? null : [mail.author];
  if (forwarded.form === 'attached') {
    const attached = await parseMessage(forwarded.raw);
    const header = from === null ? attached.header : { ...attached.header, from, sender: null };
    return { raw: forwarded.raw, parsed: { ...attached, header } };
  }
  const { original } = forwarded;
  const header: MessageHeader = {
    ...emptyHeader,
    from: from ?? (original.from === null ? [] : [original.from]),
    to: original.to,
    cc: original.cc,
    subject: original.subject,
    // Mail programs cite in the forward what they forward, and all that it cites.
    references: [...parsed.header.references, ...parsed.header.inReplyTo],
    date: original.date?.getTime() ?? parsed.header.date,
    dateText: original.date === null ? '' : forwarded.read.date,
  };
  const { text, html } = original;
  // The bytes are those of the forward: of what was forwarded there are none.
  return { raw, parsed: { ...parsed, header, text, html, replyText: replyText({ text, html }) } };
}

const emptyHeader: MessageHeader = {
  messageId: null,
  originalMessageId: null,
  inReplyTo: [],
  references: [],
  threadIndexRoot: null,
  from: [],
  sender: null,
  replyTo: [],
  to: [],
  cc: [],
  bcc: [],
  subject: '',
  date: null,
  dateText: '',
  fields: new Map(),
};

/** As if it had been seen in the user's mailbox; Bcc counts for nothing here (B2). */
function sightLetter(
  { loggingDomain, mailboxId }: Reading,
  mail: LoggedMail,
  uid: number,
  seen: { header: MessageHeader; at: number; role: 'sent' | 'inbox' },
): Sighting {
  const header = { ...seen.header, bcc: [] };
  const sighting = sight({
    mailboxId,
    place: { folderId: 'fld_logging' satisfies FolderId, role: seen.role, uidValidity: 0, uid },
    header,
    kind: mailKind(header).kind,
    fingerprint: headerFingerprint(header, seen.at),
    internalDate: seen.at,
    size: mail.size,
    marks: new Set(['\\seen']),
    gmail: null,
    unreadable: false,
  });
  return withoutLogging(sighting, loggingDomain);
}

function sameWriter(one: MessageHeader, other: MessageHeader): boolean {
  const [a, b] = [author(one), author(other)];
  return a !== null && b !== null && a.address.toLowerCase() === b.address.toLowerCase();
}

/** RFC 5321 §4.5.5: what has no return path is written by no person, and nothing was asked of its sender. */
function kindOf({ envelope }: LoggedMail, header: MessageHeader): MailKind {
  const { kind } = mailKind(header);
  const isReport = kind === 'delivery_report' || kind === 'read_receipt';
  return envelope.from === '' && !isReport ? 'auto_reply' : kind;
}

/** `writers` are of the mail, and of what it forwards. */
function isLoop(
  { loggingDomain }: Reading,
  mail: LoggedMail,
  raw: Buffer,
  writers: readonly Address[],
): boolean {
  const senders = [mail.envelope.from, ...writers.map(({ address }) => address)];
  if (senders.some((address) => domainOf(address) === loggingDomain)) return true;
  const end = raw.indexOf('\r\n\r\n');
  const head = raw.subarray(0, Math.min(end < 0 ? headBytesMax : end, headBytesMax)).toString('latin1');
  return (head.match(/^received:/gim)?.length ?? 0) > hopsMax;
}

function loggingLocalParts({ loggingDomain }: Reading, header: MessageHeader): string[] {
  return [...header.to, ...header.cc]
    .filter(({ address }) => domainOf(address) === loggingDomain)
    .map(({ address }) => /^[^+@]*/.exec(address.toLowerCase())?.[0] ?? '');
}

/** So much tells a person which mail it is; all of it is in its bytes. */
const shownCharsMax = 2_000;

/** `inner` is what would be logged: `outer`, or what that forwards. */
function shownOf(
  outer: Sighting,
  forwarded: Forwarded,
  inner: { sighting: Sighting; text: string },
): HeldReading {
  const { header, people } = outer;
  return {
    from: people.author,
    to: header.to,
    cc: header.cc,
    subject: header.subject,
    date: timeOf(header.date),
    text: cleanBody(inner.text, shownCharsMax),
    forwarded: forwarded.form === 'none' ? null : forwardShown(forwarded, inner.sighting),
  };
}

function forwardShown(
  forwarded: Exclude<Forwarded, { form: 'none' }>,
  { header, people }: Sighting,
): HeldReading['forwarded'] {
  const isInline = forwarded.form === 'inline';
  const { from, date, subject } = isInline ? forwarded.read : { from: '', date: '', subject: '' };
  return {
    from: people.author,
    to: header.to,
    cc: header.cc,
    subject: header.subject,
    // Without a date of its own it would be logged by that of the forward, which nobody has read there.
    date: timeOf(isInline ? (forwarded.original.date?.getTime() ?? null) : header.date),
    doubts: [...forwarded.doubts],
    written: from + date + subject === '' ? null : { from, date, subject },
  };
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
