/** FILETIME's upper five bytes after a reserved one, then a GUID (MS-OXOMSG §2.2.1.3). */
const rootBytes = 22;
/** Each answer adds five bytes: a time difference and a random number. */
const answerBytes = 5;
/** Some 400 answers; what is longer was not made by Outlook. */
const headerCharsMax = 3000;

/**
 * The thread that Outlook's `Thread-Index` header names: its first 22 bytes as hex, equal in every
 * message of the thread. Null when the header is missing, is no base64, has a length that no
 * message of Exchange has, or an empty GUID, which would join strangers.
 */
export function threadIndexRoot(header: string | undefined): string | null {
  if (header === undefined || header.length > headerCharsMax) return null;
  const text = header.replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/]{30,}={0,2}$/.test(text)) return null;
  const bytes = Buffer.from(text, 'base64');
  const wholeAnswers = (bytes.length - rootBytes) % answerBytes === 0;
  if (bytes.length < rootBytes || !wholeAnswers || bytes[0] !== 1) return null;
  const guid = bytes.subarray(6, rootBytes);
  if (guid.every((byte) => byte === guid[0])) return null;
  return bytes.toString('hex', 0, rootBytes);
}
