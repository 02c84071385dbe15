import { readDeliveryReport } from '../message/delivery-report.ts';
import type { DeliveryReport } from '../message/delivery-report.ts';
import { parseMessage } from '../message/parse.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Body } from './effects.ts';

/**
 * A raw message, read: its blob and those of its attachments are durable when this resolves. The
 * raw bytes are stored first, so that a parser's failure never loses them (T3).
 */
export async function readBody(blobs: BlobStore, raw: Buffer): Promise<Body> {
  const [[rawSha256], { attachments, text, html, replyText, partial }] = await Promise.all([
    blobs.put([raw]),
    parseMessage(raw),
  ]);
  if (rawSha256 === undefined) throw new Error('a stored blob has no name');
  const names = await blobs.put(attachments.map(({ content }) => content));
  return {
    rawSha256,
    rawSizeBytes: raw.length,
    parsed: { text, html, replyText, partial },
    attachments: attachments.map((attachment, position) => ({
      n: attachment.n,
      name: attachment.name,
      type: attachment.type,
      size: attachment.size,
      content_id: attachment.contentId,
      inline: attachment.inline,
      sha256: names[position] ?? null,
      omitted: null,
    })),
  };
}

/** What a delivery report says, read in memory alone: it may be about a mail that is nobody's business. */
export async function readReport(raw: Buffer): Promise<DeliveryReport | null> {
  const { header, attachments } = await parseMessage(raw);
  return readDeliveryReport(attachments, [...header.inReplyTo, ...header.references]);
}
