import { randomUUID } from 'node:crypto';
import { formatAddress, parseAddresses } from './address.ts';
import { decodeWords, headerOf, parseMime, textOf } from './mime.ts';

/** A mail to write. Header values in Unicode; line breaks in them become spaces. */
export type Draft = {
  /** `Eva Long <eva@customer.example>`, or the address alone. */
  from: string;
  /** As `from`, several with commas. */
  to: string;
  cc?: string | undefined;
  subject: string;
  text: string;
  /** Makes a multipart/alternative of it. */
  html?: string | undefined;
  sentAtMs: number;
  /** With angle brackets; a new one at sandbox.example where absent. */
  messageId?: string | undefined;
  inReplyTo?: string | undefined;
  /** Separated by spaces. */
  references?: string | undefined;
  /** Further header lines, in ASCII. */
  extra?: Record<string, string>;
};

export function composeMail(draft: Draft): Buffer {
  const boundary = `=_${randomUUID()}`;
  const plain = textPart('plain', draft.text);
  const body =
    draft.html === undefined
      ? plain
      : multipart('alternative', boundary, [plain, textPart('html', draft.html)]);
  return withHeaders(draft, body);
}

/** Draft of an answer to `raw`, as a mail client fills it in (RFC 5322 §3.6.4); `text` comes above the quotation. */
export function answerTo(raw: Buffer, answer: { from: string; text: string; sentAtMs: number }): Draft {
  const part = parseMime(raw);
  const header = (name: string) => decodeWords(headerOf(part, name) ?? '').replace(/\s+/g, ' ');
  const author = header('from');
  const quoted = textOf(raw, part).replaceAll('\r', '').trimEnd().replace(/^/gm, '> ');
  return {
    ...answer,
    to: header('reply-to') || author,
    subject: `Re: ${baseSubject(header('subject'))}`,
    text: `${answer.text}\n\nOn ${header('date')}, ${author} wrote:\n${quoted}\n`,
    ...threadOf(raw),
  };
}

/** What an automatic or a human answer to `raw` says of its thread. */
export function threadOf(raw: Buffer): { inReplyTo?: string; references?: string } {
  const part = parseMime(raw);
  const id = headerOf(part, 'message-id');
  if (!id) return {};
  const before = headerOf(part, 'references') ?? headerOf(part, 'in-reply-to') ?? '';
  return { inReplyTo: id, references: `${before} ${id}`.trim() };
}

/** A subject without the `Re:` and `Fwd:` before it. */
export function baseSubject(subject: string): string {
  return subject.replace(/^(?:\s*(?:re|fwd?)\s*:)+\s*/i, '').trim();
}

/** A delivery report as Gmail's mailer-daemon writes it (RFC 3464), for one recipient. */
export function composeBounce(
  raw: Buffer,
  facts: {
    to: string;
    recipient: string;
    sentAtMs: number;
    /** Of the server that refused it, beginning with its codes. */
    words: string;
  },
): Buffer {
  const part = parseMime(raw);
  const boundary = `=_${randomUUID()}`;
  const words = facts.words.replaceAll(/\s+/g, ' ');
  const code = /\b5\.\d+\.\d+\b/.exec(words)?.[0] ?? '5.0.0';
  const text = `Your message was not delivered to ${facts.recipient}. The server there said: ${words}\n`;
  const status = [
    'Reporting-MTA: dns; sandbox.example',
    '',
    `Final-Recipient: rfc822; ${facts.recipient}`,
    'Action: failed',
    `Status: ${code}`,
    `Diagnostic-Code: smtp; ${words}`,
    '',
  ].join('\r\n');
  const parts = [
    textPart('plain', text),
    `Content-Type: message/delivery-status\r\n\r\n${status}`,
    `Content-Type: text/rfc822-headers\r\n\r\n${raw.toString('latin1', 0, part.bodyStart).trimEnd()}\r\n`,
  ];
  const draft = {
    from: 'Mail Delivery Subsystem <mailer-daemon@sandbox.example>',
    to: facts.to,
    subject: 'Delivery Status Notification (Failure)',
    sentAtMs: facts.sentAtMs,
    ...threadOf(raw),
    extra: { 'Auto-Submitted': 'auto-replied', 'X-Failed-Recipients': facts.recipient, 'Return-Path': '<>' },
  };
  return withHeaders(draft, multipart('report; report-type=delivery-status', boundary, parts));
}

/** The message under a new Message-ID, its own kept in a second header: what Exchange Online does on submission. */
export function rewriteMessageId(raw: Buffer, id: string): Buffer {
  const { bodyStart, headers } = parseMime(raw);
  const kept = headers.filter(({ name }) => name !== 'message-id').map((header) => header.raw);
  const old = headers.find(({ name }) => name === 'message-id')?.value ?? '';
  const added = `Message-ID: ${id}\r\nX-Microsoft-Original-Message-ID: ${old}\r\n`;
  return Buffer.concat([Buffer.from(`${added}${kept.join('')}\r\n`, 'latin1'), raw.subarray(bodyStart)]);
}

export function newMessageId(): string {
  return `<${randomUUID()}@sandbox.example>`;
}

function withHeaders(draft: Omit<Draft, 'text' | 'html'>, body: string): Buffer {
  const lines = [
    `From: ${encodeAddresses(draft.from)}`,
    `To: ${encodeAddresses(draft.to)}`,
    draft.cc ? `Cc: ${encodeAddresses(draft.cc)}` : '',
    `Subject: ${encodeWords(draft.subject)}`,
    `Date: ${new Date(draft.sentAtMs).toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: ${oneLine(draft.messageId ?? newMessageId())}`,
    draft.inReplyTo ? `In-Reply-To: ${oneLine(draft.inReplyTo)}` : '',
    draft.references ? `References: ${oneLine(draft.references).split(' ').join('\r\n ')}` : '',
    ...Object.entries(draft.extra ?? {}).map(([name, value]) => `${name}: ${oneLine(value)}`),
    'MIME-Version: 1.0',
  ];
  return Buffer.from(`${lines.filter(Boolean).join('\r\n')}\r\n${body}`, 'latin1');
}

function multipart(subtype: string, boundary: string, parts: string[]): string {
  const inside = parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('');
  return `Content-Type: multipart/${subtype};\r\n boundary="${boundary}"\r\n\r\n${inside}--${boundary}--\r\n`;
}

/** One text part with its headers, in ASCII whatever the text. */
function textPart(subtype: 'plain' | 'html', text: string): string {
  const lines = text.replace(/\r?\n/g, '\r\n');
  // eslint-disable-next-line no-control-regex -- ASCII is what may go out unencoded
  const plain = /^[\x00-\x7f]*$/.test(lines) && lines.split('\r\n').every((line) => line.length < 900);
  const encoded = Buffer.from(lines).toString('base64').replace(/.{76}/g, '$&\r\n');
  return [
    `Content-Type: text/${subtype}; charset=utf-8`,
    `Content-Transfer-Encoding: ${plain ? '7bit' : 'base64'}`,
    '',
    plain ? lines : encoded,
  ].join('\r\n');
}

function encodeAddresses(list: string): string {
  return parseAddresses(oneLine(list))
    .map(({ name, address }) => {
      const encoded = encodeWords(name);
      return encoded === name ? formatAddress({ name, address }) : `${encoded} <${address}>`;
    })
    .join(', ');
}

/** RFC 2047, in words of at most 39 bytes: with the header's name each line stays within the 76 characters of §2. */
function encodeWords(value: string): string {
  const line = oneLine(value);
  if (/^[\x20-\x7e]*$/.test(line)) return line;
  const words: string[] = [''];
  for (const character of line) {
    const longer = `${words.at(-1) ?? ''}${character}`;
    if (Buffer.byteLength(longer) > 39) words.push(character);
    else words[words.length - 1] = longer;
  }
  return words.map((word) => `=?utf-8?B?${Buffer.from(word).toString('base64')}?=`).join('\r\n ');
}

function oneLine(value: string): string {
  return value.replace(/\s+/g, ' ').trim();
}
