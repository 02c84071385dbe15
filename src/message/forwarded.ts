/** Pure: what a user forwarded to their logging address (RULES B2), out of the forward as parsed. */
import { type Address, canonicalOwnAddress } from './addresses.ts';
import type { BodyLine } from './body-lines.ts';
import { cleanLine } from './charset.ts';
import { readAuthor, readPeople } from './forwarded-addresses.ts';
import { bodiesOf, type View, viewsOf, wordsAbove } from './forwarded-bodies.ts';
import { type BlockDate, readBlockDate } from './forwarded-date.ts';
import { type SubjectMark, subjectMark } from './forwarded-start.ts';
import type { BlockPart, HeaderBlock } from './header-block.ts';
import { type MessageHeader, readHeader } from './header.ts';
import { scanHtml } from './html-tokens.ts';
import type { ParsedMessage } from './parse.ts';
import { baseSubject, forwardCount } from './subject.ts';

/**
 * Why what was read may be wrong:
 * - `no_header_block`: the subject says that it is a forward; no lines that say of what.
 * - `no_from_address`: the author has no address there (Exchange writes only names), or several.
 * - `from_is_forwarder`: the user's own mail, so not a customer's.
 * - `no_date`, `ambiguous_date`: unreadable; `03/04/2026` in English.
 * - `date_after_forward`: sent a day or more after it was forwarded.
 * - `no_subject`: the block has no line for it.
 * - `reply_subject`: a forward by its mark, an answer by its subject.
 * - `unmarked`: neither subject nor mark says that it is a forward. Where others than the logging address
 *   are written to, it is a mail to them.
 * - `several_messages`: more than one is attached.
 * - `incomplete`: the forward itself could not be parsed as a whole.
 */
export type ForwardDoubt =
  | 'no_header_block'
  | 'no_from_address'
  | 'from_is_forwarder'
  | 'no_date'
  | 'ambiguous_date'
  | 'date_after_forward'
  | 'no_subject'
  | 'reply_subject'
  | 'unmarked'
  | 'several_messages'
  | 'incomplete';

/** The lines of the block as written, for a person who reviews it; empty where there was none. */
export type ForwardedLines = Record<'from' | 'to' | 'cc' | 'date' | 'subject', string>;

/** The message that was forwarded, as far as it was read out of the forward's body. The forward's attachments are its own. */
export type ForwardedOriginal = {
  from: Address | null;
  /** Those who have an address there; others are only in `read`. */
  to: Address[];
  cc: Address[];
  /** As written, with its own `Re:`; the forward's without marks where the block has none. */
  subject: string;
  date: Date | null;
  /** Whether the date was written without a zone, and read in that of the forward: see `readBlockDate`. */
  zoneAssumed: boolean;
  text: string;
  /** Cut out of the forward's clean HTML, and clean as that; null when the forward has none, or not there. */
  html: string | null;
};

type Inline = {
  form: 'inline';
  /** What the forwarder wrote above and below, without signature; often empty. */
  comment: string;
  read: ForwardedLines;
} & (
  | { confident: true; original: ForwardedOriginal & { from: Address; date: Date }; doubts: readonly [] }
  | { confident: false; original: ForwardedOriginal; doubts: readonly ForwardDoubt[] }
);

type Attached = {
  form: 'attached';
  /** The first attached message, as it is: to be parsed like any other. */
  raw: Buffer;
  comment: string;
  confident: boolean;
  doubts: readonly ForwardDoubt[];
};

/** What a mail to a logging address forwards. */
export type Forwarded = { form: 'none' } | Attached | Inline;

/**
 * Reads what `message` forwards; `none` when it is no forward. What cannot be read for certain comes
 * with its doubts, and is to be held. Outlook writes the same block above answers and forwards, so:
 *
 * | subject | a forward's mark | `Original Message`, or a block | attribution, or nothing |
 * | --- | --- | --- | --- |
 * | `Fwd:` | inline | inline | inline, `no_header_block` |
 * | none | inline | `unmarked` without a word above, else none | none |
 * | `Re:` | inline, `reply_subject` | none | none |
 * | `Re: Fwd:` | none: it is in what is answered | none | none |
 *
 * A mark without a readable block counts only under `Fwd:`. In-Reply-To and References say nothing: forwards
 * have them too (Gmail, Outlook, Apple Mail; 2026). An attached message is what is forwarded where the body
 * has none under a mark or `Fwd:`, and the subject is no answer's.
 *
 * Whether it was forwarded *to* the logging address is not asked: a `Fwd:` to somebody else with the
 * logging address in Cc is one as well. Never throws; linear in the size of the body.
 */
export function readForwarded(message: ParsedMessage): Forwarded {
  const subject = subjectMark(message.header.subject);
  const found = viewsOf(message, subject);
  const by = found[0]?.start.by;
  // Of the other body only what starts alike: else it is something further down.
  const views = found.filter(({ start }) => start.block !== null && start.by === by);
  const view = views[0] ?? found[0] ?? null;
  const inline = view === null ? null : doubtsOfStart(view, message.header.subject);
  // The latter where its header is in UTF-8 (RFC 6532 §3.7).
  const attached = message.attachments.filter(
    ({ type }) => type === 'message/rfc822' || type === 'message/global',
  );
  if (attached.length > 0 && subject !== 'reply' && (inline === null || view?.start.block == null))
    return readAttached(
      message,
      attached.map(({ content }) => content),
      subject,
    );
  if (inline !== null) return readInline(message, views, view, inline);
  return subject === 'forward' ? readInline(message, [], null, ['no_header_block']) : { form: 'none' };
}

/** The table above; null for `none`. */
function doubtsOfStart(view: View, written: string): ForwardDoubt[] | null {
  const { start } = view;
  const subject = subjectMark(written);
  if (start.block === null) return subject === 'forward' ? ['no_header_block'] : null;
  if (subject === 'forward') return [];
  if (start.by === 'forward_mark' && subject === 'none') return [];
  if (start.by === 'forward_mark') return forwardCount(written) > 0 ? null : ['reply_subject'];
  // Nobody answers without a word; what the subject was before it was edited is not known.
  return subject === 'none' && wordsAbove(view) === '' ? ['unmarked'] : null;
}

function readAttached(message: ParsedMessage, raws: readonly Buffer[], subject: SubjectMark): Forwarded {
  const raw = raws[0] ?? Buffer.alloc(0);
  const header = readHeader(raw);
  const comment = message.replyText;
  const own = baseSubject(message.header.subject);
  // Gmail leaves the subject of what is forwarded as an attachment, Outlook that of several empty.
  const isItsOwn = own === '' || own === baseSubject(header.subject);
  const doubts = [
    raws.length > 1 ? (['several_messages'] as const) : [],
    subject === 'none' && !isItsOwn && comment !== '' ? (['unmarked'] as const) : [],
    doubtsOfAuthor(header.from.length === 1 ? (header.from[0] ?? null) : null, message.header),
    doubtsOfDate(header.date, message.header),
    message.partial === null ? [] : (['incomplete'] as const),
  ].flat();
  return { form: 'attached', raw, comment, confident: doubts.length === 0, doubts };
}

function readInline(
  message: ParsedMessage,
  views: readonly View[],
  view: View | null,
  known: readonly ForwardDoubt[],
): Forwarded {
  const { header } = message;
  const block = view?.start.block ?? null;
  const read = linesOf(block);
  const bodies = bodiesOf(views) ?? { text: message.text, html: message.html, below: '' };
  const from = sameAuthor(views.map(authorOf));
  const date = dateOf(read.date, block, header);
  const doubts = [
    known,
    block === null ? [] : doubtsOfAuthor(from, header),
    block === null ? [] : doubtsOfDate(date.ms, header),
    date.ambiguous ? (['ambiguous_date'] as const) : [],
    block === null || block.fields.has('subject') ? [] : (['no_subject'] as const),
    message.partial === null ? [] : (['incomplete'] as const),
  ].flat();
  const original = {
    from,
    to: readPeople(read.to),
    cc: readPeople(read.cc),
    subject: block?.fields.has('subject') === true ? read.subject : baseSubject(header.subject),
    date: date.ms === null ? null : new Date(date.ms),
    zoneAssumed: date.zoneAssumed,
    text: bodies.text,
    html: bodies.html,
  };
  const comment = [view === null ? '' : wordsAbove(view), bodies.below]
    .filter((words) => words !== '')
    .join('\n\n');
  const about = { form: 'inline' as const, comment, read };
  if (doubts.length > 0 || original.from === null || original.date === null)
    return { ...about, confident: false, original, doubts };
  return {
    ...about,
    confident: true,
    original: { ...original, from: original.from, date: original.date },
    doubts: [],
  };
}

const subjectCharsMax = 10_000;
const shownCharsMax = 20_000;

function linesOf(block: HeaderBlock | null): ForwardedLines {
  const value = (part: BlockPart, charsMax = shownCharsMax): string =>
    cleanLine(block?.fields.get(part)?.value ?? '', charsMax);
  return {
    from: value('from'),
    to: value('to'),
    cc: value('cc'),
    date: value('date'),
    subject: value('subject', subjectCharsMax),
  };
}

/** By the line; where that has only a name, by the one link on it. */
function authorOf(view: View): Address | null {
  const field = view.start.block?.fields.get('from');
  if (field === undefined) return null;
  const written = readAuthor(field.value);
  if (written !== null || field.value.includes('@') || view.of !== 'html') return written;
  const linked = [...linkedAddresses(view.source, view.lines, field.line)];
  return linked.length === 1 ? readAuthor(`${field.value} <${linked[0] ?? ''}>`) : null;
}

/** The author of both bodies, or of the one that names any; null when they differ, since one of them was misread. */
function sameAuthor(authors: readonly (Address | null)[]): Address | null {
  const known = authors.filter((author) => author !== null);
  return new Set(known.map(({ address }) => address.toLowerCase())).size === 1 ? (known[0] ?? null) : null;
}

/** The addresses that links on a line of HTML write to. */
function linkedAddresses(html: string, lines: readonly BodyLine[], index: number): ReadonlySet<string> {
  const found = new Set<string>();
  const start = index === 0 ? 0 : (lines[index - 1]?.end ?? 0);
  scanHtml(html.slice(start, lines[index]?.end ?? start), {
    text: () => {},
    open(name, attributes) {
      const address = name === 'a' ? /^mailto:([^?]*)/i.exec(attributes().get('href') ?? '')?.[1] : undefined;
      if (address !== undefined) found.add(address.trim().toLowerCase());
    },
    close: () => {},
  });
  return found;
}

function doubtsOfAuthor(from: Address | null, header: MessageHeader): ForwardDoubt[] {
  if (from === null) return ['no_from_address'];
  const author = canonicalOwnAddress(from.address);
  const isForwarder = header.from.some(({ address }) => canonicalOwnAddress(address) === author);
  return isForwarder ? ['from_is_forwarder'] : [];
}

const dayMs = 86_400_000;

function doubtsOfDate(ms: number | null, header: MessageHeader): ForwardDoubt[] {
  if (ms === null) return ['no_date'];
  return header.date !== null && ms > header.date + dayMs ? ['date_after_forward'] : [];
}

function dateOf(written: string, block: HeaderBlock | null, header: MessageHeader): BlockDate {
  return readBlockDate(written, {
    dayFirst: block?.fields.get('from')?.name.toLowerCase() !== 'from',
    zoneMinutes: zoneMinutesOf(header.dateText),
    forwardedMs: header.date,
  });
}

function zoneMinutesOf(dateText: string): number {
  const zone = /\s([+-])(\d{2}):?(\d{2})\b/.exec(dateText);
  const minutes = Number(zone?.[2] ?? 0) * 60 + Number(zone?.[3] ?? 0);
  return zone?.[1] === '-' ? -minutes : minutes;
}
