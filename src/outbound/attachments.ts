import { attachmentFaults } from '../message/attachment-limits.ts';
import type { AttachmentFault, AttachmentLimits } from '../message/attachment-limits.ts';
import type { OutgoingFile } from './compose.ts';

/** Why files do not go through a mailbox: each of them that does not, by its position (L1, L2). */
export type AttachmentRefusal = {
  code: AttachmentFault;
  detail: string;
  files: { position: number; code: AttachmentFault; detail: string }[];
};

/** What of a message's files the mailbox does not take; null: it takes all of them. Pure. */
export function attachmentRefusal(
  files: readonly OutgoingFile[],
  limits: AttachmentLimits,
): AttachmentRefusal | null {
  const faults = attachmentFaults(
    files.map(({ name, type, content }) => ({
      name,
      // Left out, it is made from the name.
      type: type ?? 'application/octet-stream',
      size: content.length,
      inline: false,
      content,
    })),
    limits,
  );
  const refused = files.flatMap(({ name, content }, position) => {
    const code = faults[position] ?? null;
    if (code === null) return [];
    const told =
      code === 'attachment_type' ? typeDetail(name, limits) : sizeDetail(name, content.length, limits);
    return [{ position, code, detail: told }];
  });
  const [first] = refused;
  if (first === undefined) return null;
  const tooLarge = refused.find(({ code }) => code === 'attachment_too_large');
  const detail = refused.map((file) => file.detail).join(' ');
  return { code: (tooLarge ?? first).code, detail, files: refused };
}

function typeDetail(name: string, { attachmentExtensions }: AttachmentLimits): string {
  return `${name} is not of a type that the mailbox takes: ${attachmentExtensions?.join(', ') ?? ''}.`;
}

function sizeDetail(
  name: string,
  bytes: number,
  { attachmentBytesMax, attachmentsBytesMax }: AttachmentLimits,
): string {
  return attachmentBytesMax !== null && bytes > attachmentBytesMax
    ? `${name} has ${bytes} bytes; the mailbox takes ${attachmentBytesMax} in each attachment.`
    : `${name} has ${bytes} bytes; the mailbox takes ${attachmentsBytesMax ?? 0} in all attachments together.`;
}
