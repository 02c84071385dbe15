import { attachmentName } from './attachment-name.ts';

/** What an IMAP BODYSTRUCTURE answer says of one part, as imapflow (2.10) hands it over. */
export type StructureNode = {
  /** `1.2`; missing on the root. */
  part?: string | undefined;
  /** `text/plain`, lower case. */
  type: string;
  parameters?: Readonly<Record<string, string>> | undefined;
  /** Content-ID, with brackets. */
  id?: string | undefined;
  encoding?: string | undefined;
  /** Bytes as encoded in the message. */
  size?: number | undefined;
  disposition?: string | undefined;
  dispositionParameters?: Readonly<Record<string, string>> | undefined;
  childNodes?: readonly StructureNode[] | undefined;
};

/** One part of a message, known before anything of it is fetched. */
export type PartSummary = {
  /** For `BODY[…]`; empty for the root of a multipart message, `1` for the only part of a plain one. */
  part: string;
  /** `image/png`, lower case; `application/octet-stream` when the server gave none. */
  type: string;
  /** The file name, decoded and without a path; null when there is none. */
  name: string | null;
  /** Decoded bytes, estimated from encoded size and encoding: exact to a few bytes for the usual base64, too high for quoted-printable. */
  size: number;
  disposition: 'inline' | 'attachment' | null;
  /** Without brackets. */
  contentId: string | null;
  /** Whether a person would call it an attachment: not body text, not a multipart, not an image that the text shows by its Content-ID. */
  attachment: boolean;
};

/** More parts than any honest message has; the parser reads as many (mime.ts). */
const partsMax = 1000;
/** Deeper nesting is not looked into. */
const depthMax = 100;

/**
 * The parts of a message in their order, containers before their contents; at most 1,000 parts and
 * 100 levels. Attached messages (message/rfc822) are one part: what is in them is theirs.
 * Without recursion, so that no structure can exhaust the stack.
 */
export function summariseStructure(node: StructureNode | undefined): PartSummary[] {
  const parts: PartSummary[] = [];
  const waiting = node === undefined ? [] : [{ node, depth: 0, related: false }];
  for (let next = waiting.pop(); next !== undefined && parts.length < partsMax; next = waiting.pop()) {
    parts.push(summary(next.node, next.related));
    const children = next.node.type.startsWith('multipart/') ? (next.node.childNodes ?? []) : [];
    if (next.depth >= depthMax) continue;
    const related = next.related || next.node.type === 'multipart/related';
    // The last child first, since the stack turns the order round.
    for (let i = Math.min(children.length, partsMax) - 1; i >= 0; i--) {
      const child = children[i];
      if (child !== undefined) waiting.push({ node: child, depth: next.depth + 1, related });
    }
  }
  return parts;
}

function summary(node: StructureNode, related: boolean): PartSummary {
  const type = /^[^\s/]+\/[^\s/]+$/.test(node.type) ? node.type.toLowerCase() : 'application/octet-stream';
  const disposition = dispositionOf(node.disposition);
  const contentId = (node.id ?? '').replace(/[<>\s]/g, '') || null;
  return {
    part: node.part ?? (type.startsWith('multipart/') ? '' : '1'),
    type,
    name: attachmentName(node.dispositionParameters?.['filename'] ?? node.parameters?.['name']),
    size: decodedSize(node.size ?? 0, node.encoding),
    disposition,
    contentId,
    attachment: isAttachment({ type, disposition, contentId, related }),
  };
}

/** RFC 2183 §2.8: an unknown disposition counts as attachment. */
function dispositionOf(written: string | undefined): PartSummary['disposition'] {
  if (written === undefined || written === '') return null;
  return written.toLowerCase() === 'inline' ? 'inline' : 'attachment';
}

function isAttachment(
  part: Pick<PartSummary, 'type' | 'disposition' | 'contentId'> & { related: boolean },
): boolean {
  if (part.type.startsWith('multipart/')) return false;
  // The parser shows every such part as text, named or not, unless it is marked as an attachment.
  if (part.type === 'text/plain' || part.type === 'text/html') return part.disposition === 'attachment';
  // Gmail gives each image a Content-ID, attached ones too: those are not inside multipart/related.
  const shown = part.type.startsWith('image/') && part.contentId !== null;
  return !(shown && (part.related || part.disposition !== 'attachment'));
}

/**
 * Decoded bytes of `encoded` ones. Base64 comes in lines of 76 characters and CRLF, 57 bytes each
 * (RFC 2045 §6.8): then the estimate is at most 2 bytes (the padding) too low, never too high, so
 * that a limit refuses nothing that keeps it. Other line lengths make it up to 3 % wrong.
 */
function decodedSize(encoded: number, encoding: string | undefined): number {
  if (!Number.isFinite(encoded) || encoded < 0) return 0;
  if (encoding?.toLowerCase() !== 'base64') return Math.floor(encoded);
  const wholeLines = Math.floor((encoded + 2) / 78);
  const rest = Math.max(encoded - wholeLines * 78, 0);
  const padding = encoded > 0 ? 2 : 0;
  return Math.max(wholeLines * 57 + Math.floor(rest / 4) * 3 - padding, 0);
}
