import { openElements, scanHtml } from './html-tokens.ts';

/** One line of a body, as it is shown. */
export type BodyLine = {
  /** Without quote marks and blanks around; empty for a blank line. */
  text: string;
  /** How many quotes it stands in: `>` marks, or quoting elements. */
  quoteDepth: number;
  /** How many of these are `>` marks, which people type as well. */
  angles: number;
  /** What the markup says it is; plain text never has one. */
  mark: LineMark | null;
  /** Where the line ends in the source: at its line break, or at the tag that ends it. */
  end: number;
};

/**
 * - `attribution`: `On Monday Jane wrote:`
 * - `signature`: the mail program put it there.
 * - `original`: the previous message starts here, and goes on to the end.
 */
type LineMark = 'attribution' | 'signature' | 'original';

/** Blank lines in a row that are kept: more say nothing, and floods of them cost memory. */
const blankLinesMax = 2;

/** The lines of plain text. */
export function textLines(text: string): BodyLine[] {
  const lines = lineList();
  let start = 0;
  for (const { 0: lineBreak, index } of text.matchAll(/\r\n|\n|\r/g)) {
    lines.add(text.slice(start, index), 0, null, index);
    start = index + lineBreak.length;
  }
  lines.add(text.slice(start), 0, null, text.length);
  return lines.all;
}

/**
 * The lines of an HTML body. `endsInAttribution` is asked, with the lines before it, whether a
 * blockquote that no mail program marked is a quote or only somebody's way of indenting.
 */
export function htmlLines(
  html: string,
  endsInAttribution: (lines: readonly BodyLine[]) => boolean,
): BodyLine[] {
  const lines = lineList();
  const effects: (Effect | undefined)[] = [];
  const within = { quote: 0, signature: 0, attribution: 0, pre: 0 };
  // Pieces, not one string: asking a growing string for its last character copies it each time.
  let pieces: string[] = [];
  let at = 0;
  const flush = (evenIfEmpty: boolean): void => {
    const spaced = pieces.join('');
    pieces = [];
    if (spaced === '' && !evenIfEmpty) return;
    const mark = within.signature > 0 ? 'signature' : within.attribution > 0 ? 'attribution' : null;
    const text = spaced.trim();
    // The blank behind a signature's delimiter counts, see lineList.
    const line = text === '--' && /\s$/.test(spaced) ? '-- ' : text;
    // A paragraph of one no-break space is how Outlook writes a blank line.
    if (evenIfEmpty || text !== '' || spaced.includes('\u00a0')) lines.add(line, within.quote, mark, at);
  };
  const elements = openElements((depth) => {
    const effect = effects[depth];
    if (effect === undefined) return;
    flush(false);
    within[effect]--;
    effects[depth] = undefined;
  });
  scanHtml(html, {
    text(text, start, end) {
      const parts = within.pre > 0 ? text.split('\n') : [text.replace(/[ \t\r\n\f\u200b\ufeff]+/g, ' ')];
      const breaks = parts.length > 1 ? lineBreaksIn(html.slice(start, end)) : [];
      for (const [index, part] of parts.entries()) {
        // A line break that is written as a reference is not to be found.
        if (index > 0) at = start + (breaks[index - 1] ?? end - start);
        if (index > 0) flush(true);
        if (part !== '' && !(part === ' ' && pieces.at(-1)?.endsWith(' '))) pieces.push(part);
      }
    },
    open(name, attributes, start) {
      at = start;
      if (blocks.has(name)) flush(false);
      if (name === 'br') flush(true);
      else if (name === 'p' && !isTightParagraph(attributes())) lines.add('', within.quote, null, at);
      else if (name === 'li') pieces.push('- ');
      else if (name === 'td' || name === 'th') pieces.push(' ');
      const effect = markers.has(name)
        ? effectOf(name, attributes(), () => endsInAttribution(lines.all))
        : null;
      if (effect === 'original') lines.add('', within.quote, 'original', at);
      const depth = elements.push(name);
      if (depth === null || effect === null || effect === 'original') return;
      flush(false);
      within[effect]++;
      effects[depth] = effect;
    },
    close(name, start) {
      at = start;
      if (blocks.has(name)) flush(false);
      elements.pop(name);
    },
  });
  at = html.length;
  flush(false);
  return lines.all;
}

function lineBreaksIn(source: string): number[] {
  return [...source.matchAll(/\n/g)].map(({ index }) => index);
}

/** The lines as text again: quotes with `>`, no blank lines around. */
export function joinLines(lines: readonly BodyLine[]): string {
  const text = lines.map((line) => (line.quoteDepth > 0 ? `> ${line.text}`.trimEnd() : line.text));
  let start = 0;
  let end = text.length;
  while (start < end && text[start]?.trim() === '') start++;
  while (end > start && text[end - 1]?.trim() === '') end--;
  return text.slice(start, end).join('\n');
}

/** What an element does to the lines inside it. */
type Effect = 'quote' | 'signature' | 'attribution' | 'pre';

/** Elements that any of the marks below are seen on. */
const markers: ReadonlySet<string> = new Set([
  'div',
  'blockquote',
  'pre',
  'hr',
  'span',
  'table',
  'section',
  'p',
]);

/** Classes of quotes: Yahoo (behind a prefix that changes), Proton, Zoho. */
const quoteClass = /(?:^|\s|ydp\w{0,60})(?:yahoo_quoted|protonmail_quote|zmail_extra)(?:\s|$)/;
/** Gmail, Thunderbird, Yahoo, Proton, Apple, Outlook on the web and on phones: classes and ids. */
const signatureMark =
  /(?:^|\s|ydp\w{0,60})(?:gmail_signature|moz-signature|signature|x_signature|protonmail_signature_block|applemailsignature|ms-outlook-mobile-signature)(?:\s|$)/i;
const attributionClass = /(?:^|\s)(?:gmail_attr|moz-cite-prefix)(?:\s|$)/;
/** Outlook on the web and on phones, Outlook for Mac, Hotmail (with `x_` where it was quoted once), Zimbra. */
const originalId =
  /^(?:x_)*(?:divRplyFwdMsg|appendonsend|mail-editor-reference-message-container|stopSpelling|zwchr|OLK_SRC_BODY_SECTION)$/i;
/** Outlook's line above the From, Sent, To, Subject block: its own colours (2007 to 2024), on top only. */
const originalBorder = /border(?:-top)?:\s*(?:none;\s*border-top:\s*)?solid\s+#?(?:b5c4df|e1e1e1)\s+1\.0pt/i;

function effectOf(
  name: string,
  attributes: ReadonlyMap<string, string>,
  afterAttribution: () => boolean,
): Effect | 'original' | null {
  const [classes, id, style] = ['class', 'id', 'style'].map((key) => attributes.get(key) ?? '') as [
    string,
    string,
    string,
  ];
  if (originalId.test(id)) return 'original';
  if (name === 'div' && originalBorder.test(style)) return 'original';
  if (signatureMark.test(classes) || signatureMark.test(id)) return 'signature';
  if (attributionClass.test(classes)) return 'attribution';
  if (name === 'pre') return 'pre';
  if (name === 'blockquote') {
    const marked = attributes.get('type') === 'cite' || attributes.has('cite') || /quote|cite/i.test(classes);
    return marked || afterAttribution() ? 'quote' : null;
  }
  // Gmail's div holds the attribution, the quote and answers between its lines; only the blockquote in it is the quote.
  if (/(?:^|\s)gmail_quote/.test(classes)) return null;
  if (quoteClass.test(classes) || /yahoo_quoted/.test(id) || attributes.get('name') === 'quote')
    return 'quote';
  return null;
}

/** Outlook writes each line as a paragraph without margins. */
function isTightParagraph(attributes: ReadonlyMap<string, string>): boolean {
  return (
    /\bMso/.test(attributes.get('class') ?? '') || /margin(?:-top)?:\s*0/.test(attributes.get('style') ?? '')
  );
}

const blocks: ReadonlySet<string> = new Set(
  'address article aside blockquote body center dd div dl dt fieldset footer form h1 h2 h3 h4 h5 h6 header hr html li main nav ol p pre section table tbody tfoot thead tr ul'.split(
    ' ',
  ),
);

/** Collects lines. `>` marks in front of one, also `> >`, count as quotes; of blank lines in a row two are kept. */
function lineList(): {
  all: BodyLine[];
  add(written: string, quoteDepth: number, mark: LineMark | null, end: number): void;
} {
  const all: BodyLine[] = [];
  let blanks = 0;
  return {
    all,
    add(written, quoteDepth, mark, end) {
      let at = 0;
      let marks = 0;
      for (; at < written.length; at++) {
        const code = written.charCodeAt(at);
        if (code === 0x3e) marks++;
        else if (code !== 0x20 && code !== 0x09 && code !== 0xa0) break;
      }
      // Without quote marks the indentation is the writer's own.
      const rest = marks === 0 ? written : written.slice(at);
      // The blank of a signature's delimiter (RFC 3676 §4.3) is what tells it from a ruler.
      const text = rest === '-- ' ? rest : rest.trimEnd();
      blanks = text === '' && mark !== 'original' ? blanks + 1 : 0;
      if (blanks <= blankLinesMax)
        all.push({ text, quoteDepth: quoteDepth + marks, angles: marks, mark, end });
    },
  };
}
