import { isAscii, isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';

/** Charset names seen in mail that the Encoding Standard's own label list does not know. */
const labelAliases = new Map([
  ['cp932', 'shift_jis'],
  ['ms932', 'shift_jis'],
  ['cp936', 'gbk'],
  ['cp949', 'euc-kr'],
  ['ms949', 'euc-kr'],
  ['cp950', 'big5'],
  ['iso-2022-jp-1', 'iso-2022-jp'],
  ['iso-2022-jp-2', 'iso-2022-jp'],
  ['iso-2022-jp-ms', 'iso-2022-jp'],
  ['windows1252', 'windows-1252'],
  ['windows1251', 'windows-1251'],
  ['windows1250', 'windows-1250'],
]);

const windows1252 = new TextDecoder('windows-1252');

/** Decoders by label; at most one for each label that exists, since unknown labels are not kept. */
const decoders = new Map<string, TextDecoder>();

/**
 * Text of `bytes` as `charset` says, or as they look when it says nothing true. Never throws.
 *
 * Mailers label UTF-8 as us-ascii or iso-8859-1, and windows-1252 as either or not at all. So for
 * those labels, for none and for unknown ones: UTF-8 when the bytes are UTF-8, else windows-1252.
 * UTF-7 is never decoded: it turns harmless-looking ASCII into markup.
 */
export function decodeBytes(bytes: Uint8Array, charset: string | null): string {
  const label = normalLabel(charset);
  if (isAscii(bytes) && !isStateful(label)) return asLatin1(bytes);
  const decoder = decoderFor(label);
  if (decoder === null || decoder.encoding === 'windows-1252') {
    return isUtf8(bytes) ? utf8(bytes) : windows1252.decode(bytes);
  }
  if (decoder.encoding !== 'utf-8') return decoder.decode(bytes);
  return isUtf8(bytes) ? utf8(bytes) : brokenUtf8(bytes);
}

/**
 * One line of text that is safe to keep: control characters (PostgreSQL refuses NUL) and runs of
 * white space become one blank, at most `charsMax` UTF-16 units, no half of a surrogate pair.
 */
export function cleanLine(text: string, charsMax: number): string {
  const line = cut(text, charsMax).toWellFormed();
  return /\p{Cc}|[\u2028\u2029]|\s{2}|^\s|\s$/u.test(line) ? line.replace(/[\p{Cc}\s]+/gu, ' ').trim() : line;
}

/**
 * `text` without what PostgreSQL can not store, NUL and halves of surrogate pairs (the MIME parser gives
 * both), and at most `charsMax` UTF-16 units of it.
 */
export function cleanBody(text: string, charsMax: number): string {
  const kept = cut(text, charsMax).toWellFormed();
  return kept.includes('\0') ? kept.replaceAll('\0', '') : kept;
}

/** Runs of white space as one blank, none at the ends. */
export function foldBlanks(text: string): string {
  // To look is a tenth of the work of replacing each blank by itself, and nearly every subject has no more than blanks.
  return (/[^\S ]|\s\s/.test(text) ? text.replace(/\s+/g, ' ') : text).trim();
}

/** The first `charsMax` UTF-16 units; half of a surrogate pair at the cut (PostgreSQL's jsonb refuses it) is dropped. */
export function cut(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const last = text.charCodeAt(charsMax - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? charsMax - 1 : charsMax);
}

function normalLabel(charset: string | null): string {
  if (charset === null) return '';
  // RFC 2231 §5: a language may follow the charset of an encoded word, as in `us-ascii*en`.
  const label = charset.replace(/\*.*$/s, '').trim().toLowerCase().replace(/["']/g, '');
  return labelAliases.get(label) ?? label;
}

/** Whether bytes below 128 may stand for something else than ASCII. */
function isStateful(label: string): boolean {
  return label.startsWith('iso-2022-') || label.startsWith('utf-16') || label.startsWith('unicode');
}

function decoderFor(label: string): TextDecoder | null {
  const known = decoders.get(label);
  if (known !== undefined) return known;
  if (label === '') return null;
  try {
    const decoder = new TextDecoder(label);
    decoders.set(label, decoder);
    return decoder;
  } catch (error) {
    // An unknown label is a RangeError by the Encoding Standard; anything else is a bug of ours.
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Bytes said to be UTF-8 that are not: mostly UTF-8 with a broken end or middle, or windows-1252 throughout. */
function brokenUtf8(bytes: Uint8Array): string {
  const text = utf8(bytes);
  let replaced = 0;
  let good = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0xfffd) replaced++;
    else if (code > 0x7f) good++;
  }
  return good >= replaced ? text : windows1252.decode(bytes);
}

function utf8(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('utf8');
}

function asLatin1(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('latin1');
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
