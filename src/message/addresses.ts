import { domainToASCII } from 'node:url';
import addressparser from 'nodemailer/lib/addressparser';
import { cleanLine } from './charset.ts';
import { decodeWords, maskWords } from './encoded-words.ts';

/** One mailbox of an address header. */
export type Address = {
  /** The display name, decoded; empty when there was none. May hold anything, also another address: never show it as the sender. */
  name: string;
  /** `local@domain` as written, case kept; never empty. */
  address: string;
};

/** RFC 5321 §4.5.3.1: 64 octets, `@`, 255 octets. Longer ones can not be delivered to, and would not fit an index. */
const addressCharsMax = 320;
const nameCharsMax = 500;
/** More recipients than any list that a person reads; the rest is ignored. */
const addressesMax = 1000;

/** `local@domain` of nothing but letters, digits and what atoms may hold (RFC 5322 §3.2.3). */
const plainAddress = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*$/;

/**
 * The mailboxes of an unfolded address header, at most 1,000, in order; groups are flattened
 * (RFC 5322 §3.4), comments and quoting understood, names decoded after parsing. Broken input
 * gives what is usable: entries without a plausible address are left out. An address is never
 * read out of an encoded word or a name, since that would let a name claim a sender.
 */
export function parseAddressList(header: string): Address[] {
  // Four of the six headers that hold addresses are missing from nearly every message.
  if (header === '') return [];
  const masked = maskWords(header);
  const simple = simpleList(masked);
  if (simple !== null) return simple;
  const list: Address[] = [];
  for (const entry of addressparser(masked, { flatten: true })) {
    const address = entry.address.replace(/^mailto:/i, '');
    if (!isPlausible(address)) continue;
    list.push({ name: cleanLine(decodeWords(entry.name), nameCharsMax), address });
    if (list.length === addressesMax) break;
  }
  return list;
}

/**
 * The form in which a contact's address is compared: lower case, the domain in ASCII, unneeded
 * quotes gone; for gmail.com and googlemail.com the dots of the local part gone and one domain.
 * A `+tag` is kept, since a contact's tagged address is its own (RULES, "Words").
 */
export function canonicalAddress(address: string): string {
  return formsOf(address).contact;
}

/** As `canonicalAddress`, without the `+tag`: for the addresses of users and mailboxes. */
export function canonicalOwnAddress(address: string): string {
  return formsOf(address).own;
}

/** The domain in lower case and ASCII, without a final dot; empty when there is none. */
export function domainOf(address: string): string {
  return formsOf(address).domain;
}

function writtenDomain(address: string): string {
  const at = address.lastIndexOf('@');
  if (at < 0) return '';
  const domain = address
    .slice(at + 1)
    .trim()
    .replace(/\.$/, '')
    .toLowerCase();
  // domainToASCII answers '' for what is no domain; what was written then has to do.
  return /^[a-z0-9.-]*$/.test(domain) ? domain : domainToASCII(domain) || domain;
}

/** Local parts that say nobody reads them, in the languages of the mailers that were seen to use them. */
const noReplyLocalPart = new RegExp(
  '(?:^|[._+-])(?:' +
    [
      'no[._-]?repl(?:y|ies)',
      'do[._-]?not[._-]?(?:reply|respond)',
      'dont[._-]?reply',
      'never[._-]?reply',
      'keine[._-]?antwort(?:en)?',
      'nicht[._-]?antworten',
      'ne[._-]?pas[._-]?repondre',
      'pas[._-]?de[._-]?reponse',
      'no[._-]?respond(?:er|a)',
      'non[._-]?rispondere',
      'n[ao]o[._-]?(?:responda|responder|resposta)',
      'niet[._-]?(?:be)?antwoorden',
      'mailer[._-]?daemon',
      'bounces?',
    ].join('|') +
    ')(?:$|[._+=\\d-])',
);

/** Whether nobody reads mail to this address by its own word (`noreply@`, `mailer-daemon@`, `bounces+…@`). */
export function isNoReplyAddress(address: string): boolean {
  return noReplyLocalPart.test(address.slice(0, Math.max(address.lastIndexOf('@'), 0)).toLowerCase());
}

/**
 * Whether `text` is one deliverable address, for input by API: no name, no brackets, no quoted
 * local part, no address literal; local part at most 64 characters, a domain of two labels or more.
 */
export function validAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  if (at < 1 || at > 64 || text.length > 254) return false;
  const local = text.slice(0, at);
  if (!/^[\p{L}\p{N}\p{M}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{N}\p{M}!#$%&'*+/=?^_`{|}~-]+)*$/u.test(local))
    return false;
  const domain = text.slice(at + 1);
  if (!/^[\p{L}\p{N}\p{M}.-]+$/u.test(domain)) return false;
  const labels = domainToASCII(domain).split('.');
  return labels.length > 1 && labels.every((label) => /^(?!-)[a-z0-9-]{1,63}(?<!-)$/.test(label));
}

/**
 * The common list, read without the full grammar: `Name <a@b>, c@d` with neither quotes nor
 * comments nor groups around. It is four times as fast, on the path that every header takes.
 * Null when it is anything else.
 */
function simpleList(header: string): Address[] | null {
  if (header.length > 2000 || /["();:\\[\]]/.test(header)) return null;
  const list: Address[] = [];
  for (const part of header.split(',')) {
    const item = part.trim();
    const open = item.indexOf('<');
    const close = item.length - 1;
    const address = open < 0 ? item : item.slice(open + 1, close);
    if (open >= 0 && item.charCodeAt(close) !== 0x3e) return null;
    if (address.length > addressCharsMax || !plainAddress.test(address) || address.includes('=?'))
      return null;
    const name = open > 0 ? item.slice(0, open).trimEnd() : '';
    if (name.includes('@') || name.includes('>')) return null;
    list.push({ name: cleanLine(decodeWords(name), nameCharsMax), address });
  }
  return list;
}

function isPlausible(address: string): boolean {
  if (address.length > addressCharsMax) return false;
  if (plainAddress.test(address)) return !address.includes('=?');
  const at = address.lastIndexOf('@');
  if (at < 1 || at === address.length - 1 || /[\s\p{Cc}<>]|=\?/u.test(address)) return false;
  const local = address.slice(0, at);
  return !local.includes('@') || (local.startsWith('"') && local.endsWith('"'));
}

/** The canonical forms of an address as written, and its domain, also where that has another one. */
type Forms = { contact: string; own: string; domain: string };

/** Of late. The rules ask for the same few people a dozen times for each message, and for its owner at each. */
const knownForms = new Map<string, Forms>();
const knownFormsMax = 2000;

function formsOf(address: string): Forms {
  const known = knownForms.get(address);
  if (known !== undefined) return known;
  const { local, tag, domain, written } = canonicalParts(address);
  const at = domain === '' ? '' : `@${domain}`;
  const forms = { contact: local + tag + at, own: local + at, domain: written };
  if (knownForms.size >= knownFormsMax) knownForms.clear();
  if (address.length <= addressCharsMax) knownForms.set(address, forms);
  return forms;
}

function canonicalParts(address: string): { local: string; tag: string; domain: string; written: string } {
  const trimmed = address.trim().normalize('NFC');
  const at = trimmed.lastIndexOf('@');
  const user = (at < 0 ? trimmed : trimmed.slice(0, at)).toLowerCase();
  // RFC 5321 §4.1.2: "john"@x and john@x are the same mailbox.
  const quoted = /^"([a-z0-9!#$%&'*+/=?^_`{|}~.-]+)"$/.exec(user);
  const whole = quoted?.[1] ?? user;
  const plus = whole.indexOf('+', 1);
  const base = plus < 0 ? whole : whole.slice(0, plus);
  const tag = plus < 0 ? '' : whole.slice(plus);
  const domain = writtenDomain(trimmed);
  const written = trimmed === address ? domain : writtenDomain(address);
  if (domain !== 'gmail.com' && domain !== 'googlemail.com') return { local: base, tag, domain, written };
  return { local: base.replaceAll('.', '') || base, tag, domain: 'gmail.com', written };
}
