/** Pure: sanitised HTML of a mail (see html.ts), made ready for a frame whose policy takes nothing inline. */
import { escapeHtml } from './html.ts';
import { scanHtml } from './html-tokens.ts';

/** What a frame shows, without its document around it. */
export type ShownHtml = {
  html: string;
  /** The styles that stood in attributes, as rules for the classes that `html` has in their place. */
  css: string;
};

export type ShownOptions = {
  /** Where a picture of the mail itself is, by its content id without brackets; null: it is not there. */
  inlineImage(contentId: string): string | null;
  /** Whether pictures are loaded from elsewhere, which tells the sender that the mail is read. */
  remoteImages: boolean;
  /** What is written over a quote that is folded. */
  quoteLabel: string;
};

/**
 * Attributes keep their meaning but for three things: `style` becomes a class, pictures from elsewhere lose their
 * address unless they are asked for, and those of the mail get one of ours. What quotes an earlier mail is folded, the
 * outermost alone. Linear in time, never throws; whatever else stands in a tag is left out.
 */
export function shownHtml(sanitised: string, options: ShownOptions): ShownHtml {
  const classes = new Map<string, string>();
  const parts: string[] = [];
  /** Elements of its kind inside the quote that is folded, itself included; null: none is. */
  let quote: { element: string; open: number } | null = null;
  scanHtml(sanitised, {
    text: (_decoded, start, end) => void parts.push(escapeText(sanitised.slice(start, end))),
    open(element, attributes, _start, _end) {
      if (!shownElements.has(element)) return;
      const given = attributes();
      if (quote === null && isQuote(element, given)) {
        quote = { element, open: 0 };
        parts.push(`<details><summary>${escapeHtml(options.quoteLabel)}</summary>`);
      }
      if (quote?.element === element) quote.open += 1;
      parts.push(tagOf(element, given, classes, options));
    },
    close(element) {
      if (!shownElements.has(element) || voidElements.has(element)) return;
      parts.push(`</${element}>`);
      if (quote?.element !== element) return;
      quote.open -= 1;
      if (quote.open > 0) return;
      quote = null;
      parts.push('</details>');
    },
  });
  const css = [...classes].map(([declarations, name]) => `.${name}{${declarations}}`).join('\n');
  return { html: parts.join(''), css };
}

/** Those that the sanitiser lets through. */
const shownElements: ReadonlySet<string> = new Set(
  [
    'a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt',
    'em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q rp rt ruby s',
    'samp section small span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr',
  ].flatMap((group) => group.split(' ')),
);
const voidElements: ReadonlySet<string> = new Set(['br', 'col', 'hr', 'img', 'wbr']);

const shownAttributes: ReadonlySet<string> = new Set(
  [
    'align bgcolor color dir height lang title valign width name rel target type span face size alt value start',
    'border cellpadding cellspacing colspan rowspan scope',
  ].flatMap((group) => group.split(' ')),
);

/** What mail programs put around the mail that is answered. */
function isQuote(element: string, attributes: ReadonlyMap<string, string>): boolean {
  if (element === 'blockquote') return true;
  return /(?:^| )(?:gmail_quote|yahoo_quoted|protonmail_quote)(?: |$)/.test(attributes.get('class') ?? '');
}

function tagOf(
  element: string,
  given: ReadonlyMap<string, string>,
  classes: Map<string, string>,
  options: ShownOptions,
): string {
  const kept = [...given].filter(([name]) => shownAttributes.has(name));
  const href = element === 'a' ? given.get('href') : undefined;
  if (href !== undefined && /^(?:https?:\/\/|mailto:|tel:)/i.test(href)) {
    kept.push(['href', href]);
  }
  const declarations = declarationsOf(given.get('style') ?? '');
  if (declarations !== '') kept.push(['class', classOf(classes, declarations)]);
  if (element === 'img') {
    const source = sourceOf(given.get('src') ?? '', options);
    if (source !== null) kept.push(['src', source]);
  }
  return `<${element}${kept.map(([name, value]) => ` ${name}="${escapeHtml(value)}"`).join('')}>`;
}

function classOf(classes: Map<string, string>, declarations: string): string {
  const name = classes.get(declarations) ?? `s${classes.size}`;
  classes.set(declarations, name);
  return name;
}

/** A value that can neither end its rule nor load anything; the sanitiser has left out what is not of type and boxes. */
const plainValue = /^(?:[^{}()<>@\\;:"'/]|(?:rgb|rgba|hsl|hsla)\([\d\s.,%/]{1,40}\)){1,200}$/i;

/** Names of fonts go without their quotes, which CSS allows. */
function declarationsOf(style: string): string {
  return style
    .replaceAll(/["']/g, '')
    .split(';')
    .flatMap((declaration) => {
      const colon = declaration.indexOf(':');
      const [name, value] = [declaration.slice(0, colon).trim(), declaration.slice(colon + 1).trim()];
      return colon > 0 && /^[a-z-]{1,40}$/i.test(name) && plainValue.test(value) ? [`${name}:${value}`] : [];
    })
    .join(';');
}

function sourceOf(source: string, options: ShownOptions): string | null {
  const [, contentId] = /^cid:(.+)$/i.exec(source.trim()) ?? [];
  if (contentId !== undefined) return options.inlineImage(decoded(contentId));
  if (/^data:image\/(?:png|jpe?g|gif|webp);base64,/i.test(source)) return source;
  return options.remoteImages && /^https?:\/\//i.test(source) ? source : null;
}

/** RFC 2392 §2: a content id is percent-encoded in its URL. */
function decoded(contentId: string): string {
  return /^(?:[^%]|%[0-7][\da-f])*$/i.test(contentId) ? decodeURIComponent(contentId) : contentId;
}

/** As it is written, but for what the sanitiser would have escaped. */
function escapeText(written: string): string {
  return written.replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
