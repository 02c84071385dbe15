import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import MailComposer from 'nodemailer/lib/mail-composer';
import { domainOf } from '../message/addresses.ts';
import type { Address } from '../message/addresses.ts';
import { htmlToPlainText } from '../message/html.ts';
import { newMessageId } from '../message/message-id.ts';
import type { InternetMessageId } from '../message/message-id.ts';
import type { ThreadHeaders } from './threading.ts';

/** A file of a message. */
export type OutgoingFile = {
  name: string;
  /** MIME type; null: by the name's extension. */
  type: string | null;
  content: Buffer;
};

/** A message to be written down. Bcc is not part of it: it stands in the envelope alone. */
export type Draft = {
  from: Address;
  to: readonly Address[];
  cc: readonly Address[];
  subject: string;
  /** Null: made from the HTML. */
  text: string | null;
  html: string | null;
  files: readonly OutgoingFile[];
  thread: ThreadHeaders;
  /** Headers of the call, of those in `allowedHeaders`. */
  headers: Readonly<Record<string, string>>;
  /** ms since the epoch. */
  date: number;
};

/**
 * The headers that a call may add, by lower-case name. None of them changes who gets a message, who
 * it is from, or how it is threaded.
 */
export const allowedHeaders: ReadonlyMap<string, string> = new Map(
  ['Importance', 'Priority', 'X-Priority', 'Sensitivity', 'Keywords', 'Comments'].map((name) => [
    name.toLowerCase(),
    name,
  ]),
);

/**
 * Writes a message down as the bytes that every try will send (RFC 5322, CRLF, 7-bit), under a
 * Message-ID on the sender's domain that it keeps for ever (D4).
 */
export async function compose(draft: Draft): Promise<{ raw: Buffer; messageId: InternetMessageId }> {
  const messageId = newMessageId(domainOf(draft.from.address));
  const { html, text, thread } = draft;
  const composer = new MailComposer({
    from: person(draft.from),
    to: draft.to.map(person),
    cc: draft.cc.map(person),
    subject: oneLine(draft.subject),
    text: text ?? (html === null ? '' : htmlToPlainText(html)),
    ...(html === null ? {} : { html }),
    attachments: draft.files.map(attachment),
    messageId: `<${messageId}>`,
    ...(thread.inReplyTo === null ? {} : { inReplyTo: `<${thread.inReplyTo}>` }),
    ...(thread.references.length === 0 ? {} : { references: thread.references.map((id) => `<${id}>`) }),
    // RFC 5322 §3.3: a numeric zone; toUTCString writes the obsolete "GMT".
    date: new Date(draft.date).toUTCString().replace('GMT', '+0000'),
    headers: Object.entries(draft.headers).map(([key, value]) => ({
      key: allowedHeaders.get(key.toLowerCase()) ?? notAllowed(key),
      value: oneLine(value),
    })),
    newline: 'windows',
    // What a call says is content, never the name of a file or an address to fetch.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return { raw: await composer.compile().build(), messageId };
}

function person({ name, address }: Address): { name: string; address: string } {
  return { name: oneLine(name), address };
}

function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
}

function notAllowed(name: string): never {
  throw new Error(`the header ${name} is not one that a call may set`);
}

/**
 * Always base64. A message/* or multipart/* part must not be encoded (RFC 2046 §5.2.1, §5.1), and
 * may hold lines that no server takes, so these go as plain bytes, under their name.
 */
function attachment(file: OutgoingFile): {
  filename: string;
  content: Buffer | Readable;
  contentType?: string;
  contentDisposition: 'attachment';
  contentTransferEncoding: 'base64';
} {
  const composite = /^(?:message|multipart)\//i.test(file.type ?? '');
  const contentType = composite ? 'application/octet-stream' : file.type;
  return {
    filename: oneLine(file.name),
    content: file.content.length > sliceBytes ? Readable.from(slices(file.content)) : file.content,
    ...(contentType === null ? {} : { contentType }),
    contentDisposition: 'attachment',
    contentTransferEncoding: 'base64',
  };
}

/** Encoding a megabyte takes some ten milliseconds. */
const sliceBytes = 1_048_576;

/** A large file piece by piece: encoded in one go, it would keep everybody else waiting for a third of a second. */
async function* slices(content: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += sliceBytes) {
    yield content.subarray(at, at + sliceBytes);
    await setImmediate();
  }
}
