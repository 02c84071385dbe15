import { cut, decodeBytes } from './charset.ts';

/** Text that could be read without the MIME parser. */
export type RoughText = {
  /** All inline text/plain parts; empty when there are none. */
  plain: string;
  /** All inline text/html parts, or null. */
  html: string | null;
};

/** What is looked at of a message, from its start: the text is in front of the attachments. */
const bytesMax = 4 * 1024 * 1024;
const depthMax = 20;
const nodesMax = 300;
const textPartsMax = 50;
const textCharsMax = 1_000_000;

/** A piece of the message that is an entity of its own (RFC 2045 §2.4): header, empty line, body. */
type Entity = { start: number; end: number; depth: number };

/**
 * The text of a message that the MIME parser gave up on, or whose charset it did not believe:
 * looks for inline text parts in the first 4 MiB, 20 levels and 300 parts. Attachments and attached
 * messages are passed over. Time is linear in the bytes looked at; never throws.
 */
export function readRoughText(raw: Buffer): RoughText {
  const text = raw.toString('latin1', 0, bytesMax);
  const plain: string[] = [];
  const html: string[] = [];
  const waiting: Entity[] = [{ start: 0, end: text.length, depth: 0 }];
  let nodes = 0;
  for (let next = waiting.pop(); next !== undefined && nodes < nodesMax; next = waiting.pop()) {
    nodes++;
    const { fields, bodyStart } = headOf(text, next);
    const declared = /^\s*([\w.+-]+\/[\w.+-]+)/.exec(fields.type)?.[1]?.toLowerCase() ?? 'text/plain';
    const boundary = declared.startsWith('multipart/') ? parameter(fields.type, 'boundary') : null;
    // A multipart that does not say where its parts are is one text to whoever looks at it.
    const type = declared.startsWith('multipart/') && boundary === null ? 'text/plain' : declared;
    if (boundary !== null) {
      if (next.depth >= depthMax) continue;
      const children = childrenOf(text, { start: bodyStart, end: next.end, depth: next.depth + 1 }, boundary);
      waiting.push(...children.reverse());
    } else if (
      (type === 'text/plain' || type === 'text/html') &&
      !/^\s*attachment/i.test(fields.disposition)
    ) {
      const body = decodeBody(text.slice(bodyStart, next.end), fields.encoding);
      const decoded = cut(decodeBytes(body, parameter(fields.type, 'charset')), textCharsMax).replaceAll(
        '\0',
        '',
      );
      (type === 'text/plain' ? plain : html).push(decoded.replaceAll('\r\n', '\n'));
      if (plain.length + html.length === textPartsMax) break;
    }
  }
  return { plain: cut(plain.join('\n'), textCharsMax), html: html.length === 0 ? null : html.join('<br>\n') };
}

function headOf(text: string, entity: Entity) {
  // An entity that starts with an empty line has no header (RFC 2046 §5.1).
  const empty = /^\r?\n/.exec(text.slice(entity.start, entity.start + 2));
  const blank =
    empty === null ? blankLineAfter(text, entity) : { index: entity.start, size: empty[0].length };
  const head = text.slice(entity.start, blank.index);
  const unfolded = head.replace(/\r?\n[ \t]/g, ' ');
  const field = (name: string): string => new RegExp(`^${name}[ \\t]*:(.*)$`, 'im').exec(unfolded)?.[1] ?? '';
  const fields = {
    type: field('content-type'),
    encoding: field('content-transfer-encoding').trim().toLowerCase(),
    disposition: field('content-disposition'),
  };
  return { fields, bodyStart: Math.min(blank.index + blank.size, entity.end) };
}

function blankLineAfter(text: string, entity: Entity): { index: number; size: number } {
  const found = /\n\r?\n/.exec(text.slice(entity.start, entity.end));
  return found === null
    ? { index: entity.end, size: 0 }
    : { index: entity.start + found.index, size: found[0].length };
}

/** The entities between the boundary's delimiter lines in `within`, first to last. */
function childrenOf(text: string, within: Entity, boundary: string): Entity[] {
  const delimiter = `--${boundary}`;
  const children: Entity[] = [];
  let start = -1;
  let at = text.indexOf(delimiter, Math.max(within.start - 2, 0));
  while (at >= 0 && at < within.end && children.length < nodesMax) {
    const after = at + delimiter.length;
    if (at === 0 || text.charCodeAt(at - 1) === 0x0a) {
      // RFC 2046 §5.1.1: the line break before a delimiter is part of the delimiter.
      const end = text.charCodeAt(at - 2) === 0x0d ? at - 2 : at - 1;
      if (start >= 0) children.push({ start, end: Math.max(end, start), depth: within.depth });
      start = -1;
      if (text.startsWith('--', after)) break;
      const lineEnd = text.indexOf('\n', after);
      if (lineEnd < 0) break;
      start = lineEnd + 1;
    }
    at = text.indexOf(delimiter, after);
  }
  // The end delimiter is often missing in mail that was cut off.
  if (start >= 0 && start < within.end) children.push({ start, end: within.end, depth: within.depth });
  return children;
}

function parameter(field: string, name: string): string | null {
  const match = new RegExp(`;\\s*${name}\\s*=\\s*(?:"([^"]{1,200})"|([^\\s;"]{1,200}))`, 'i').exec(field);
  return match?.[1] ?? match?.[2] ?? null;
}

function decodeBody(latin1: string, encoding: string): Buffer {
  if (encoding === 'base64') return Buffer.from(latin1, 'base64');
  if (encoding !== 'quoted-printable') return Buffer.from(latin1, 'latin1');
  const decoded = latin1.replace(/=(?:\r?\n|([0-9a-f]{2}))/gi, (_, hex: string | undefined) =>
    hex === undefined ? '' : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(decoded, 'latin1');
}
