import { bodyStructure, envelope, internalDate } from './imap-format.ts';
import { ImapSyntaxError, type Token } from './imap-input.ts';
import { parseMime, type Part } from './mime.ts';
import type { Message } from './store.ts';

/** What a FETCH asks for. */
export type FetchQuery = {
  items: FetchItem[];
  /** Whether a body is read without PEEK, which marks the message as read (RFC 3501 §6.4.5). */
  marksSeen: boolean;
};

type FetchItem = keyof typeof plainItems | Section;

/** `BODY[1.2.HEADER.FIELDS (A B)]<0.100>` */
type Section = {
  /** Between the brackets, as the client wrote it. */
  text: string;
  path: number[];
  of: '' | 'HEADER' | 'TEXT' | 'MIME';
  /** Only these headers, in lower case. */
  fields?: string[];
  partial?: { from: number; bytes: number };
};

const plainItems = {
  FLAGS: (message: Message) => `(${message.flags.join(' ')})`,
  UID: (message: Message) => String(message.uid),
  INTERNALDATE: (message: Message) => internalDate(message.receivedAtMs),
  'RFC822.SIZE': (message: Message) => String(message.raw.length),
  ENVELOPE: (message: Message) => envelope(structureOf(message)),
  BODYSTRUCTURE: (message: Message) => bodyStructure(message.raw, structureOf(message)),
  MODSEQ: (message: Message) => `(${message.modseq})`,
};

export function parseFetchQuery(token: Token): FetchQuery {
  const words = Array.isArray(token) ? token : [token];
  let marksSeen = false;
  const items = words.map((word): FetchItem => {
    const plain = String(word).toUpperCase();
    if (isPlain(plain)) return plain;
    const body = typeof word === 'string' && /^BODY(\.PEEK)?\[(.*)\](?:<(\d+)\.(\d+)>)?$/i.exec(word);
    if (!body) throw new ImapSyntaxError('unknown FETCH item');
    const [, peek, text = '', from, bytes] = body;
    if (peek === undefined) marksSeen = true;
    const partial = from === undefined ? {} : { partial: { from: Number(from), bytes: Number(bytes) } };
    return { ...parseSection(text), ...partial };
  });
  return { items, marksSeen };
}

/** The parenthesised answer for one message, between `* n FETCH ` and the line end. */
export function fetchResponse(message: Message, query: FetchQuery): Buffer {
  const pieces = query.items.map((item) => {
    if (typeof item !== 'string') return sectionResponse(message, item);
    return Buffer.from(`${item} ${plainItems[item](message)}`, 'latin1');
  });
  const spaced = pieces.flatMap((piece, index) => (index === 0 ? [piece] : [Buffer.from(' '), piece]));
  return Buffer.concat([Buffer.from('('), ...spaced, Buffer.from(')')]);
}

function parseSection(text: string): Section {
  const match = /^((?:\d+\.)*\d*)(HEADER|TEXT|MIME|HEADER\.FIELDS \((.*)\))?$/i.exec(text);
  if (!match) throw new ImapSyntaxError('unknown section');
  const [, numbers = '', keyword = '', names] = match;
  const path = numbers.split('.').filter(Boolean).map(Number);
  if (names === undefined) return { text, path, of: keyword.toUpperCase() as Section['of'] };
  const fields = names.toLowerCase().replaceAll('"', '').split(' ').filter(Boolean);
  return { text, path, of: 'HEADER', fields };
}

function isPlain(word: string): word is keyof typeof plainItems {
  return Object.hasOwn(plainItems, word);
}

function sectionResponse(message: Message, section: Section): Buffer {
  const origin = section.partial ? `<${section.partial.from}>` : '';
  const label = `BODY[${section.text}]${origin}`;
  const whole = sectionBytes(message, section);
  if (whole === undefined) return Buffer.from(`${label} NIL`, 'latin1');
  const { from, bytes } = section.partial ?? { from: 0, bytes: whole.length };
  const part = whole.subarray(from, from + bytes);
  return Buffer.concat([Buffer.from(`${label} {${part.length}}\r\n`, 'latin1'), part]);
}

/** The bytes a section names (RFC 3501 §6.4.5), or undefined where the message has no such part. */
function sectionBytes(message: Message, section: Section): Buffer | undefined {
  const { raw } = message;
  const part = partAt(structureOf(message), section.path);
  // The header and text of a part are those of the message inside it; only its MIME header is its own.
  const holder = section.path.length === 0 || section.of === 'MIME' ? part : part?.children[0];
  if (section.of === '') {
    return part && raw.subarray(section.path.length === 0 ? part.start : part.bodyStart, part.end);
  }
  if (!holder) return undefined;
  if (section.of === 'TEXT') return raw.subarray(holder.bodyStart, holder.end);
  if (!section.fields) return raw.subarray(holder.start, holder.bodyStart);
  const wanted = holder.headers.filter(({ name }) => section.fields?.includes(name));
  return Buffer.from(`${wanted.map((header) => header.raw).join('')}\r\n`, 'latin1');
}

function partAt(root: Part, path: number[]): Part | undefined {
  let part: Part | undefined = root;
  for (const [depth, number] of path.entries()) {
    // Numbers count inside the message that a message/rfc822 part holds.
    if (depth > 0 && part?.type === 'message') part = part.children[0];
    if (part?.type === 'multipart') part = part.children[number - 1];
    // Part 1 of what has no parts is the thing itself.
    else if (number !== 1) return undefined;
  }
  return part;
}

const structures = new WeakMap<Buffer, Part>();

/** The message's structure, read once and forgotten with the message. */
export function structureOf(message: { raw: Buffer }): Part {
  const known = structures.get(message.raw);
  if (known) return known;
  const structure = parseMime(message.raw);
  structures.set(message.raw, structure);
  return structure;
}
