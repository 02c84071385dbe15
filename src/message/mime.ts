import { type AttachmentStream, MailParser, type MessageText } from 'mailparser';
import { attachmentName, makeName } from './attachment-name.ts';
import { htmlLines, joinLines } from './body-lines.ts';
import { cleanBody } from './charset.ts';
import { type MessageHeader, readHeader } from './header.ts';
import { escapeHtml, htmlCharsMax, htmlToPlainText, sanitiseHtml } from './html.ts';
import { readRoughText } from './mime-text.ts';
import { replyText } from './reply-text.ts';

/** A file of a message, decoded. */
export type ParsedAttachment = {
  /** 1 for the first; the order of the message. */
  n: number;
  /** As the sender wrote it, without a path; made up where there was none. */
  name: string;
  /** Lower case, `application/octet-stream` where the message gives no usable one. */
  type: string;
  /** Bytes of `content`. */
  size: number;
  /** Without brackets. */
  contentId: string | null;
  /** Whether the HTML body shows it (by `cid:`), so that it is body rather than attachment. */
  inline: boolean;
  content: Buffer;
  /** Hex, of `content`. */
  sha256: string;
};

/** All of a message but its header. */
export type ParsedBody = {
  /** Plain text: the text parts, or the HTML converted; at most 5 million UTF-16 units, without NUL. */
  text: string;
  /** Sanitised; null when the message has none. */
  html: string | null;
  /** What the sender added, see `replyText`. */
  replyText: string;
  attachments: ParsedAttachment[];
  /**
   * What is missing, comma-separated; null when nothing is. `text_truncated` and `html_truncated`:
   * longer than is kept. Otherwise only the header and some text could be read:
   * `mime_too_many_parts`, `mime_header_too_large`, `mime_broken`, `parse_timeout`,
   * `parse_failed` (the worker died), `parse_stopped` (the gateway is stopping).
   */
  partial: string | null;
};

const textCharsMax = 5_000_000;
/** As many parts as honest mail never has. */
const partsMax = 1000;
/** Of one part. */
const headBytesMax = 1024 * 1024;

/**
 * Takes the body of a raw message apart, in this thread. Never rejects: where the parser gives up,
 * `roughBody` is the answer, and `partial` says why. The only user of mailparser.
 */
export async function parseBody(raw: Buffer, header: MessageHeader): Promise<ParsedBody> {
  const parsed = await runParser(raw, header);
  if (typeof parsed === 'string') return roughBody(raw, parsed);
  const { text, html } = repaired(raw, parsed);
  const plain = text.trim() === '' && html !== null ? htmlToPlainText(html) : text;
  const keptText = cleanBody(plain, textCharsMax);
  const shown = shownIds(html);
  const missing = [
    plain.length > textCharsMax ? ['text_truncated'] : [],
    (html?.length ?? 0) > htmlCharsMax ? ['html_truncated'] : [],
  ].flat();
  return {
    text: keptText,
    html: html === null ? null : sanitiseHtml(html),
    replyText: cleanBody(replyText({ text: keptText, html }), textCharsMax),
    attachments: parsed.files.map((file, index) => attachment(file, index + 1, shown)),
    partial: missing.length === 0 ? null : missing.join(','),
  };
}

/**
 * What can be read without the parser: some text, no HTML, no attachments. `partial` says why there
 * is no more. Cheap enough for any thread: a message may end up here because nothing else was.
 */
export function roughBody(raw: Buffer, partial: string): ParsedBody {
  const rough = readRoughText(raw);
  const fromHtml = rough.plain.trim() === '' && rough.html !== null;
  const written = fromHtml ? joinLines(htmlLines(rough.html ?? '', () => false)) : rough.plain;
  const text = cleanBody(written, textCharsMax);
  return {
    text,
    html: null,
    replyText: replyText({ text, html: null }),
    attachments: [],
    partial,
  };
}

type File = { stream: AttachmentStream; content: Buffer };
type Parsed = { text: string; html: string | null; files: File[] };

/** The parser's own result, or the reason why there is none. */
function runParser(raw: Buffer, header: MessageHeader): Promise<Parsed | string> {
  // Of a message that is nothing but HTML, the text is made here and not by the parser too.
  const onlyHtml = /^text\/html\b/i.test(header.fields.get('content-type') ?? '');
  const parser = new MailParser({
    skipHtmlToText: onlyHtml,
    maxHtmlLengthToParse: 500_000,
    skipImageLinks: true,
    skipTextLinks: true,
    keepDeliveryStatus: true,
    ignoreEmbedded: true,
    checksumAlgo: 'sha256',
    maxHeadSize: headBytesMax,
    maxChildNodes: partsMax,
  });
  // The parser's own turns addresses to links and every special character to a name: dear, and not
  // wanted. It must not be skipped altogether, or HTML that stands beside text parts lacks them.
  parser.textToHtml = paragraphs;
  return new Promise((resolve) => {
    const files: File[] = [];
    let body: MessageText | null = null;
    parser.on('data', (data) => {
      if (data.type === 'text') body = data;
      else collect(data, (content) => files.push({ stream: data, content }));
    });
    parser.on('error', (error: unknown) => resolve(reasonOf(error)));
    parser.once('end', () => resolve({ text: body?.text ?? '', html: body?.html ?? null, files }));
    parser.end(raw);
  });
}

function collect(stream: AttachmentStream, done: (content: Buffer) => void): void {
  const chunks: Buffer[] = [];
  stream.content.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.content.once('end', () => {
    done(Buffer.concat(chunks));
    stream.release?.();
  });
}

function paragraphs(text: string): string {
  return `<p>${escapeHtml(text).replace(/\n/g, '<br>\n')}</p>`;
}

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  if (/child nodes/i.test(message)) return 'mime_too_many_parts';
  return /header size/i.test(message) ? 'mime_header_too_large' : 'mime_broken';
}

/**
 * Text in which the parser met bytes that do not fit the charset (it puts U+FFFD) is read once
 * more by the looks of the bytes: windows-1252 that says it is UTF-8 is common. So is a message in
 * which the parser found nothing, because a multipart does not name its boundary.
 */
function repaired(raw: Buffer, { text, html, files }: Parsed): { text: string; html: string | null } {
  const nothing = text === '' && html === null && files.length === 0;
  if (!nothing && !text.includes('\ufffd') && html?.includes('\ufffd') !== true) return { text, html };
  const rough = readRoughText(raw);
  if (nothing) return { text: rough.plain, html: rough.html };
  return {
    text: rough.plain !== '' && losses(rough.plain) < losses(text) ? rough.plain : text,
    html: html !== null && rough.html !== null && losses(rough.html) < losses(html) ? rough.html : html,
  };
}

function losses(text: string): number {
  return text.split('\ufffd').length - 1;
}

/** The Content-IDs that the HTML shows. */
function shownIds(html: string | null): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const match of (html ?? '').matchAll(/\bcid:([^"'\s<>)]{1,300})/gi)) {
    const written = match[1] ?? '';
    ids.add(written);
    // RFC 2392 §2: a cid URL is the id with its odd characters percent-encoded.
    if (/^(?:[^%]|%[0-7][0-9a-f])*$/i.test(written)) ids.add(decodeURIComponent(written).replace(/\s/g, ''));
  }
  return ids;
}

function attachment(file: File, n: number, shown: ReadonlySet<string>): ParsedAttachment {
  const { stream, content } = file;
  const written = stream.contentType.trim().toLowerCase();
  const type = /^[\w.+-]{1,100}\/[\w.+-]{1,100}$/.test(written) ? written : 'application/octet-stream';
  const contentId = (stream.cid ?? '').replace(/[<>\s\0]/g, '') || null;
  const subject = type === 'message/rfc822' ? readHeader(content).subject : null;
  return {
    n,
    name: attachmentName(stream.filename) ?? makeName({ n, type, subject }),
    type,
    size: content.length,
    contentId,
    inline: contentId !== null && shown.has(contentId),
    content,
    sha256: stream.checksum ?? '',
  };
}
