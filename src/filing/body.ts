import { attachmentFaults, mayBeTooLarge } from '../message/attachment-limits.ts';
import type { AttachmentLimits } from '../message/attachment-limits.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { readDeliveryReport } from '../message/delivery-report.ts';
import type { DeliveryReport } from '../message/delivery-report.ts';
import { parseMessage } from '../message/parse.ts';
import { untracked } from '../message/untracked.ts';
import type { ParsedMessage } from '../message/parse.ts';
import { blobName } from '../store/blobs.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Body } from './effects.ts';

/** A body, and its way to the disk. */
type KeptBody = {
  body: Body;
  /**
   * Its blob and those of its attachments are durable when it resolves, which must be awaited before anything
   * that names them is committed; what the disk takes is time for the database.
   */
  kept: Promise<unknown>;
};

/** What bodies are kept with: `secretBox` tells what of them is our own tracking (D7), which is not shown. */
type Keeping = { blobs: BlobStore; secretBox: SecretBox };

/** What limits the attachments of a message that is to be stored. */
export type Limiting = {
  limits: AttachmentLimits;
  /** A person wants it, however large it is. */
  anySize: boolean;
};

/** Bytes that are stored elsewhere, or on their way to the disk. */
type Blob = { name: string; kept: Promise<unknown> };

/** A raw message, read. */
export async function readBody(keeping: Keeping, raw: Buffer, limiting: Limiting): Promise<KeptBody> {
  // Nothing is past the limits of what is small and is to have no types.
  const { limits, anySize } = limiting;
  const isFree = limits.attachmentExtensions === null && (anySize || !mayBeTooLarge(raw.length, limits));
  const name = isFree ? blobName(raw) : null;
  const begun = name === null ? null : { name, kept: keeping.blobs.put([raw], [name]) };
  // A failure shows where it is awaited, in `kept`.
  begun?.kept.catch(() => undefined);
  const parsed = await parseMessage(raw);
  return keepBody(keeping, { raw, stored: begun }, parsed, limiting);
}

/**
 * A raw message that was read already, or of which a part was; `parsed` is what counts of it. Of an attachment
 * past the limits the content is left out, and so are the raw bytes, which hold it. `stored`: their blob, which is on its
 * way to the disk, or stays until this is committed; null: they are put there.
 */
export function keepBody(
  { blobs, secretBox }: Keeping,
  { raw, stored }: { raw: Buffer; stored: Blob | null },
  { attachments, text, html, replyText, partial }: ParsedMessage,
  { limits, anySize }: Limiting,
): KeptBody {
  const found = attachmentFaults(attachments, limits);
  const faults = found.map((fault) => (anySize && fault === 'attachment_too_large' ? null : fault));
  const names = attachments.map(({ content }, n) => (faults[n] == null ? blobName(content) : null));
  const contents = attachments.flatMap(({ content }, n) => (names[n] == null ? [] : [content]));
  const rawSha256 = faults.some((fault) => fault !== null) ? null : (stored?.name ?? blobName(raw));
  const kept = Promise.all([
    rawSha256 === null ? null : (stored?.kept ?? blobs.put([raw], [rawSha256])),
    blobs.put(
      contents,
      names.filter((name) => name !== null),
    ),
  ]);
  // A failure shows where it is awaited.
  kept.catch(() => undefined);
  const body: Body = {
    rawSha256,
    rawSizeBytes: raw.length,
    tooLarge: found.includes('attachment_too_large'),
    parsed: untracked(secretBox, { text, html, replyText, partial }),
    attachments: attachments.map((attachment, position) => ({
      n: attachment.n,
      name: attachment.name,
      type: attachment.type,
      size: attachment.size,
      content_id: attachment.contentId,
      inline: attachment.inline,
      sha256: names[position] ?? null,
      omitted: faults[position] ?? null,
    })),
  };
  return { body, kept };
}

/** What a delivery report or a read receipt says, read in memory alone: it may be about a mail that is nobody's business. */
export async function readReport(raw: Buffer): Promise<DeliveryReport | null> {
  const { header, attachments, text } = await parseMessage(raw);
  return readDeliveryReport({ header, parts: attachments, text });
}
