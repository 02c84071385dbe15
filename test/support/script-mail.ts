import type { WireLine } from '../../src/lib/trace.ts';
import { quoted } from './script-tokens.ts';

/** A message or a part of one, cut into what IMAP lets a client ask for. */
export type Entity = {
  header: Buffer;
  body: Buffer;
  /** Lower-case name and unfolded value, in order. */
  fields: [name: string, value: string][];
  type: string;
  params: Map<string, string>;
  /** The parts of a multipart, or the message inside a message/rfc822. */
  children: Entity[];
};

/** Cuts a message of a transcript. For well-formed messages: hostile ones belong to the real servers' tests. */
export function entityOf(raw: Buffer, depth = 0): Entity {
  const blank = raw.indexOf('\r\n\r\n');
  const cut = raw.indexOf('\r\n') === 0 ? 2 : blank < 0 ? raw.length : blank + 4;
  const header = raw.subarray(0, cut);
  const body = raw.subarray(cut);
  const fields = fieldsOf(header);
  const [type, params] = valueOf(fieldOf(fields, 'content-type') ?? 'text/plain');
  const children: Entity[] = [];
  if (depth < 20 && type.startsWith('multipart/')) {
    for (const part of partsOf(body, params.get('boundary') ?? '')) children.push(entityOf(part, depth + 1));
  } else if (depth < 20 && type === 'message/rfc822') children.push(entityOf(body, depth + 1));
  return { header, body, fields, type, params, children };
}

/** The value of the first such field. */
export function fieldOf(fields: Entity['fields'], name: string): string | undefined {
  return fields.find(([key]) => key === name)?.[1];
}

/** What `BODY[section]` holds (RFC 3501 §6.4.5), or undefined where there is no such part. */
export function sectionOf(message: Entity, section: string): Buffer | undefined {
  const match = /^([\d.]*?)\.?((?:HEADER|TEXT|MIME)[^]*)?$/i.exec(section);
  if (match === null) return undefined;
  const [, path = '', what = ''] = match;
  let entity: Entity | undefined = message;
  for (const number of path === '' ? [] : path.split('.')) {
    // Part 1 of a message that is no multipart is its body; through message/rfc822 to what is inside.
    const holder: Entity | undefined = entity.type === 'message/rfc822' ? entity.children[0] : entity;
    if (holder === undefined) return undefined;
    entity = holder.type.startsWith('multipart/')
      ? holder.children[Number(number) - 1]
      : number === '1'
        ? holder
        : undefined;
    if (entity === undefined) return undefined;
  }
  if (what === '') return path === '' ? Buffer.concat([message.header, message.body]) : entity.body;
  if (what.toUpperCase() === 'MIME') return entity.header;
  const inner = path !== '' && entity.type === 'message/rfc822' ? (entity.children[0] ?? entity) : entity;
  if (what.toUpperCase() === 'TEXT') return inner.body;
  if (what.toUpperCase() === 'HEADER') return inner.header;
  const list = /^HEADER\.FIELDS(\.NOT)? \((.*)\)$/i.exec(what);
  if (list === null) return undefined;
  const wanted = new Set((list[2] ?? '').toLowerCase().replaceAll('"', '').split(' '));
  return chosenFields(inner.header, (name) => wanted.has(name) === (list[1] === undefined));
}

/** `BODYSTRUCTURE` with its extension data (RFC 3501 §7.4.2). */
export function bodyStructure(entity: Entity): WireLine {
  const [type = '', subtype = ''] = entity.type.toUpperCase().split('/');
  const [disposition, dispositionParams] = valueOf(fieldOf(entity.fields, 'content-disposition') ?? '');
  const shown =
    disposition === '' ? 'NIL' : `(${quoted(disposition.toUpperCase())} ${paramList(dispositionParams)})`;
  if (type === 'MULTIPART') {
    const children = entity.children.flatMap(bodyStructure);
    return ['(', ...children, ` ${quoted(subtype)} ${paramList(entity.params)} ${shown} NIL NIL)`];
  }
  const field = (name: string) => {
    const value = fieldOf(entity.fields, name);
    return value === undefined ? 'NIL' : quoted(value);
  };
  const encoding = quoted((fieldOf(entity.fields, 'content-transfer-encoding') ?? '7BIT').toUpperCase());
  const lines = entity.body.toString('latin1').split('\r\n').length - 1;
  const start = `(${quoted(type)} ${quoted(subtype)} ${paramList(entity.params)} ${field('content-id')} ${field('content-description')} ${encoding} ${entity.body.length}`;
  const [inner] = entity.children;
  const nested = inner === undefined ? [] : [' ', ...envelope(inner), ' ', ...bodyStructure(inner)];
  const lineCount = type === 'TEXT' || inner !== undefined ? ` ${lines}` : '';
  return [start, ...nested, `${lineCount} NIL ${shown} NIL NIL)`];
}

/** `ENVELOPE`. */
export function envelope(entity: Entity): WireLine {
  const text = (name: string) => nstring(fieldOf(entity.fields, name));
  const people = (name: string, otherwise?: string) =>
    addressList(fieldOf(entity.fields, name) ?? (otherwise && fieldOf(entity.fields, otherwise)));
  const items = [text('date'), text('subject')];
  items.push(people('from'), people('sender', 'from'), people('reply-to', 'from'));
  items.push(...['to', 'cc', 'bcc'].map((name) => people(name)));
  items.push(text('in-reply-to'), text('message-id'));
  return ['(', ...items.flatMap((item, index) => (index === 0 ? item : [' ', ...item])), ')'];
}

function fieldsOf(header: Buffer): Entity['fields'] {
  const unfolded = header.toString().replace(/\r\n(?=[ \t])/g, '');
  return unfolded.split('\r\n').flatMap((line): Entity['fields'] => {
    const colon = line.indexOf(':');
    return colon < 1 ? [] : [[line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()]];
  });
}

function valueOf(value: string): [string, Map<string, string>] {
  const [first = '', ...rest] = value.split(/;(?=(?:[^"]*"[^"]*")*[^"]*$)/);
  const params = rest.flatMap((param): [string, string][] => {
    const match = /^\s*([^=\s]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|(\S+))/.exec(param);
    return match === null ? [] : [[(match[1] ?? '').toLowerCase(), match[2] ?? match[3] ?? '']];
  });
  return [first.trim().toLowerCase(), new Map(params)];
}

function partsOf(body: Buffer, boundary: string): Buffer[] {
  const text = `\r\n${body.toString('latin1')}`;
  const pieces = text.split(`\r\n--${boundary}`).slice(1);
  const end = pieces.findIndex((piece) => piece.startsWith('--'));
  return pieces
    .slice(0, end < 0 ? pieces.length : end)
    .map((piece) => Buffer.from(piece.replace(/^[ \t]*\r\n/, ''), 'latin1'));
}

function chosenFields(header: Buffer, wanted: (name: string) => boolean): Buffer {
  const fields = header
    .toString('latin1')
    .split(/\r\n(?![ \t])/)
    .filter((field) =>
      wanted(
        field
          .slice(0, Math.max(field.indexOf(':'), 0))
          .trim()
          .toLowerCase(),
      ),
    );
  return Buffer.from([...fields.filter((field) => field !== ''), '', ''].join('\r\n'), 'latin1');
}

function paramList(params: Map<string, string>): string {
  if (params.size === 0) return 'NIL';
  return `(${[...params].map(([name, value]) => `${quoted(name.toUpperCase())} ${quoted(value)}`).join(' ')})`;
}

/** A string that may hold anything goes as a literal, everything else quoted. */
function nstring(value: string | undefined): WireLine {
  if (value === undefined || value === '') return ['NIL'];
  return /^[\x20-\x7e]*$/.test(value) ? [quoted(value)] : [Buffer.from(value)];
}

function addressList(value: string | undefined): WireLine {
  if (value === undefined || value === '') return ['NIL'];
  const addresses = value.split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/).flatMap((one): WireLine => {
    const match = /^\s*(?:"?([^"<]*?)"?\s*<)?([^<>@\s]+)@([^<>@\s]+?)>?\s*$/.exec(one);
    if (match === null) return [];
    const [, name, local, domain] = match;
    return ['(', ...nstring(name), ' NIL ', ...nstring(local), ' ', ...nstring(domain), ')'];
  });
  return addresses.length === 0 ? ['NIL'] : ['(', ...addresses, ')'];
}
