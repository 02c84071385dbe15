/** Pure: the people in the block above a forwarded message, as the mail programs show them. */
import { type Address, validAddress } from './addresses.ts';
import { cleanLine } from './charset.ts';

/** As in header lines: more is no list that a person reads. */
const addressesMax = 1000;
const nameCharsMax = 500;

/**
 * Outlook's words between who sent it and whom it is from. The address that stands before them is the
 * sender's: a list's or a service's, never the author's.
 */
const onBehalfOf =
  /\s(?:on behalf of|im auftrag von|de la part de|en nombre de|per conto di|em nome de|namens)\s/i;

/** `Anna Berg via Sales <sales@…>`: Google Groups and services write so where the address is not the author's. */
const via = /\svia\s/i;

/** The author; null when no address of theirs can be read, or more than one. */
export function readAuthor(written: string): Address | null {
  const behalf = onBehalfOf.exec(written);
  const list = readPeople(behalf === null ? written : written.slice(behalf.index + behalf[0].length));
  const [first] = list;
  return first !== undefined && list.length === 1 && !via.test(first.name) ? first : null;
}

/**
 * The people of a To or Cc line who have an address, each address once. Between them stand commas or,
 * in Outlook, semicolons; names hold commas without quotes (`Berg, Anna <anna@…>`), addresses stand in
 * `<…>`, `[…]` or `[mailto:…]`, or alone, and their links behind them. Unlike a header this has no
 * grammar: a name that is an address itself counts as one more person.
 */
export function readPeople(written: string): Address[] {
  const text = bracketed(written);
  const found = new Map<string, Address>();
  let at = 0;
  const add = (name: string, address: string): void => {
    const key = address.toLowerCase();
    if (found.size >= addressesMax || !validAddress(address)) return;
    // Half of what was `<address<mailto:address>>` may stand behind the name.
    const shown = nameOf(name.replace(/<.*$/s, ''));
    const isName = shown.toLowerCase() !== key;
    const known = found.get(key);
    if (known === undefined || known.name === '') found.set(key, { name: isName ? shown : '', address });
  };
  for (const match of text.matchAll(/<\s{0,3}([^<>\s]{1,320})\s{0,3}>/g)) {
    const names = text.slice(at, match.index).split(/[,;]/);
    const own = names.filter((piece) => !isAddress(nameOf(piece)));
    for (const piece of names) if (isAddress(nameOf(piece))) add('', nameOf(piece));
    add(own.join(','), match[1] ?? '');
    at = match.index + match[0].length;
  }
  for (const piece of text.slice(at).split(/[,;\s]/)) if (isAddress(nameOf(piece))) add('', nameOf(piece));
  return [...found.values()];
}

/** Every way to set an address apart as `<…>`, without invisible marks. */
function bracketed(written: string): string {
  return written
    .replace(/[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, '')
    .replace(/[<[(]\s{0,3}mailto:([^\s\])<>]{1,320})\s{0,3}[\])>]/gi, '<$1>')
    .replace(/\[\s{0,3}([^\s@[\]<>]{1,64}@[^\s@[\]<>]{1,255})\s{0,3}\]/g, '<$1>');
}

function isAddress(text: string): boolean {
  return text.includes('@') && validAddress(text);
}

/** A name without the quotes, stars, commas and halves of brackets around it. */
function nameOf(written: string): string {
  return cleanLine(written, nameCharsMax).replace(
    /^[\s"'«»„“”‘’*,;<>()]{1,50}|[\s"'«»„“”‘’*,;<>()]{1,50}$/g,
    '',
  );
}
