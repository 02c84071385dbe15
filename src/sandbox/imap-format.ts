import { parseAddresses } from './address.ts';
import { headerOf, type Part } from './mime.ts';

// Everything here is text of one character for each byte, so that literals can be written inside it.

/** An nstring: NIL, a quoted string, or a literal for what may not be quoted (RFC 3501 §4.3). */
function nstring(value: string | undefined): string {
  if (value === undefined) return 'NIL';
  // eslint-disable-next-line no-control-regex -- control characters are what may not be quoted
  if (/[\x00-\x1f\x7f-\uffff]/.test(value)) return `{${value.length}}\r\n${value}`;
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

/** ENVELOPE (RFC 3501 §7.4.2). Sender and Reply-To are From's where they are absent. */
export function envelope(part: Part): string {
  const from = addressList(part, 'from');
  const orFrom = (name: string) => (headerOf(part, name) ? addressList(part, name) : from);
  const fields = [
    nstring(headerOf(part, 'date')),
    nstring(headerOf(part, 'subject')),
    from,
    orFrom('sender'),
    orFrom('reply-to'),
    addressList(part, 'to'),
    addressList(part, 'cc'),
    addressList(part, 'bcc'),
    nstring(headerOf(part, 'in-reply-to')),
    nstring(headerOf(part, 'message-id')),
  ];
  return `(${fields.join(' ')})`;
}

/** BODYSTRUCTURE with its extension data (RFC 3501 §7.4.2). `raw` is the message that `part` was read from. */
export function bodyStructure(raw: Buffer, part: Part): string {
  const disposition = part.disposition;
  const placed = disposition
    ? `(${nstring(disposition.value)} ${parameterList(disposition.parameters)})`
    : 'NIL';
  const language = nstring(headerOf(part, 'content-language'));
  const location = nstring(headerOf(part, 'content-location'));
  if (part.type === 'multipart') {
    const children = part.children.map((child) => bodyStructure(raw, child)).join('');
    return `(${children} ${nstring(part.subtype)} ${parameterList(part.parameters)} ${placed} ${language} ${location})`;
  }
  const fields = [
    nstring(part.type),
    nstring(part.subtype),
    parameterList(part.parameters),
    nstring(headerOf(part, 'content-id')),
    nstring(headerOf(part, 'content-description')),
    nstring(headerOf(part, 'content-transfer-encoding') ?? '7bit'),
    String(part.end - part.bodyStart),
  ];
  const [inner] = part.children;
  if (inner) fields.push(envelope(inner), bodyStructure(raw, inner));
  if (inner || part.type === 'text') fields.push(String(lineCount(raw, part)));
  fields.push(nstring(headerOf(part, 'content-md5')), placed, language, location);
  return `(${fields.join(' ')})`;
}

/** INTERNALDATE: `"18-Nov-2026 10:00:00 +0000"`. */
export function internalDate(ms: number): string {
  const [, day, month, year, time] = new Date(ms).toUTCString().split(' ');
  return `"${day}-${month}-${year} ${time} +0000"`;
}

function addressList(part: Part, name: string): string {
  const list = parseAddresses(headerOf(part, name) ?? '').map((person) => {
    const at = person.address.lastIndexOf('@');
    const [local, domain] = [person.address.slice(0, at), person.address.slice(at + 1)];
    return `(${nstring(person.name || undefined)} NIL ${nstring(local)} ${nstring(domain)})`;
  });
  return list.length === 0 ? 'NIL' : `(${list.join('')})`;
}

function parameterList(parameters: [string, string][]): string {
  if (parameters.length === 0) return 'NIL';
  return `(${parameters.map((pair) => pair.map(nstring).join(' ')).join(' ')})`;
}

function lineCount(raw: Buffer, part: Part): number {
  let lines = 0;
  for (let at = raw.indexOf('\n', part.bodyStart); at >= 0 && at < part.end; at = raw.indexOf('\n', at + 1))
    lines += 1;
  return lines;
}
