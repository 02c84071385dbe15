import { openElements, scanHtml } from './html-tokens.ts';

/** What `cutHtml` leaves. */
export type HtmlCut = {
  /** From the place on to the end of the quote that it stands in, with the elements around it that are open there. */
  inside: string;
  /** What follows that quote. */
  after: string;
};

/** Elements that hold a quoted message as a whole: Apple Mail's and Thunderbird's, Gmail's and Yahoo's. */
function holdsQuote(name: string, attributes: () => ReadonlyMap<string, string>): boolean {
  if (name !== 'div') return name === 'blockquote';
  return /(?:^|\s)(?:gmail_quote|yahoo_quoted)(?:\s|$)/.test(attributes().get('class') ?? '');
}

/**
 * The part of clean HTML (see `sanitiseHtml`) that starts at `at`, which is the end of a line of
 * `htmlLines`. The quote that `at` stands in is taken off, what is in it stays, and what is around it goes.
 * Quotes that follow it at once belong to it: Apple Mail on phones puts header and text into one
 * each, and what stands on both sides of an attachment (2026).
 * As well formed, and as clean, as what came in: it holds no tags but that HTML's own. Linear.
 */
export function cutHtml(html: string, at: number): HtmlCut {
  /** The elements that are open at `at`, and still when the part begins to say something. */
  const tags: { start: string; quote: boolean }[] = [];
  const pieces: string[] = [];
  let state = 'before' as 'before' | 'leading' | 'inside' | 'between' | 'after';
  let quoteDepth = -1;
  /** Where the piece that is being read starts. */
  let from = at;
  let position = 0;
  let end = html.length;
  const pass = (start: number): void => {
    position = start;
    if (state !== 'before' || start < at) return;
    state = 'leading';
    quoteDepth = tags.findLastIndex((tag) => tag.quote);
  };
  const begin = (): void => {
    state = 'inside';
    for (const tag of tags.slice(quoteDepth + 1)) pieces.push(tag.start);
  };
  const elements = openElements((depth) => {
    if (tags.length > depth) tags.length = depth;
    if ((state !== 'inside' && state !== 'leading') || depth !== quoteDepth) return;
    if (state === 'inside') pieces.push(html.slice(from, position));
    state = 'between';
    end = position;
  });
  scanHtml(html, {
    text(_, start, textEnd) {
      // In preformatted text a line ends inside of it.
      if (textEnd > at) pass(Math.max(start, at));
      if (state === 'before' || html.slice(position, textEnd).trim() === '') return;
      if (state === 'leading') begin();
      else if (state === 'between') state = 'after';
    },
    open(name, attributes, start, tagEnd) {
      pass(start);
      // What the block leaves behind, empty rows of its table above all, is no part of the message.
      if (state === 'leading' && name === 'br') from = tagEnd;
      else if (state === 'leading') begin();
      const depth = elements.push(name);
      if (depth === null) return;
      if (state === 'before')
        tags[depth] = { start: html.slice(start, tagEnd), quote: holdsQuote(name, attributes) };
      else if (state === 'between' && name === 'blockquote') {
        state = 'inside';
        quoteDepth = depth;
        from = tagEnd;
      }
    },
    close(name, start) {
      pass(start);
      elements.pop(name);
      if (state === 'leading') from = html.indexOf('>', start) + 1;
    },
  });
  if (state === 'inside') return { inside: pieces.join('') + html.slice(from), after: '' };
  return { inside: pieces.join(''), after: html.slice(end) };
}
