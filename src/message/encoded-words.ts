import { decodeBytes } from './charset.ts';

type Word = { charset: string; bytes: Buffer; start: number; end: number };

/**
 * Undoes RFC 2047 encoded words in an unfolded header value. White space between two adjacent
 * words is dropped (§6.2); neighbours of one charset are joined before decoding, since mailers
 * split them in the middle of a character. Blanks inside a word, a missing end and unknown
 * charsets are borne; what is no encoded word stays as it is. Linear, never throws.
 */
export function decodeWords(text: string): string {
  if (!text.includes('=?')) return text;
  const out: string[] = [];
  let run: Word[] = [];
  let pos = 0;
  for (let word = nextWord(text, 0); word !== null; word = nextWord(text, word.end)) {
    const between = text.slice(pos, word.start);
    const adjacent = run.length > 0 && between.trim() === '';
    if (adjacent && run[0]?.charset === word.charset) run.push(word);
    else {
      out.push(decodeRun(run), adjacent ? '' : between);
      run = [word];
    }
    pos = word.end;
  }
  out.push(decodeRun(run), text.slice(pos));
  return out.join('');
}

/**
 * The same text with each encoded word in base64, whose characters mean nothing in a list of addresses.
 * To be used before such a header is taken apart, since an encoded word is a name and no syntax
 * (RFC 2047 §5), whatever mailers and forgers put into it; `decodeWords` decodes what comes out.
 */
export function maskWords(text: string): string {
  if (!text.includes('=?')) return text;
  const out: string[] = [];
  let pos = 0;
  for (let word = nextWord(text, 0); word !== null; word = nextWord(text, word.end)) {
    // What is no charset's name is answered like an unknown charset.
    const charset = /^[\w.+*-]+$/.test(word.charset) ? word.charset : 'unknown';
    out.push(text.slice(pos, word.start), `=?${charset}?b?${word.bytes.toString('base64')}?=`);
    pos = word.end;
  }
  return out.join('') + text.slice(pos);
}

function nextWord(text: string, from: number): Word | null {
  for (let start = text.indexOf('=?', from); start >= 0; start = text.indexOf('=?', start + 2)) {
    const head = headOf(text, start);
    if (head === null) continue;
    const end = text.indexOf('?=', head.bodyStart);
    if (end < 0) return null;
    const body = text.slice(head.bodyStart, end);
    const bytes = head.base64 ? Buffer.from(body, 'base64') : fromQ(body);
    return { charset: head.charset, bytes, start, end: end + 2 };
  }
  return null;
}

/** `=?charset?B?` at `start`; the charset is at most 60 characters. */
function headOf(text: string, start: number) {
  const mark = text.slice(start + 2, start + 65).indexOf('?');
  if (mark < 1) return null;
  const at = start + 2 + mark;
  const encoding = text.charCodeAt(at + 1) | 0x20; // lower case
  if ((encoding !== 0x62 && encoding !== 0x71) || text.charCodeAt(at + 2) !== 0x3f) return null;
  const charset = text.slice(start + 2, at).toLowerCase();
  if (/\s/.test(charset)) return null;
  return { charset, base64: encoding === 0x62, bodyStart: at + 3 };
}

/** RFC 2047 §4.2, "Q": as quoted-printable, with `_` for a blank. */
function fromQ(body: string): Buffer {
  const bytes = Buffer.allocUnsafe(body.length * 3);
  let size = 0;
  for (let i = 0; i < body.length; i++) {
    const code = body.charCodeAt(i);
    if (code === 0x3d) {
      const value = hexAt(body, i + 1);
      if (value >= 0) i += 2;
      bytes[size++] = value >= 0 ? value : code;
    } else if (code === 0x5f) bytes[size++] = 0x20;
    else if (code < 0x80) bytes[size++] = code;
    else {
      // Raw 8-bit inside a word: broken, but readable.
      const character = String.fromCodePoint(body.codePointAt(i) ?? 0xfffd);
      size += bytes.write(character, size);
      i += character.length - 1;
    }
  }
  return bytes.subarray(0, size);
}

function hexAt(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function decodeRun(run: readonly Word[]): string {
  const first = run[0];
  if (first === undefined) return '';
  const bytes = run.length === 1 ? first.bytes : Buffer.concat(run.map((word) => word.bytes));
  return decodeBytes(bytes, first.charset);
}
