import { type BodyLine, htmlLines, joinLines, textLines } from './body-lines.ts';
import { cut } from './charset.ts';
import { isHeaderBlock } from './header-block.ts';
import {
  aboveRulers,
  attributionEndingAt,
  isListRuler,
  isMobileSignature,
  isOriginalMark,
  isSignatureDelimiter,
  mayBeOfAttribution,
  mayEndAttribution,
} from './quote-marks.ts';

/** Nobody writes more than this in an answer; what is behind it is not looked at. UTF-16 units. */
const textCharsMax = 1_000_000;
/** Markup takes more room, embedded pictures above all. */
const htmlCharsMax = 5_000_000;
/** No signature, blank lines included, is looked for further up than this. */
const signatureReachMax = 50;
/** Signatures and the footers of list servers are shorter. */
const signatureLinesMax = 15;
const footerLinesMax = 8;
/** Lines with a colon that are looked at closely, so that a body of nothing else stays cheap. */
const triesMax = 3000;
/** Where the colon of a header line stands. */
const markWindow = 40;

/**
 * What the sender added: the body without the quoted message and without the signature, for showing
 * in a conversation beside the full text, which is always kept. Linear in time, never throws.
 *
 * The HTML body is preferred, since mail programs mark their quotes there; `text` is used where
 * there is none. Doubt is decided for keeping: answers between the lines of a quote stay whole
 * with the quote, a greeting with a name is not a signature, and a forward without a word of its
 * own is kept. Empty only when the body holds nothing but marked quotes.
 */
export function replyText(input: { text: string; html: string | null }): string {
  const fromHtml =
    input.html === null ? '' : newText(htmlLines(cut(input.html, htmlCharsMax), endsInAttribution));
  return fromHtml === '' ? newText(textLines(cut(input.text, textCharsMax))) : fromHtml;
}

function newText(lines: readonly BodyLine[]): string {
  const end = originalStart(lines);
  const head = lines.slice(0, end);
  const roles = rolesOf(head);
  const own = stripped(head, roles);
  if (own !== '') return own;
  // Nothing above the original: a forward without comment, or an answer below it without marks.
  return end < lines.length ? joinLines(lines) : '';
}

/** What a line is to the answer. */
type Role = 'own' | 'blank' | 'quote' | 'signature';

/** The answer by the roles: one block of own lines, or everything from the first line on when quotes stand between them. */
function stripped(lines: readonly BodyLine[], roles: readonly Role[]): string {
  const keep: readonly Role[] = roles.includes('own') ? ['own'] : ['own', 'signature'];
  const isKept = (_: unknown, index: number): boolean => keep.includes(roles[index] ?? 'blank');
  const first = lines.findIndex(isKept);
  const last = lines.findLastIndex(isKept);
  if (first < 0) return '';
  const interleaved = roles.slice(first, last).includes('quote');
  if (interleaved) return joinLines(lines.slice(0, last + 1));
  return joinLines(
    lines
      .slice(first, last + 1)
      .filter((_, index) => roles[first + index] !== 'signature' || keep.length > 1),
  );
}

function rolesOf(lines: readonly BodyLine[]): Role[] {
  const roles = lines.map((line): Role => {
    if (line.quoteDepth > 0 || line.mark === 'attribution') return 'quote';
    if (line.text.trim() === '') return 'blank';
    return line.mark === 'signature' ? 'signature' : 'own';
  });
  markAttributions(lines, roles);
  unmarkOwnAngles(lines, roles);
  for (let start = 0; start < lines.length;) {
    let end = start;
    while (end < lines.length && roles[end] !== 'quote') end++;
    markSignature(lines, roles, start, end);
    start = end + 1;
  }
  return roles;
}

/** Attributions count where a quote follows them. */
function markAttributions(lines: readonly BodyLine[], roles: Role[]): void {
  let tries = triesMax;
  for (let index = 0; index < lines.length && tries > 0; index++) {
    if (roles[index] !== 'own' || !mayEndAttribution(lines[index]?.text ?? '')) continue;
    tries--;
    if (nextInk(roles, index) !== 'quote') continue;
    const found = attributionEndingAt(lines, index);
    if (found !== null) roles.fill('quote', found.start, found.end + 1);
  }
}

/** An attribution wraps over so many lines. */
const wrappedLinesMax = 4;

/**
 * `> 100 pieces: 5 EUR` is no quote: lines with one `>` above every other quote, right under own words
 * that introduce none. Mail programs leave a blank line there, or write an attribution.
 */
function unmarkOwnAngles(lines: readonly BodyLine[], roles: Role[]): void {
  let end = 0;
  for (let start = nextQuote(); start > 0 && isTyped(start); start = nextQuote())
    roles.fill('own', start, end);

  function nextQuote(): number {
    const start = roles.indexOf('quote', end);
    end = start;
    while (end < lines.length && roles[end] === 'quote') end++;
    return start;
  }

  function isTyped(start: number): boolean {
    const above = lines.slice(Math.max(0, start - wrappedLinesMax), start);
    return (
      roles[start - 1] === 'own' &&
      lines.slice(start, end).every((line) => line.angles === 1 && line.quoteDepth === 1) &&
      !above.some(({ text }) => mayBeOfAttribution(text))
    );
  }
}

/** Marks the signature of one stretch of own lines, from `start` up to a quote or the end. */
function markSignature(lines: readonly BodyLine[], roles: Role[], start: number, end: number): void {
  const inkFrom = (index: number): number =>
    roles.slice(index, end).filter((role) => role !== 'blank').length;
  let last = end - 1;
  while (last >= start && roles[last] !== 'own') last--;
  // Only as far back as a signature can reach, or many delimiters would be counted again and again.
  const lowest = Math.max(start, end - signatureReachMax);
  for (let index = end - 1; index >= lowest; index--) {
    const text = lines[index]?.text ?? '';
    const linesMax = isSignatureDelimiter(text)
      ? signatureLinesMax
      : start > 0 && isListRuler(text)
        ? footerLinesMax
        : 0;
    if (linesMax > 0 && inkFrom(index) <= linesMax + 1) {
      for (let at = index; at < end; at++) if (roles[at] === 'own') roles[at] = 'signature';
      last = index - 1;
      while (last >= start && roles[last] !== 'own') last--;
      break;
    }
  }
  while (last >= start && isMobileSignature(lines[last]?.text ?? '')) {
    roles[last] = 'signature';
    do last--;
    while (last >= start && roles[last] !== 'own');
  }
}

/** Where the unmarked original message starts, with the ruler above it; the number of lines when there is none. */
function originalStart(lines: readonly BodyLine[]): number {
  let tries = triesMax;
  for (const [index, line] of lines.entries()) {
    if (line.quoteDepth > 0) continue;
    if (line.mark === 'original') return index;
    if (isOriginalMark(line.text)) return aboveRulers(lines, index);
    if (!line.text.slice(0, markWindow).includes(':') && !mayEndAttribution(line.text)) continue;
    if (tries-- === 0) return lines.length;
    if (isHeaderBlock(lines, index)) return aboveRulers(lines, index);
    const found = mayEndAttribution(line.text) ? attributionEndingAt(lines, index) : null;
    if (found?.certain === true && !quoteFollows(lines, index)) return found.start;
  }
  return lines.length;
}

function quoteFollows(lines: readonly BodyLine[], index: number): boolean {
  for (let at = index + 1; at < lines.length; at++) {
    const line = lines[at];
    if (line !== undefined && (line.quoteDepth > 0 || line.text !== '')) return line.quoteDepth > 0;
  }
  return false;
}

function nextInk(roles: readonly Role[], index: number): Role {
  let at = index + 1;
  while (roles[at] === 'blank') at++;
  return roles[at] ?? 'blank';
}

/** For `htmlLines`: whether the last lines before a blockquote introduce a quote. */
function endsInAttribution(lines: readonly BodyLine[]): boolean {
  let index = lines.length - 1;
  while (index >= 0 && index > lines.length - 4 && lines[index]?.text === '') index--;
  const line = lines[index];
  if (line === undefined) return false;
  return (
    line.mark === 'attribution' ||
    (mayEndAttribution(line.text) && attributionEndingAt(lines, index) !== null)
  );
}
