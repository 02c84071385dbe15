import { convert } from 'html-to-text';
import sanitize from 'sanitize-html';
import { htmlLines, joinLines } from './body-lines.ts';
import { cleanBody, cut } from './charset.ts';
import { isNestedDeeper } from './html-tokens.ts';

/** HTML that is shown; what is behind it is not. UTF-16 units. */
export const htmlCharsMax = 5_000_000;
/** Browsers themselves flatten what is deeper than 512; trees that deep cost their parsers quadratic time. */
const depthMax = 400;
/** html-to-text builds a tree and walks it: dear, and above this a simpler reading is as good. */
const convertCharsMax = 500_000;

/**
 * HTML of a stranger's mail, made fit to show in a sandboxed frame: no scripts, styles sheets,
 * forms, frames, SVG, event handlers, no `javascript:` or other schemes than http, https, mailto,
 * tel and, for images, `cid:` and embedded PNG, JPEG, GIF and WebP, and nothing relative. Styles keep what sets type and
 * boxes, without `url(`, which would tell the sender of the reading, and without positions, which
 * could cover the page. Links open elsewhere and tell nothing. Remote images keep their `src`: the
 * one who shows the mail decides about them. At most 5 million characters are read
 * and given; HTML nested
 * deeper than 400 elements comes back as its text. Never throws.
 *
 * Some 150 ms for a megabyte: for large input call it in the worker (parse.ts).
 */
export function sanitiseHtml(html: string): string {
  const input = cleanBody(html, htmlCharsMax);
  if (isNestedDeeper(input, depthMax)) return `<pre>${escapeHtml(linesOf(input))}</pre>`;
  return wellCut(sanitize(input, options));
}

/**
 * HTML as plain text, for a message that has no text part. By html-to-text where that can be
 * trusted to end well (it throws at deep nesting), else by our own reading of the lines.
 */
export function htmlToPlainText(html: string): string {
  const input = cleanBody(html, htmlCharsMax);
  if (input.length > convertCharsMax || isNestedDeeper(input, depthMax)) return linesOf(input);
  try {
    return convert(input, {
      wordwrap: false,
      limits: { maxInputLength: convertCharsMax, maxDepth: depthMax },
      selectors: [
        { selector: 'a', options: { hideLinkHrefIfSameAsText: true, ignoreHref: false } },
        { selector: 'img', format: 'skip' },
      ],
    });
  } catch (error) {
    // Only what its own tree can not bear: the mail is there all the same.
    if (error instanceof Error) return linesOf(input);
    throw error;
  }
}

/** Text as HTML: for what has no HTML of its own. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (mark) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[mark] ?? '&quot;');
}

/** Escapes make clean HTML longer than what came in. It has `>` only at the end of tags, so that is where it may be cut. */
function wellCut(clean: string): string {
  if (clean.length <= htmlCharsMax) return clean;
  const end = clean.lastIndexOf('>', htmlCharsMax - 1) + 1;
  return end > 0 ? clean.slice(0, end) : cut(clean, htmlCharsMax).replace(/&[^;]{0,8}$/, '');
}

function linesOf(html: string): string {
  return joinLines(htmlLines(html, () => false));
}

/** A value without functions but colours, without escapes, so that no `url(` can hide in it. */
const plainValue = [/^(?:[^()\\<>@]|(?:rgb|rgba|hsl|hsla)\([\d\s.,%/]{1,40}\)){1,200}$/i];

const styleNames = [
  'color background-color direction display float height line-height letter-spacing max-width min-width width',
  'font font-family font-size font-style font-variant font-weight',
  'text-align text-decoration text-indent text-transform vertical-align white-space word-break overflow-wrap word-wrap',
  'margin margin-top margin-right margin-bottom margin-left padding padding-top padding-right padding-bottom padding-left',
  'border border-top border-right border-bottom border-left border-color border-style border-width border-radius',
  'border-collapse border-spacing list-style-type table-layout',
].flatMap((group) => group.split(' '));

/** Pictures that a browser draws without running anything; SVG is a document. */
const embeddedPicture = /^data:image\/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\s]*$/i;

const options: sanitize.IOptions = {
  allowedTags: [
    'a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt',
    'em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q rp rt ruby s',
    'samp section small span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr',
  ].flatMap((group) => group.split(' ')),
  disallowedTagsMode: 'discard',
  nonTextTags:
    'script style title textarea option select noscript template svg math iframe object applet xml'.split(
      ' ',
    ),
  allowedAttributes: {
    '*': 'align bgcolor color dir height lang style title valign width'.split(' '),
    a: ['href', 'name', 'rel', 'target'],
    blockquote: ['type'],
    col: ['span'],
    font: ['face', 'size'],
    img: ['alt', 'src'],
    li: ['value'],
    ol: ['start', 'type'],
    table: ['border', 'cellpadding', 'cellspacing'],
    td: ['colspan', 'rowspan'],
    th: ['colspan', 'rowspan', 'scope'],
  },
  // What mail programs mark quotes and signatures with, so that a reader can fold them.
  allowedClasses: {
    '*': [
      'gmail_quote',
      'gmail_attr',
      'gmail_signature',
      'moz-cite-prefix',
      'moz-signature',
      'yahoo_quoted',
      'protonmail_quote',
    ],
  },
  allowedSchemes: ['http', 'https', 'mailto', 'tel'],
  allowedSchemesByTag: { img: ['http', 'https', 'cid', 'data'] },
  allowProtocolRelative: false,
  allowedStyles: { '*': Object.fromEntries(styleNames.map((name) => [name, plainValue])) },
  transformTags: {
    // The body's background and direction are the mail's own, and the frame has another body.
    body: 'div',
    a: (tagName, attribs) => ({
      tagName,
      attribs: attribs['href'] === undefined ? attribs : { ...absoluteOnly(attribs, 'href'), ...outgoing },
    }),
    img: (tagName, attribs) => ({ tagName, attribs: withoutOddPicture(absoluteOnly(attribs, 'src')) }),
  },
};

const outgoing = { target: '_blank', rel: 'noopener noreferrer nofollow' };

/**
 * An address with a scheme, and behind http with a host: browsers read `https:page` as a relative one.
 * In a mail a relative address has no base but the page that shows it, where it would call the API.
 */
const absolute = /^\s*(?!https?:(?!\/\/))[a-z][a-z\d+.-]*:/i;

function absoluteOnly(attribs: sanitize.Attributes, name: string): sanitize.Attributes {
  if (absolute.test(attribs[name] ?? '')) return attribs;
  const { [name]: _relative, ...rest } = attribs;
  return rest;
}

function withoutOddPicture(attribs: sanitize.Attributes): sanitize.Attributes {
  const source = attribs['src']?.trim() ?? '';
  if (!/^data:/i.test(source) || embeddedPicture.test(source)) return attribs;
  const { src: _dropped, ...rest } = attribs;
  return rest;
}
