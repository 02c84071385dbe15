import { createHash, randomBytes } from 'node:crypto';
import { domainToASCII } from 'node:url';
import { decodeWords } from './encoded-words.ts';

/** A Message-ID as the Internet knows it, without `<>` and white space, case kept. Unique only by good manners. */
export type InternetMessageId = string;

/** Longer ids are no ids: no client that quotes them would keep them whole. */
const idCharsMax = 2000;
/** The newest ids of References that are kept, besides the first, which names the thread. */
const newestIdsMax = 200;
/** An index entry of PostgreSQL must stay well below 2,700 bytes, with other columns beside this one. */
const keyBytesMax = 200;
const isAscii = /^[\0-\x7f]*$/;

/**
 * The ids of a References or In-Reply-To header (RFC 5322 §3.6.4), oldest first, each once: the
 * first and the 200 newest. Folding inside an id and encoded words are undone, text between ids
 * is ignored. Without any brackets the header counts only when every word of it looks like an id,
 * so that `In-Reply-To: your message of 3 May to jane@example.com` names none.
 */
export function parseMessageIds(header: string): InternetMessageId[] {
  const text = decodeWords(header);
  const found = text.includes('<') ? bracketed(text) : bare(text);
  const ids = [...new Set(found)];
  return ids.length <= newestIdsMax + 1 ? ids : [ids[0]!, ...ids.slice(-newestIdsMax)];
}

/** The one id of a Message-ID header, also without brackets or `@`; null when it is missing or empty. */
export function messageIdOf(header: string | undefined): InternetMessageId | null {
  if (header === undefined) return null;
  const text = decodeWords(header);
  if (text.includes('<')) return bracketed(text)[0] ?? null;
  return usable(text);
}

/**
 * What an index holds for `id`: the id itself, or `sha256:` and a hash where it is longer than 200
 * bytes or not ASCII. Equal ids have equal keys; at most 200 bytes.
 */
export function idKey(id: InternetMessageId): string {
  const plain = id.length <= keyBytesMax && isAscii.test(id) && !id.startsWith('sha256:');
  return plain ? id : `sha256:${createHash('sha256').update(id).digest('hex')}`;
}

/** Domains are cut to this, so that an id is never longer than 69 characters. */
const domainCharsMax = 42;

/**
 * A new Message-ID on `domain`, without brackets: 128 random bits in lower-case base32, ASCII, below
 * 70 characters. Longer ids get folded or encoded by mailers on the way, and then match nothing
 * (odoo#40461). A domain that is too long loses labels from its left.
 */
export function newMessageId(domain: string): InternetMessageId {
  let host = domainToASCII(domain.toLowerCase());
  while (host.length > domainCharsMax && host.includes('.')) host = host.slice(host.indexOf('.') + 1);
  const name = host.slice(-domainCharsMax).replace(/^[.-]+/, '') || 'localhost';
  return `${base32(randomBytes(16))}@${name}`;
}

function bracketed(text: string): InternetMessageId[] {
  const ids: InternetMessageId[] = [];
  for (let open = text.indexOf('<'); open >= 0;) {
    const next = text.indexOf('<', open + 1);
    const rest = text.slice(open + 1, next < 0 ? text.length : next);
    const close = rest.indexOf('>');
    // A missing `>`: up to the next white space, as `<a@b <c@d>` shows.
    const id = usable(close < 0 ? rest.trimStart().split(/\s/, 1)[0]! : rest.slice(0, close));
    if (id !== null) ids.push(id);
    open = next;
  }
  return ids;
}

function bare(text: string): InternetMessageId[] {
  const words = text.split(/[\s,;]+/).filter((word) => word !== '');
  return words.every((word) => /^[^@"]+@[^@"]+$/.test(word))
    ? words.flatMap((word) => usable(word) ?? [])
    : [];
}

/** White space and control characters inside an id come from folding, never from whoever made it. */
function usable(text: string): InternetMessageId | null {
  const id = /[\p{Cc}\s]/u.test(text) ? text.replace(/[\p{Cc}\s]+/gu, '') : text;
  return id === '' || id.length > idCharsMax ? null : id;
}

function base32(bytes: Buffer): string {
  let bits = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let i = 0; i < Math.ceil((bytes.length * 8) / 5); i++) {
    text = 'abcdefghijklmnopqrstuvwxyz234567'.charAt(Number(bits & 31n)) + text;
    bits >>= 5n;
  }
  return text;
}
