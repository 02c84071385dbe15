import { canonicalAddress } from './addresses.ts';
import { cleanBody, cleanLine } from './charset.ts';
import { headerFingerprint } from './fingerprint.ts';
import { readHeader } from './header.ts';
import type { MessageHeader } from './header.ts';
import { readPlainReport } from './plain-delivery-report.ts';

/** What a delivery report (RFC 3464), or a read receipt (RFC 8098), says of a message that somebody sent. */
export type DeliveryReport = {
  /** Bare Message-IDs of the message that it is about: the original's own and what the report answers. */
  cites: string[];
  /** Of the originals whose header came with it: by it one is known whose Message-ID a provider replaced. */
  fingerprints: string[];
  recipients: ReportedRecipient[];
};

export type ReportedRecipient = {
  /** Contact's canonical form; the original recipient first, since that is whom we wrote to. Never empty. */
  addresses: string[];
  /** RFC 3464 §2.3.3, RFC 8098 §3.2.6.2. `failed` alone is a bounce. */
  action: ReportAction;
  /** Enhanced status code (RFC 3463), for example `5.1.1`; null where there is none. */
  status: string | null;
  /** The remote system's own words; null where there are none. */
  words: string | null;
};

const deliveryActions = ['failed', 'delayed', 'delivered', 'relayed', 'expanded'] as const;
/** `deleted`: without having been shown. What else a receipt may say is about the receipt. */
const receiptActions = ['displayed', 'deleted'] as const;

export type ReportAction = (typeof deliveryActions)[number] | (typeof receiptActions)[number];

/** A part of a message, as the MIME parser gives it. */
type Part = { type: string; content: Buffer };

/** More than a report on a thousand recipients has. */
const statusCharsMax = 1_000_000;
/** Longest text of another system that is kept. */
const wordsCharsMax = 500;

/** RFC 6533 has them once more, in UTF-8. */
const statusTypes = new Set(['message/delivery-status', 'message/global-delivery-status']);
const receiptTypes = new Set(['message/disposition-notification', 'message/global-disposition-notification']);
const originalTypes = new Set([
  'message/rfc822',
  'message/global',
  'text/rfc822-headers',
  'message/rfc822-headers',
  'message/global-headers',
]);

/**
 * What a message of kind `delivery_report` or `read_receipt` reports, from its parts and its text as the
 * MIME parser gives them: the part for machines, and where there is none, the fixed sentences of those
 * systems that write none. Null when neither names a recipient. Pure.
 */
export function readDeliveryReport(message: {
  header: MessageHeader;
  parts: readonly Part[];
  text: string;
}): DeliveryReport | null {
  const { header, parts, text } = message;
  const machine = parts.find(({ type }) => statusTypes.has(type) || receiptTypes.has(type));
  const plain = machine === undefined ? readPlainReport(text, header) : null;
  const recipients = machine === undefined ? recipientsOf(plain) : recipientsIn(machine);
  if (recipients.length === 0) return null;
  const copies = parts.filter(({ type }) => originalTypes.has(type)).map(({ content }) => content);
  if (plain?.copy != null) copies.push(Buffer.from(plain.copy));
  const originals = copies.map(readHeader);
  const named = machine === undefined ? [] : originalIdOf(machine);
  const ids = originals.flatMap(({ messageId, originalMessageId }) => [messageId, originalMessageId]);
  const answers = [...header.inReplyTo, ...header.references];
  return {
    cites: [...new Set([...named, ...ids.filter((id) => id !== null), ...answers])],
    // Without a date it would be that of whatever else has none.
    fingerprints: originals
      .filter(({ date }) => date !== null)
      .map((one) => headerFingerprint(one, Number.NaN)),
    recipients,
  };
}

/**
 * What kind of failure the codes tell of: for the CRM to decide whether to write to the address again.
 * - `hard`: the address cannot be reached, neither now nor later.
 * - `soft`: it may be reached at another time, or by another message: it is full, busy, or the message too large.
 * - `block`: the other side does not want this sender, or this message, by its policy.
 */
export type BounceClass = 'hard' | 'soft' | 'block';

/** The first that fits. RFC 3463 §3, and where big systems mean something else by a code, they. */
const classes: readonly [code: RegExp, means: BounceClass][] = [
  [/^4\./, 'soft'],
  // "Bad sender's mailbox address".
  [/^5\.1\.[78]$/, 'block'],
  [/^5\.1\./, 'hard'],
  [/^5\.2\.[23]$/, 'soft'],
  [/^5\.2\./, 'hard'],
  // Exchange Online (Microsoft's NDR page, seen 2026-11): 5.4.1 is a recipient that is not in the directory,
  // 5.4.310 a domain that does not exist; 5.4.4 is that of Postfix.
  [/^5\.4\.(?:1|4|310)$/, 'hard'],
  [/^5\.[3456]\./, 'soft'],
  [/^5\.7\./, 'block'],
  [/^5\./, 'hard'],
];

/**
 * The class of a failure from the enhanced status code, not from the first digit (D5). Where the code says
 * nothing (`5.0.0`), the one in the remote system's words counts, and then its three-digit reply. Null when
 * there is none. Pure.
 */
export function bounceClass(failure: Pick<ReportedRecipient, 'status' | 'words'>): BounceClass | null {
  const { status, words } = failure;
  const vague = status === null || /^[245]\.0\.0$/.test(status);
  const code = vague ? (statusIn(words ?? '') ?? replyIn(words ?? '') ?? status) : status;
  return classes.find(([pattern]) => pattern.test(code ?? ''))?.[1] ?? null;
}

/** An enhanced code behind a reply's three digits or, as qmail and Exchange write it, behind `#`. */
function statusIn(words: string): string | null {
  return /(?:\b[245]\d\d[ -]|#)([245]\.\d{1,3}\.\d{1,3})(?![.\d])/.exec(words)?.[1] ?? null;
}

/** What a reply without an enhanced code means in one; 552 is a full mailbox (RFC 5321 §4.2.2). */
function replyIn(words: string): string | null {
  const reply = /(?:^|[\s:;])([45][0-5]\d)(?=[ -])/.exec(words)?.[1];
  if (reply === undefined) return null;
  return reply === '552' ? '5.2.2' : `${reply.charAt(0)}.0.0`;
}

function recipientsOf(plain: ReturnType<typeof readPlainReport>): ReportedRecipient[] {
  return (plain?.recipients ?? []).map(({ address, words }) => ({
    addresses: [canonicalAddress(address)],
    action: plain?.action ?? 'failed',
    status: statusIn(words),
    words: wordsOf(words),
  }));
}

function recipientsIn({ type, content }: Part): ReportedRecipient[] {
  const groups = groupsOf(cleanBody(content.toString('utf8'), statusCharsMax));
  return groups.flatMap(receiptTypes.has(type) ? readerOf : recipientOf);
}

/** RFC 8098 §3.2.5; only receipts have it. */
function originalIdOf({ content }: Part): string[] {
  const fields = groupsOf(cleanBody(content.toString('utf8'), statusCharsMax));
  const value = fields.find((group) => group.has('original-message-id'))?.get('original-message-id');
  const id = value === undefined ? null : readHeader(Buffer.from(`Message-ID: ${value}\r\n\r\n`)).messageId;
  return id === null ? [] : [id];
}

/** Blocks of fields between blank lines (RFC 3464 §2.1), unfolded, names in lower case. */
function groupsOf(text: string): Map<string, string>[] {
  return text.split(/\r?\n[ \t]*\r?\n/).map((block) => {
    const fields = new Map<string, string>();
    for (const line of block.replaceAll(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)) {
      const colon = line.indexOf(':');
      if (colon > 0) fields.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    }
    return fields;
  });
}

function recipientOf(fields: Map<string, string>): ReportedRecipient[] {
  const written = fields.get('action')?.toLowerCase() ?? '';
  const action = deliveryActions.find((one) => one === written);
  const addresses = addressesOf(fields);
  if (addresses.length === 0 || action === undefined) return [];
  const status = /\b[245]\.\d{1,3}\.\d{1,3}\b/.exec(fields.get('status') ?? '')?.[0] ?? null;
  const diagnostic = fields.get('diagnostic-code')?.replace(/^[^;]*;/, '');
  return [{ addresses, action, status, words: wordsOf(diagnostic ?? '') }];
}

/** `Disposition: manual-action/MDN-sent-manually; displayed` (RFC 8098 §3.2.6). */
function readerOf(fields: Map<string, string>): ReportedRecipient[] {
  const type = /;\s*([a-z]+)/i.exec(fields.get('disposition') ?? '')?.[1]?.toLowerCase();
  const action = receiptActions.find((one) => one === type);
  const addresses = addressesOf(fields);
  if (addresses.length === 0 || action === undefined) return [];
  return [{ addresses, action, status: null, words: null }];
}

function addressesOf(fields: Map<string, string>): string[] {
  const named = ['original-recipient', 'final-recipient'].map((name) => addressIn(fields.get(name) ?? ''));
  return [...new Set(named.filter((address) => address !== ''))];
}

/** `rfc822; ann@customer.example` (RFC 3464 §2.3.1), or `utf-8; j\x{F6}rg@customer.example` (RFC 6533 §3). */
function addressIn(value: string): string {
  const [, type = '', text = ''] = /^(?:([^;]*);)?(.*)$/s.exec(value) ?? [];
  const bare = text.trim().replace(/^<(.*)>$/, '$1');
  const written = type.trim().toLowerCase() === 'utf-8' ? withoutEscapes(bare) : bare;
  return canonicalAddress(outOfExchange(written));
}

function withoutEscapes(text: string): string {
  return text.replaceAll(/\\x\{([0-9a-f]{2,6})\}/gi, (whole, hex: string) => {
    const code = Number.parseInt(hex, 16);
    return code < 0x110000 ? String.fromCodePoint(code) : whole;
  });
}

/** Exchange wraps what it cannot route: `IMCEASMTP-carla+40customer+2Eexample@seller.example`. */
function outOfExchange(address: string): string {
  const inner = /^IMCEA(?:SMTP|RFC822)-([^@]+)@/i.exec(address)?.[1];
  return inner === undefined
    ? address
    : inner.replaceAll(/\+([0-9a-f]{2})/gi, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
}

function wordsOf(text: string): string | null {
  return cleanLine(text, wordsCharsMax) || null;
}
