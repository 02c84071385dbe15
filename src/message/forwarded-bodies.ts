/** Pure: the bodies of a forwarded message, cut out of those of its forward. */
import { type BodyLine, htmlLines, joinLines, textLines } from './body-lines.ts';
import { type Start, findStart, type SubjectMark } from './forwarded-start.ts';
import { cutHtml } from './html-cut.ts';
import { htmlToPlainText } from './html.ts';
import { isMobileSignature, isSignatureDelimiter } from './quote-marks.ts';
import { replyText } from './reply-text.ts';

/** One of the forward's two bodies, and where in it an earlier message starts. */
export type View = { of: 'html' | 'text'; source: string; lines: readonly BodyLine[]; start: Start };

/** The forward's bodies in which an earlier message starts, the HTML first: it has links, and no wrapped lines. */
export function viewsOf(body: { text: string; html: string | null }, subject: SubjectMark): View[] {
  const view = (of: View['of'], source: string, lines: readonly BodyLine[]): View[] => {
    const start = findStart(lines, subject);
    return start === null ? [] : [{ of, source, lines, start }];
  };
  const { text, html } = body;
  return [
    html === null
      ? []
      : view(
          'html',
          html,
          htmlLines(html, () => false),
        ),
    view('text', text, textLines(text)),
  ].flat();
}

/** What the forwarder wrote above, without signature. */
export function wordsAbove({ lines, start }: View): string {
  return ownWords(lines.slice(0, start.line));
}

/** What the forwarded message says, and what the forwarder wrote below it, without signature. */
export type ForwardedBodies = { text: string; html: string | null; below: string };

/**
 * All that stands under the block, out of the quote that the program put it in; null when no view has a
 * block. What follows that quote is the forwarder's: Gmail puts signatures there.
 */
export function bodiesOf(views: readonly View[]): ForwardedBodies | null {
  const html = pieceOf(views, 'html');
  const text = pieceOf(views, 'text');
  if (html !== null) {
    const cut = cutHtml(html.source, html.at);
    const after = htmlLines(cut.after, () => false);
    const isFollowed = after.some((line) => line.text.trim() !== '');
    // In plain text nothing says where an unquoted message ends.
    const isTextWhole = text !== null && (!isFollowed || text.depth > 0);
    const said = isTextWhole ? unquoted(text).text : trimmed(htmlToPlainText(cut.inside).split('\n'));
    return { text: said, html: cut.inside, below: ownWords(after) };
  }
  if (text === null) return null;
  const { text: said, below } = unquoted(text);
  return { text: said, html: null, below: ownWords(textLines(below)) };
}

/** A body, where in it the block ends, and how many quotes that stands in. */
type Piece = { source: string; at: number; depth: number };

function pieceOf(views: readonly View[], of: View['of']): Piece | null {
  const view = views.find((each) => each.of === of);
  const block = view?.start.block ?? null;
  const last = block === null ? undefined : view?.lines[block.end];
  return view === undefined || last === undefined
    ? null
    : { source: view.source, at: last.end, depth: last.quoteDepth };
}

/** One `>` less for each quote that the block stands in. What has none after the last that has is not quoted, and below. */
function unquoted({ source, at, depth }: Piece): { text: string; below: string } {
  const lines = source.slice(at).split(/\r\n|\n|\r/);
  if (depth === 0) return { text: trimmed(lines), below: '' };
  const end = lines.findLastIndex((line) => /^\s{0,3}>/.test(line)) + 1;
  const marks = new RegExp(`^\\s{0,3}(?:>[ \\u00a0]?){1,${depth}}`);
  const own = lines.slice(0, end).map((line) => line.replace(marks, ''));
  return { text: trimmed(own), below: trimmed(lines.slice(end)) };
}

/** Without blank lines around, and without the mark (U+FEFF) that Apple Mail on phones leaves in front. */
function trimmed(lines: readonly string[]): string {
  const isInk = (line: string): boolean => line.trim() !== '';
  const kept = lines.slice(Math.max(lines.findIndex(isInk), 0), lines.findLastIndex(isInk) + 1);
  return kept.join('\n').replace(/^\ufeff/, '');
}

function ownWords(lines: readonly BodyLine[]): string {
  const own = lines.filter(({ mark }) => mark !== 'signature');
  // A signature alone is not a word; of Gmail's, the delimiter has no mark.
  const isWord = ({ text }: BodyLine): boolean =>
    text !== '' && !isSignatureDelimiter(text) && !isMobileSignature(text);
  const first = own.find(({ text }) => text !== '');
  if (first === undefined || isSignatureDelimiter(first.text)) return '';
  return replyText({ text: joinLines(own.slice(0, own.findLastIndex(isWord) + 1)), html: null });
}
