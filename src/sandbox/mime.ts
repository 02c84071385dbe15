/** One header field. */
type Header = {
  /** In lower case. */
  name: string;
  /** Unfolded; 8-bit bytes and encoded words as they came, one character for each byte. */
  value: string;
  /** As it stands in the message, with its line end. */
  raw: string;
};

/** A value with parameters: `text/plain; charset=utf-8`. Names in lower case, RFC 2231 forms left as they are. */
type Parameterised = { value: string; parameters: [string, string][] };

/** A message, or one part of it. The three offsets are bytes from the start of the message. */
export type Part = {
  headers: Header[];
  start: number;
  bodyStart: number;
  end: number;
  type: string;
  subtype: string;
  parameters: [string, string][];
  disposition: Parameterised | undefined;
  /** The parts of a multipart, or the one message inside a message/rfc822. */
  children: Part[];
};

/** Deeper than this, and past so many parts, what is left counts as one attachment. */
const limits = { depthMax: 40, partsMax: 1000 };

/** Reads the structure of a message (RFC 2045, RFC 2046 §5.1). Never throws: what is broken is a plain leaf. */
export function parseMime(raw: Buffer): Part {
  const text = raw.toString('latin1');
  return parsePart(text, { start: 0, end: text.length, depth: 0, count: { parts: 0 } });
}

/** The value of the first header of that name (given in lower case). */
export function headerOf(part: Part, name: string): string | undefined {
  return part.headers.find((header) => header.name === name)?.value;
}

/** A part's text as a person reads it: transfer encoding and charset undone, the body of the first text part. */
export function textOf(raw: Buffer, root: Part): string {
  const leaves = leavesOf(root).filter(
    (part) => part.type === 'text' && part.disposition?.value !== 'attachment',
  );
  const part = leaves.find(({ subtype }) => subtype === 'plain') ?? leaves[0];
  if (part === undefined) return '';
  const charset = part.parameters.find(([name]) => name === 'charset')?.[1] ?? 'utf-8';
  const encoding = headerOf(part, 'content-transfer-encoding') ?? '7bit';
  const text = decodeCharset(decodeTransfer(raw.subarray(part.bodyStart, part.end), encoding), charset);
  return part.subtype === 'html' ? text.replace(/<[^>]*>/g, '') : text;
}

/** Undoes encoded words (RFC 2047), and reads raw 8-bit headers as UTF-8. */
export function decodeWords(value: string): string {
  const words = /=\?([^?\s]+)\?([bq])\?([^?\s]*)\?=(?:\s+(?==\?[^?\s]+\?[bq]\?))?/gi;
  return Buffer.from(value, 'latin1')
    .toString()
    .replace(words, (_, charset: string, encoding: string, data: string) =>
      decodeCharset(
        encoding.toLowerCase() === 'b'
          ? Buffer.from(data, 'base64')
          : decodeTransfer(Buffer.from(data.replaceAll('_', ' ')), 'quoted-printable'),
        charset.split('*')[0] ?? charset,
      ),
    );
}

type Range = { start: number; end: number; depth: number; count: { parts: number } };

function parsePart(text: string, range: Range): Part {
  const { start, end, depth, count } = range;
  count.parts += 1;
  const bodyStart = endOfHeaders(text, start, end);
  const headers = parseHeaders(text.slice(start, bodyStart));
  const find = (name: string) => headers.find((header) => header.name === name)?.value;
  const content = parseParameters(find('content-type') ?? 'text/plain; charset=us-ascii');
  const [type = '', subtype = ''] = content.value.split('/').map((word) => word.trim());
  const disposition = find('content-disposition');
  const part: Part = {
    headers,
    start,
    bodyStart,
    end,
    type,
    subtype,
    parameters: content.parameters,
    disposition: disposition === undefined ? undefined : parseParameters(disposition),
    children: [],
  };
  const tooMuch = depth >= limits.depthMax || count.parts >= limits.partsMax;
  const inside = tooMuch ? [] : insideOf(text, part);
  part.children = inside.map(([from, to]) =>
    parsePart(text, { start: from, end: to, depth: depth + 1, count }),
  );
  const wantsChildren = type === 'multipart' || (type === 'message' && subtype === 'rfc822');
  if (part.children.length === 0 && (wantsChildren || type === '' || subtype === '')) {
    return { ...part, type: 'application', subtype: 'octet-stream', parameters: [] };
  }
  return part;
}

function insideOf(text: string, part: Part): [number, number][] {
  if (part.type === 'message' && part.subtype === 'rfc822') return [[part.bodyStart, part.end]];
  const boundary = part.parameters.find(([name]) => name === 'boundary')?.[1];
  if (part.type !== 'multipart' || !boundary) return [];
  const ranges: [number, number][] = [];
  const delimiter = `--${boundary}`;
  let from: number | undefined;
  for (let at = text.indexOf(delimiter, part.bodyStart); at >= 0 && at < part.end;) {
    const lineEnd = Math.min(indexOrEnd(text, '\r\n', at), part.end);
    const rest = text.slice(at + delimiter.length, lineEnd).trimEnd();
    if ((at === part.bodyStart || text[at - 1] === '\n') && (rest === '' || rest === '--')) {
      // The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
      if (from !== undefined) ranges.push([from, Math.max(from, at - 2)]);
      from = rest === '' ? Math.min(lineEnd + 2, part.end) : undefined;
      if (rest === '--') return ranges;
    }
    at = text.indexOf(delimiter, lineEnd);
  }
  // Cut off before its last delimiter: what is there is the last part.
  if (from !== undefined) ranges.push([from, part.end]);
  return ranges;
}

function endOfHeaders(text: string, start: number, end: number): number {
  if (text.startsWith('\r\n', start)) return Math.min(start + 2, end);
  return Math.min(indexOrEnd(text, '\r\n\r\n', start) + 4, end);
}

function indexOrEnd(text: string, wanted: string, from: number): number {
  const index = text.indexOf(wanted, from);
  return index < 0 ? text.length : index;
}

function parseHeaders(block: string): Header[] {
  // A line that begins with a space or a tab goes on with the header before it (RFC 5322 §2.2.3).
  return block.split(/(?<=\r\n)(?![ \t])/).flatMap((raw) => {
    const colon = raw.indexOf(':');
    if (colon < 1) return [];
    const value = raw.slice(colon + 1).replace(/\r\n/g, '');
    return [{ name: raw.slice(0, colon).trim().toLowerCase(), value: value.trim(), raw }];
  });
}

function parseParameters(header: string): Parameterised {
  const [value = '', ...rest] = header.match(/(?:"(?:\\.|[^"\\])*"|[^;"]|")+/g) ?? [];
  const parameters = rest.flatMap((parameter): [string, string][] => {
    const equals = parameter.indexOf('=');
    const quoted = parameter.slice(equals + 1).trim();
    const plain = /^"(.*)"$/s.exec(quoted)?.[1]?.replace(/\\(.)/g, '$1') ?? quoted;
    return equals < 1 ? [] : [[parameter.slice(0, equals).trim().toLowerCase(), plain]];
  });
  return { value: value.trim().toLowerCase(), parameters };
}

function leavesOf(part: Part): Part[] {
  return part.type === 'multipart' ? part.children.flatMap(leavesOf) : [part];
}

function decodeTransfer(bytes: Buffer, encoding: string): Buffer {
  switch (encoding.toLowerCase()) {
    case 'base64':
      return Buffer.from(bytes.toString('latin1'), 'base64');
    case 'quoted-printable': {
      const soft = bytes.toString('latin1').replace(/=[ \t]*\r?\n/g, '');
      const hex = /=([0-9a-f]{2})/gi;
      return Buffer.from(
        soft.replace(hex, (_, code: string) => String.fromCharCode(parseInt(code, 16))),
        'latin1',
      );
    }
    default:
      return bytes;
  }
}

function decodeCharset(bytes: Buffer, charset: string): string {
  // An unknown charset is read as Latin-1: wrong letters are better than none.
  return new TextDecoder(isKnownCharset(charset) ? charset : 'latin1').decode(bytes);
}

function isKnownCharset(charset: string): boolean {
  try {
    return new TextDecoder(charset).encoding.length > 0;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
