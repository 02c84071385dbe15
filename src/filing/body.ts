import { readDeliveryReport } from '../message/delivery-report.ts';
import type { DeliveryReport } from '../message/delivery-report.ts';
import { parseMessage } from '../message/parse.ts';
import { blobName } from '../store/blobs.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Body } from './effects.ts';

/**
 * A raw message, read. Its blob and those of its attachments are durable when `kept` resolves, which must be
 * awaited before anything that names them is committed; what the disk takes is time for the database.
 */
export async function readBody(
  blobs: BlobStore,
  raw: Buffer,
): Promise<{ body: Body; kept: Promise<unknown> }> {
  const rawSha256 = blobName(raw);
  const rawKept = blobs.put([raw], [rawSha256]);
  // A failure shows where it is awaited, in `kept`.
  rawKept.catch(() => undefined);
  const { attachments, text, html, replyText, partial } = await parseMessage(raw);
  const contents = attachments.map(({ content }) => content);
  const names = contents.map(blobName);
  const kept = Promise.all([rawKept, blobs.put(contents, names)]);
  kept.catch(() => undefined);
  const body: Body = {
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
  return { body, kept };
}

/** What a delivery report says, read in memory alone: it may be about a mail that is nobody's business. */
export async function readReport(raw: Buffer): Promise<DeliveryReport | null> {
  const { header, attachments } = await parseMessage(raw);
  return readDeliveryReport(attachments, [...header.inReplyTo, ...header.references]);
}
