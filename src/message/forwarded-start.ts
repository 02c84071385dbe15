/** Pure: where in a body the message starts that was forwarded, and whether it was forwarded at all. */
import type { BodyLine } from './body-lines.ts';
import { type HeaderBlock, isHeaderBlock, mayBeUnreadBlock, readHeaderBlock } from './header-block.ts';
import {
  aboveRulers,
  attributionEndingAt,
  isForwardMark,
  isOriginalMark,
  mayEndAttribution,
} from './quote-marks.ts';
import { isForwardSubject, isReplySubject } from './subject.ts';

/** What the outermost mark of the forward's subject says. */
export type SubjectMark = 'forward' | 'reply' | 'none';

export function subjectMark(subject: string): SubjectMark {
  if (isForwardSubject(subject)) return 'forward';
  return isReplySubject(subject) ? 'reply' : 'none';
}

/** The start of an earlier message in a body. */
export type Start = {
  /**
   * - `forward_mark`: a line that is written above forwards only, as `---------- Forwarded message ---------`.
   * - `original`: `-----Original Message-----`, or a header block alone: above answers as well.
   * - `attribution`: `On Monday Jane wrote:`, above answers, and above the forwards of Outlook for Mac up to 2019.
   * - `unread`: what may be one, and cannot be read.
   */
  by: 'forward_mark' | 'original' | 'attribution' | 'unread';
  /** The line that it begins on: what is above is the forwarder's. */
  line: number;
  /** Null when none could be read, or none is written. */
  block: HeaderBlock | null;
};

/** Lines with a colon or a dash that are looked at closely, so that a body of nothing else stays cheap. */
const triesMax = 500;
/** Blank lines between the mark and the block. */
const gapLinesMax = 3;

/**
 * The first start of an earlier message that is no mere quote in an answer, null when there is none. In a
 * forward of a forward that is the outermost: the message that the user has and forwards. Where something
 * above it may have been that one's, its block counts as unreadable: the next one's author would be taken
 * for the author of what was forwarded.
 */
export function findStart(lines: readonly BodyLine[], subject: SubjectMark): Start | null {
  let tries = triesMax;
  let unread: number | null = null;
  const start = (by: Start['by'], line: number, block: HeaderBlock | null): Start =>
    unread === null ? { by, line, block } : { by: 'unread', line: unread, block: null };
  for (const [index, { text, quoteDepth }] of lines.entries()) {
    // What is in a quote belongs to what is quoted, unless the quote starts with the mark (Apple Mail).
    if (text === '' || quoteDepth > 1 || (quoteDepth === 1 && !opensQuote(lines, index))) continue;
    const marked = isForwardMark(text) ? 'forward_mark' : isOriginalMark(text) ? 'original' : null;
    if (marked === 'forward_mark' || (marked === 'original' && quoteDepth === 0))
      return start(marked, aboveRulers(lines, index), blockBelow(lines, index));
    if (quoteDepth > 0 || !/[:：]/.test(text)) continue;
    if (tries-- === 0) return null;
    // Where the subject says that it is a forward, a block may lack any address, as Exchange writes it.
    const block = readHeaderBlock(lines, index, { marked: false });
    if (block !== null && (subject === 'forward' || isHeaderBlock(lines, index)))
      return start('original', aboveRulers(lines, index), block);
    const attribution = mayEndAttribution(text) ? attributionEndingAt(lines, index) : null;
    if (attribution?.certain === true) return start('attribution', attribution.start, null);
    if (block === null && mayBeUnreadBlock(lines, index)) unread ??= aboveRulers(lines, index);
  }
  return null;
}

/** The block under the mark, which Apple Mail on phones quotes while the mark is not. */
function blockBelow(lines: readonly BodyLine[], mark: number): HeaderBlock | null {
  let at = mark + 1;
  while (lines[at]?.text === '' && at - mark <= gapLinesMax) at++;
  const [line, below] = [lines[mark], lines[at]];
  if (line === undefined || below === undefined) return null;
  if (below.quoteDepth < line.quoteDepth || below.quoteDepth > line.quoteDepth + 1) return null;
  return readHeaderBlock(lines, at, { marked: true });
}

/** Whether the line is the first of its quote, and no attribution says that it is quoted in an answer. */
function opensQuote(lines: readonly BodyLine[], index: number): boolean {
  let above = index - 1;
  while (above >= 0 && above > index - gapLinesMax && lines[above]?.text === '') above--;
  const line = lines[above];
  if (line === undefined || line.text === '') return true;
  return line.quoteDepth === 0 && line.mark !== 'attribution' && !mayEndAttribution(line.text);
}
