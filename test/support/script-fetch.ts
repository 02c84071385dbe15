import type { WireLine } from '../../src/lib/trace.ts';
import type { Folder, Message } from './script-mailbox.ts';
import { bodyStructure, envelope, fieldOf, sectionOf } from './script-mail.ts';
import { quoted, wordOf, wordsOf, type Token } from './script-tokens.ts';

/** Whether a set such as `4,7:9,12:*` covers a number; `*` is the highest there is (RFC 3501 §9). */
export function inSet(set: string, value: number, highest: number): boolean {
  return set.split(',').some((range) => {
    const [from = 0, to = from] = range.split(':').map((end) => (end === '*' ? highest : Number(end)));
    // `n:*` covers the highest message also when n is above it (RFC 3501 §6.4.8).
    return value >= Math.min(from, to) && value <= Math.max(from, to);
  });
}

/** The messages that a FETCH or SEARCH sees, with their sequence numbers; counts `late` down for those it asks for. */
export function visible(
  folder: Folder,
  asked: (message: Message, sequence: number) => boolean,
): [Message, number][] {
  return folder.messages.flatMap((message, index): [Message, number][] => {
    if (!asked(message, index + 1)) return [];
    if (message.late === 0) return [[message, index + 1]];
    message.late -= 1;
    return [];
  });
}

/** The row of one message, or undefined where the message cannot be read as far as is asked. */
export function fetchRow(message: Message, sequence: number, items: string[]): WireLine | undefined {
  const answered: WireLine = [];
  for (const item of items) {
    const value = fetchItem(message, item);
    if (value === undefined) return undefined;
    answered.push(answered.length === 0 ? `* ${sequence} FETCH (` : ' ', ...value);
  }
  return [...answered, ')'];
}

/** The items of a FETCH command's list, macros replaced (RFC 3501 §6.4.5). */
export function fetchItems(token: Token | undefined): string[] {
  const items = (Array.isArray(token) ? wordsOf(token) : [wordOf(token)]).map((item) =>
    item.toUpperCase().startsWith('BODY') ? item : item.toUpperCase(),
  );
  const fast = ['FLAGS', 'INTERNALDATE', 'RFC822.SIZE'];
  return items.flatMap((item) => (item === 'FAST' ? fast : item === 'ALL' ? [...fast, 'ENVELOPE'] : [item]));
}

function fetchItem(message: Message, item: string): WireLine | undefined {
  switch (item) {
    case 'UID':
      return [`UID ${message.uid}`];
    case 'FLAGS':
      return [`FLAGS (${[...message.flags].join(' ')})`];
    case 'INTERNALDATE':
      return [`INTERNALDATE "${imapDate(message.date)}"`];
    case 'RFC822.SIZE':
      return [`RFC822.SIZE ${message.raw.length}`];
    case 'MODSEQ':
      return [`MODSEQ (${message.modseq})`];
    case 'X-GM-MSGID':
      return [`X-GM-MSGID ${message.msgid}`];
    case 'X-GM-THRID':
      return [`X-GM-THRID ${message.thrid}`];
    case 'X-GM-LABELS':
      return [`X-GM-LABELS (${message.labels.map((label) => quoted(label)).join(' ')})`];
    default:
      return contentItem(message, item);
  }
}

function contentItem(message: Message, item: string): WireLine | undefined {
  if (message.readable === 'nothing') return undefined;
  const name = item.toUpperCase();
  if (name === 'ENVELOPE') return ['ENVELOPE ', ...envelope(message.entity)];
  if (name === 'BODYSTRUCTURE') return ['BODYSTRUCTURE ', ...bodyStructure(message.entity)];
  const match = /^BODY(?:\.PEEK)?\[(.*)\](?:<(\d+)(?:\.(\d+))?>)?$/i.exec(item);
  if (match === null) throw new Error(`the peer knows no FETCH item ${item}`);
  const [, section = '', start, size] = match;
  if (message.readable === 'headers' && !/^HEADER/i.test(section)) return undefined;
  const content = sectionOf(message.entity, section);
  const label = `BODY[${section}]${start === undefined ? '' : `<${start}>`} `;
  if (content === undefined) return [`${label}NIL`];
  const from = Number(start ?? 0);
  return [
    label,
    start === undefined ? content : content.subarray(from, from + Number(size ?? content.length)),
  ];
}

/** Whether a message answers a SEARCH; takes its keys off the front of `keys` (RFC 3501 §6.4.4). */
export function searchMatcher(
  folder: Folder,
  keys: Token[],
): (message: Message, sequence: number) => boolean {
  const tests: ((message: Message, sequence: number) => boolean)[] = [];
  while (keys.length > 0) tests.push(searchKey(folder, keys));
  return (message, sequence) => tests.every((test) => test(message, sequence));
}

function searchKey(folder: Folder, keys: Token[]): (message: Message, sequence: number) => boolean {
  const token = keys.shift();
  if (Array.isArray(token)) return searchMatcher(folder, [...token]);
  const key = wordOf(token).toUpperCase();
  const flag = /^(UN)?(SEEN|FLAGGED|ANSWERED|DELETED|DRAFT)$/.exec(key);
  if (flag !== null) {
    return (message) =>
      [...message.flags].some((one) => one.toUpperCase() === `\\${flag[2]}`) === (flag[1] === undefined);
  }
  if (/^[\d*][\d:,*]*$/.test(key))
    return (_message, sequence) => inSet(key, sequence, folder.messages.length);
  if (key === 'ALL') return () => true;
  if (key === 'NOT') {
    const test = searchKey(folder, keys);
    return (message, sequence) => !test(message, sequence);
  }
  if (key === 'OR') {
    const [one, other] = [searchKey(folder, keys), searchKey(folder, keys)];
    return (message, sequence) => one(message, sequence) || other(message, sequence);
  }
  if (key === 'HEADER') return headerTest(wordOf(keys.shift()), wordOf(keys.shift()));
  return valueTest(folder, key, wordOf(keys.shift()));
}

function valueTest(folder: Folder, key: string, value: string): (message: Message) => boolean {
  const day = () => Date.parse(`${value} UTC`);
  const dayOf = (message: Message) => Math.floor(message.date.getTime() / 86_400_000) * 86_400_000;
  const sent = (message: Message) => Date.parse(fieldOf(message.entity.fields, 'date') ?? '');
  switch (key) {
    case 'UID':
      return (message) => inSet(value, message.uid, folder.messages.at(-1)?.uid ?? 0);
    case 'FROM':
    case 'TO':
    case 'CC':
    case 'SUBJECT':
      return headerTest(key, value);
    case 'SINCE':
      return (message) => dayOf(message) >= day();
    case 'BEFORE':
      return (message) => dayOf(message) < day();
    case 'SENTSINCE':
      return (message) => sent(message) >= day();
    case 'SENTBEFORE':
      return (message) => sent(message) < day();
    case 'MODSEQ':
      return (message) => message.modseq >= Number(value);
    case 'X-GM-MSGID':
      return (message) => message.msgid === value;
    case 'X-GM-THRID':
      return (message) => message.thrid === value;
    case 'X-GM-RAW':
      if (!value.startsWith('rfc822msgid:')) throw new Error(`the peer knows no X-GM-RAW ${value}`);
      return headerTest('Message-ID', value.slice('rfc822msgid:'.length));
    default:
      throw new Error(`the peer knows no SEARCH key ${key}`);
  }
}

function headerTest(name: string, value: string): (message: Message) => boolean {
  return (message) =>
    message.entity.fields.some(
      ([key, content]) => key === name.toLowerCase() && content.toLowerCase().includes(value.toLowerCase()),
    );
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function imapDate(date: Date): string {
  const two = (number: number) => String(number).padStart(2, '0');
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(':');
  return `${two(date.getUTCDate())}-${MONTHS[date.getUTCMonth()]}-${date.getUTCFullYear()} ${time} +0000`;
}
