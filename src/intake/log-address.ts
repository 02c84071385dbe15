/** A line of a vCard has at most 75 bytes without its end; the rest follows behind a space (RFC 2426 §2.6). */
const lineBytesMax = 75;

/**
 * A contact card that saves a logging address in a person's address book (B1), so that it is completed when they
 * type a Bcc. vCard 3.0 (RFC 2426), since Outlook reads no newer one (2026-11). Pure.
 */
export function loggingVcard(card: { address: string; subAccount: string }): string {
  const name = escaped(card.subAccount === '' ? 'CRM log' : `CRM log (${card.subAccount})`);
  const lines = [
    'BEGIN:VCARD',
    'VERSION:3.0',
    `FN:${name}`,
    `N:${name};;;;`,
    `EMAIL;TYPE=INTERNET:${escaped(card.address)}`,
    'NOTE:A mail with this address in Cc or Bcc is kept in the CRM.',
    'END:VCARD',
  ];
  return lines.map((line) => `${folded(line)}\r\n`).join('');
}

/** RFC 2426 §4: backslash, comma and semicolon are escaped, a line break is written as \n. */
function escaped(text: string): string {
  return text.replaceAll(/[\\,;]/g, '\\$&').replaceAll(/\r\n|\r|\n/g, '\\n');
}

function folded(line: string): string {
  const parts: string[] = [];
  let part = '';
  for (const letter of line) {
    // A folded line begins with a space, which counts.
    const room = parts.length === 0 ? lineBytesMax : lineBytesMax - 1;
    if (Buffer.byteLength(part + letter) > room) {
      parts.push(part);
      part = '';
    }
    part += letter;
  }
  return [...parts, part].join('\r\n ');
}
