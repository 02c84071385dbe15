import { cleanLine } from './charset.ts';
import { decodeWords } from './encoded-words.ts';

/** Bytes that file systems allow for a name are 255; with characters of up to four bytes this many are safe. */
const nameCharsMax = 200;

/** Extensions for parts that have no name, by type. */
const extensions = new Map([
  ['application/ics', 'ics'],
  ['application/pdf', 'pdf'],
  ['application/zip', 'zip'],
  ['image/gif', 'gif'],
  ['image/jpeg', 'jpg'],
  ['image/png', 'png'],
  ['image/webp', 'webp'],
  ['message/delivery-status', 'txt'],
  ['message/disposition-notification', 'txt'],
  ['text/calendar', 'ics'],
  ['text/csv', 'csv'],
  ['text/html', 'html'],
  ['text/plain', 'txt'],
  ['text/rfc822-headers', 'txt'],
  ['text/vcard', 'vcf'],
]);

/**
 * A file name as the sender wrote it, made harmless: decoded, no control characters, no path, not
 * `.` or `..`, at most 200 characters with the extension kept. Null when nothing is left.
 */
export function attachmentName(written: string | undefined): string | null {
  if (written === undefined) return null;
  // Turned-round text (`exe.fdp` shown as `pdf.exe`) is a trick of its own: U+202A to U+202E, U+2066 to U+2069.
  const text = cleanLine(decodeWords(written), 10_000).replace(/[\u202a-\u202e\u2066-\u2069]/g, '');
  const name = (text.split(/[/\\]/).at(-1) ?? '').trim();
  if (/^\.*$/.test(name)) return null;
  if (name.length <= nameCharsMax) return name;
  const extension = /\.[^.]{1,20}$/.exec(name)?.[0] ?? '';
  return cleanLine(name, nameCharsMax - extension.length) + extension;
}

/** A name for a part that has none: `attachment-3.pdf`; for an attached message its subject. */
export function makeName(part: { n: number; type: string; subject: string | null }): string {
  if (part.type === 'message/rfc822') {
    return (
      attachmentName(`${(part.subject ?? '').replace(/[/\\:*?"<>|]/g, '-') || 'message'}.eml`) ??
      'message.eml'
    );
  }
  return `attachment-${part.n}.${extensions.get(part.type) ?? 'bin'}`;
}
