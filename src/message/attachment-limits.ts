/** An attachment as its limits look at it. */
export type LimitedAttachment = {
  name: string;
  /** MIME type as declared. */
  type: string;
  /** Decoded bytes. */
  size: number;
  /** Shown in the HTML: it is body (L2). */
  inline: boolean;
  /** At least the first bytes. */
  content: Uint8Array;
};

/** RULES L1 and L2, as a provider has them; null: no limit. */
export type AttachmentLimits = {
  /** Decoded bytes of all attachments of one message. */
  attachmentsBytesMax: number | null;
  /** Decoded bytes of each. */
  attachmentBytesMax: number | null;
  /** In lower case. */
  attachmentExtensions: readonly string[] | null;
};

/** Everything passes. */
export const noLimits: AttachmentLimits = {
  attachmentsBytesMax: null,
  attachmentBytesMax: null,
  attachmentExtensions: null,
};

/** Why an attachment is left out: the identifiers of RULES.md. */
export type AttachmentFault = 'attachment_too_large' | 'attachment_type';

/**
 * Which attachments pass the limits and which do not, in their order. Those that are too large together are left
 * out from the largest on, until the rest is not. Pure.
 */
export function attachmentFaults(
  attachments: readonly LimitedAttachment[],
  limits: AttachmentLimits,
): (AttachmentFault | null)[] {
  const faults = attachments.map((attachment): AttachmentFault | null => {
    if (attachment.inline) return null;
    if (limits.attachmentExtensions !== null && !isOfType(attachment, limits.attachmentExtensions))
      return 'attachment_type';
    return limits.attachmentBytesMax !== null && attachment.size > limits.attachmentBytesMax
      ? 'attachment_too_large'
      : null;
  });
  const counted = attachments
    .map(({ size, inline }, n) => ({ n, size, counts: !inline && faults[n] === null }))
    .filter(({ counts }) => counts)
    .sort((one, other) => other.size - one.size);
  let together = counted.reduce((sum, { size }) => sum + size, 0);
  for (const { n, size } of counted) {
    if (limits.attachmentsBytesMax === null || together <= limits.attachmentsBytesMax) break;
    faults[n] = 'attachment_too_large';
    together -= size;
  }
  return faults;
}

/** A part of a message as its structure (BODYSTRUCTURE, RFC 9051 §7.5.2) shows it, in the order of the message. */
export type StructurePart = {
  /** MIME type in lower case. */
  type: string;
  /** Content-Transfer-Encoding in lower case. */
  encoding: string;
  /** Octets as they travel, encoded. */
  size: number;
  /** Content-Disposition in lower case; null: none. */
  disposition: string | null;
  /** It has a Content-ID, so that the HTML may show it. */
  hasId: boolean;
};

/**
 * What the structure alone says of L1. `unsure`: only the content tells, since encoded sizes are not decoded ones,
 * and only the HTML says what it shows. Pure.
 */
export function judgeStructure(
  parts: readonly StructurePart[],
  limits: AttachmentLimits,
): 'within' | 'too_large' | 'unsure' {
  const attached = parts.filter(isAttached).map((part) => {
    const { least, most } = decodedBounds(part);
    return { least: part.hasId ? 0 : least, most };
  });
  const { attachmentsBytesMax: together, attachmentBytesMax: each } = limits;
  const isPast = (bound: 'least' | 'most') =>
    (each !== null && attached.some((part) => part[bound] > each)) ||
    (together !== null && attached.reduce((sum, part) => sum + part[bound], 0) > together);
  if (isPast('least')) return 'too_large';
  return isPast('most') ? 'unsure' : 'within';
}

/** Whether a message of so many bytes can be past the limits at all: content is never larger than what carries it. Pure. */
export function mayBeTooLarge(messageBytes: number, limits: AttachmentLimits): boolean {
  const limit = Math.min(limits.attachmentsBytesMax ?? Infinity, limits.attachmentBytesMax ?? Infinity);
  // Exchange only estimates the size of a message.
  return messageBytes * 2 > limit;
}

/** As the parser has it (mime.ts): text that is not declared otherwise is body, and whatever else is no multipart is attached. */
function isAttached({ type, disposition }: StructurePart): boolean {
  if (type.startsWith('multipart/')) return false;
  return !/^text\/(?:plain|html)$/.test(type) || (disposition !== null && disposition !== 'inline');
}

/** RFC 2045 §6.8: a line of base64 has 76 characters at most; no program is known that writes fewer than 60. */
const base64LineMin = 60;

/** Between what sizes the content of a part is, decoded. */
function decodedBounds({ encoding, size }: StructurePart): { least: number; most: number } {
  switch (encoding) {
    case 'base64': {
      const lines = Math.ceil(size / (base64LineMin + 2));
      // Up to two characters of the last four are padding.
      return { least: Math.max(0, ((size - 2 * lines) / 4) * 3 - 2), most: (size / 4) * 3 };
    }
    case 'quoted-printable':
      return { least: Math.floor(size / 3), most: size };
    default:
      return { least: size, most: size };
  }
}

/** What files of an extension are declared as, and how they begin: in hexadecimal, two digits for each byte. */
type FileKind = { types: RegExp; begins: RegExp };

const zipped = /^504b(?:0304|0506|0708)/;

/** What mail programs know nothing of, they declare as application/octet-stream. */
const kinds: Readonly<Record<string, FileKind>> = {
  jpg: { types: /^image\/p?jpe?g$/, begins: /^ffd8ff/ },
  jpeg: { types: /^image\/p?jpe?g$/, begins: /^ffd8ff/ },
  png: { types: /^image\/(?:x-)?png$/, begins: /^89504e470d0a1a0a/ },
  // The size of the first box, then `ftyp` (ISO/IEC 14496-12).
  mp4: { types: /^(?:video|audio|application)\/mp4$/, begins: /^.{8}66747970/ },
  // A pack or a start code, a frame of sound, an ID3 tag, or packets of a transport stream.
  mpeg: { types: /^(?:video|audio)\/mpe?g$/, begins: /^(?:000001b.|ff[ef]|494433|47.{374}47)/ },
  zip: { types: /^application\/(?:x-)?zip(?:-compressed)?$/, begins: zipped },
  rar: { types: /^application\/(?:vnd\.rar|x-rar(?:-compressed)?)$/, begins: /^526172211a07/ },
  // `%PDF-` within the first 1,024 bytes (ISO 32000, annex H.3).
  pdf: { types: /^application\/(?:x-)?pdf$/, begins: /^(?:..)*255044462d/ },
  // An OLE compound, or the RTF that Word saves under this name.
  doc: { types: /^application\/(?:msword|rtf)$/, begins: /^(?:d0cf11e0a1b11ae1|7b5c727466)/ },
  docx: {
    types: /^application\/vnd\.openxmlformats-officedocument\.wordprocessingml\.document$/,
    begins: zipped,
  },
  // UTF-16 with its mark, or anything without a NUL.
  txt: { types: /^text\/plain$/, begins: /^(?:fffe|feff|(?:[1-9a-f].|0[1-9a-f])*$)/ },
};

/** As many as the longest of the beginnings looks at. */
const beginningBytes = 1_024;

/** L2: by extension and content type, checked against the first bytes. An empty file is of any type. */
function isOfType({ name, type, content }: LimitedAttachment, extensions: readonly string[]): boolean {
  const extension = /\.([a-z0-9]+)$/i.exec(name.trim())?.[1]?.toLowerCase() ?? '';
  const kind = kinds[extension];
  if (!extensions.includes(extension)) return false;
  // An extension that somebody added, of which nothing else is known (L4).
  if (kind === undefined) return true;
  const declared = type.toLowerCase().split(';', 1)[0]?.trim() ?? '';
  if (declared !== 'application/octet-stream' && !kind.types.test(declared)) return false;
  const beginning = Buffer.from(content.subarray(0, beginningBytes)).toString('hex');
  return beginning === '' || kind.begins.test(beginning);
}
