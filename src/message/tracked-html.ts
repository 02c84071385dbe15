/** Pure: where the HTML of a message is changed for tracking (D7), and how. Nothing else of it changes. */
import { decodeAttribute, decodeEntities, findAttribute, scanHtml } from './html-tokens.ts';

/** A link of HTML: its target as browsers read it, and where the source has it, without quotes. */
export type HtmlLink = { url: string; start: number; end: number };

/**
 * The http and https links that a person can click, in order. Left out are relative ones, which lead nowhere in a
 * mail, and such as cannot be read with certainty. The targets are ASCII, as `URL` writes them.
 */
export function findLinks(html: string): HtmlLink[] {
  const links: HtmlLink[] = [];
  scanHtml(html, {
    text: () => {},
    close: () => {},
    open: (element, _attributes, start, end) => {
      if (element !== 'a' && element !== 'area') return;
      const href = findAttribute(html, { element, start, end }, 'href');
      const url = href === undefined ? null : targetOf(href.written);
      if (href !== undefined && url !== null) links.push({ url, start: href.start, end: href.end });
    },
  });
  return links;
}

/**
 * HTML with other targets in its links, and a picture at its end.
 *
 * `link` gives the new target of each, null to leave it alone; `pixel` is the picture's address, null for none. Both
 * are written as they are, so they must have no character that means something in HTML.
 */
export function trackHtml(
  html: string,
  { link, pixel }: { link: (url: string) => string | null; pixel: string | null },
): string {
  const edits = findLinks(html).flatMap(({ url, start, end }) => {
    const text = link(url);
    return text === null ? [] : [{ start, end, text }];
  });
  if (pixel !== null) {
    const at = bodyEnd(html);
    edits.push({ start: at, end: at, text: pixelTag(pixel) });
  }
  const parts: string[] = [];
  let done = 0;
  for (const { start, end, text } of edits.sort((a, b) => a.start - b.start)) {
    parts.push(html.slice(done, start), text);
    done = end;
  }
  return parts.join('') + html.slice(done);
}

/** Not hidden by its style: some programs load no hidden picture. */
export function pixelTag(url: string): string {
  return `<img src="${url}" width="1" height="1" alt="" style="border:0">`;
}

/** Before the end tag of the body, or of the document; without one, the very end. */
function bodyEnd(html: string): number {
  const ends = new Map<string, number>();
  scanHtml(html, {
    text: () => {},
    open: () => {},
    close: (name, start) => void ends.set(name, start),
  });
  return ends.get('body') ?? ends.get('html') ?? html.length;
}

function targetOf(written: string): string | null {
  if (hasUnknownReference(written)) return null;
  const target = decodeAttribute(written).trim();
  return /^https?:\/\//i.test(target) ? (URL.parse(target)?.href ?? null) : null;
}

/** HTML has two thousand names of characters; of these we know those that mail uses. */
function hasUnknownReference(written: string): boolean {
  const names = written.match(/&[a-z][a-z\d]*;/gi) ?? [];
  return names.some((name) => [name, ''].includes(decodeEntities(name)));
}
