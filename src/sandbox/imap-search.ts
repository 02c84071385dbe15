import { structureOf } from './imap-fetch.ts';
import { ImapSyntaxError, type Token } from './imap-input.ts';
import { decodeWords } from './mime.ts';
import type { Message } from './store.ts';

type Test = (candidate: { message: Message; number: number }) => boolean;
/** What `*` stands for. */
type Last = { number: number; uid: number };

/**
 * The messages of `view` (index + 1 is the sequence number) that match SEARCH's keys, with their sequence
 * numbers (RFC 3501 §6.4.4).
 */
export function search(view: readonly Message[], keys: Token[]): { message: Message; number: number }[] {
  const charset = typeof keys[0] === 'string' && keys[0].toUpperCase() === 'CHARSET' ? 2 : 0;
  const test = all(keys.slice(charset), { number: view.length, uid: view.at(-1)?.uid ?? 0 });
  return view.map((message, index) => ({ message, number: index + 1 })).filter(test);
}

/**
 * Tells whether a number is in a sequence set such as `1:3,7,9:*`. `*` is `last`, and a range that begins
 * past the end holds the last one all the same (RFC 3501 §6.4.8).
 */
export function inSet(set: string, last: number): (number: number) => boolean {
  if (!/^(\d+|\*)(:(\d+|\*))?(,(\d+|\*)(:(\d+|\*))?)*$/.test(set))
    throw new ImapSyntaxError('not a sequence set');
  const ranges = set.split(',').map((range) => {
    const ends = range.split(':').map((end) => (end === '*' ? last : Number(end)));
    return { low: Math.min(...ends), high: Math.max(...ends) };
  });
  return (number) => ranges.some(({ low, high }) => number >= low && number <= high);
}

function all(keys: Token[], last: Last): Test {
  const queue = [...keys];
  const tests: Test[] = [];
  while (queue.length > 0) tests.push(nextTest(queue, last));
  return (candidate) => tests.every((test) => test(candidate));
}

/** Takes one search key with its arguments off the queue. */
function nextTest(queue: Token[], last: Last): Test {
  const key = queue.shift();
  if (Array.isArray(key)) return all(key, last);
  if (key === undefined) throw new ImapSyntaxError('search key missing');
  const word = key.toUpperCase();
  const flag = /^(UN)?(SEEN|ANSWERED|FLAGGED|DELETED|DRAFT)$/.exec(word);
  if (flag) return ({ message }) => hasFlag(message, `\\${flag[2]}`) === (flag[1] === undefined);
  switch (word) {
    case 'ALL':
      return () => true;
    case 'NOT': {
      const inner = nextTest(queue, last);
      return (candidate) => !inner(candidate);
    }
    case 'OR': {
      const [left, right] = [nextTest(queue, last), nextTest(queue, last)];
      return (candidate) => left(candidate) || right(candidate);
    }
    case 'UID': {
      const contains = inSet(argument(queue), last.uid);
      return ({ message }) => contains(message.uid);
    }
    case 'MODSEQ': {
      const least = Number(argument(queue));
      return ({ message }) => message.modseq >= least;
    }
    case 'HEADER':
      return headerTest(argument(queue), argument(queue));
    case 'FROM':
    case 'TO':
    case 'CC':
    case 'SUBJECT':
      return headerTest(word, argument(queue));
    case 'SINCE':
    case 'BEFORE':
    case 'ON':
      return dateTest(word, argument(queue));
    default: {
      const contains = inSet(key, last.number);
      return ({ number }) => contains(number);
    }
  }
}

function headerTest(name: string, wanted: string): Test {
  const [field, part] = [name.toLowerCase(), decodeWords(wanted).toLowerCase()];
  return ({ message }) =>
    structureOf(message).headers.some(
      (header) => header.name === field && decodeWords(header.value).toLowerCase().includes(part),
    );
}

function dateTest(word: 'SINCE' | 'BEFORE' | 'ON', date: string): Test {
  const start = Date.parse(`${date} 00:00:00 +0000`);
  if (Number.isNaN(start)) throw new ImapSyntaxError('not a date');
  const end = start + 24 * 60 * 60 * 1000;
  return ({ message: { receivedAtMs } }) => {
    if (word === 'BEFORE') return receivedAtMs < start;
    return receivedAtMs >= start && (word === 'SINCE' || receivedAtMs < end);
  };
}

function argument(queue: Token[]): string {
  const next = queue.shift();
  if (typeof next !== 'string') throw new ImapSyntaxError('search argument missing');
  return next;
}

export function hasFlag(message: Message, flag: string): boolean {
  return message.flags.some((own) => own.toLowerCase() === flag.toLowerCase());
}
