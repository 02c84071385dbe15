import type { AttachmentFault } from '../message/attachment-limits.ts';
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

/** A raw message, read. */
export async function readBody(keeping: Keeping, raw: Buffer): Promise<KeptBody> {
  const rawSha256 = blobName(raw);
  const rawKept = keeping.blobs.put([raw], [rawSha256]);
  // A failure shows where it is awaited, in `kept`.
  rawKept.catch(() => undefined);
  return keep(keeping, { rawSha256, rawSizeBytes: raw.length, rawKept }, await parseMessage(raw));
}

/**
 * A raw message that was read already, or of which a part was; `parsed` is what counts of it. `storedAs` is the name of
 * its blob where there is one that stays until this is committed; null: it is stored. Of an attachment with a fault
 * the content is left out.
 */
export function keepBody(
  keeping: Keeping,
  { raw, storedAs }: { raw: Buffer; storedAs: string | null },
  parsed: ParsedMessage,
  faults: readonly (AttachmentFault | null)[],
): KeptBody {
  const rawSha256 = storedAs ?? blobName(raw);
  const rawKept = storedAs === null ? keeping.blobs.put([raw], [rawSha256]) : Promise.resolve();
  return keep(keeping, { rawSha256, rawSizeBytes: raw.length, rawKept }, parsed, faults);
}

function keep(
  { blobs, secretBox }: Keeping,
  { rawKept, ...raw }: { rawSha256: string; rawSizeBytes: number; rawKept: Promise<unknown> },
  { attachments, text, html, replyText, partial }: ParsedMessage,
  faults: readonly (AttachmentFault | null)[] = [],
): KeptBody {
  const names = attachments.map(({ content }, n) => (faults[n] == null ? blobName(content) : null));
  const contents = attachments.flatMap(({ content }, n) => (names[n] == null ? [] : [content]));
  const kept = Promise.all([
    rawKept,
    blobs.put(
      contents,
      names.filter((name) => name !== null),
    ),
  ]);
  // A failure shows where it is awaited.
  kept.catch(() => undefined);
  const body: Body = {
    ...raw,
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
