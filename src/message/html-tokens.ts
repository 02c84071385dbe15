/** What `scanHtml` finds. Names are in lower case; text is decoded. `start` and `end` are where it is written in the source. */
export type HtmlHandler = {
  text(text: string, start: number, end: number): void;
  /** `attributes` reads the tag's attributes when called: lower-case name to decoded value, the first of a name. */
  open(name: string, attributes: () => ReadonlyMap<string, string>, start: number, end: number): void;
  close(name: string, start: number): void;
};

/** Elements without content, so that their start tag opens nothing. */
const voidElements: ReadonlySet<string> = new Set(
  'area base br col embed hr img input link meta param source track wbr'.split(' '),
);

/** Elements whose content is not shown as text. */
const hiddenElements: ReadonlySet<string> = new Set(
  'script style title textarea noscript template'.split(' '),
);

/**
 * Reads HTML as tags and text, in time linear in its length whatever it is, and never throws. For
 * looking at mail, not for making it safe: that is `sanitiseHtml`. Comments, declarations and what
 * is in scripts and styles are left out; a tag without an end makes the rest text.
 */
export function scanHtml(html: string, handler: HtmlHandler): void {
  let pos = 0;
  while (pos < html.length) {
    const open = html.indexOf('<', pos);
    if (open < 0) break;
    if (open > pos) handler.text(decodeEntities(html.slice(pos, open)), pos, open);
    const second = html.charCodeAt(open + 1);
    if (second === 0x21 || second === 0x3f) pos = declarationEnd(html, open);
    else if (isLetter(second === 0x2f ? html.charCodeAt(open + 2) : second)) {
      const end = tagEnd(html, open);
      if (end < 0) {
        pos = open;
        break;
      }
      pos = tag(html, open, end, handler);
    } else {
      handler.text('<', open, open + 1);
      pos = open + 1;
    }
  }
  if (pos < html.length) handler.text(decodeEntities(html.slice(pos)), pos, html.length);
}

/** Whether elements are nested deeper than `depthMax`. Linear, where parsers that build a tree are not. */
export function isNestedDeeper(html: string, depthMax: number): boolean {
  const elements = openElements(() => {});
  let deepest = 0;
  scanHtml(html, {
    text: () => {},
    open: (name) => {
      deepest = Math.max(deepest, elements.push(name) ?? 0);
    },
    close: (name) => elements.pop(name),
  });
  return deepest >= depthMax;
}

/** Elements that the next of their kind closes, so that a run of unclosed ones does not nest. */
const impliedEnd: ReadonlySet<string> = new Set('p li dt dd option tr td th thead tbody tfoot'.split(' '));

/** The elements that are open, outermost first. */
export type OpenElements = {
  /** Opens an element; says at which depth (0 is outermost), or null when it holds nothing. */
  push(name: string): number | null;
  /** An end tag: closes the nearest element of that name and all inside it, or nothing. */
  pop(name: string): void;
};

/** `onClose` is told the depth of each element that closes. Each call is constant time on average. */
export function openElements(onClose: (depth: number) => void): OpenElements {
  const names: string[] = [];
  const counts = new Map<string, number>();
  const popOne = (): string | undefined => {
    const name = names.pop();
    if (name === undefined) return undefined;
    counts.set(name, (counts.get(name) ?? 1) - 1);
    onClose(names.length);
    return name;
  };
  return {
    push(name) {
      if (voidElements.has(name)) return null;
      if (impliedEnd.has(name) && names.at(-1) === name) popOne();
      counts.set(name, (counts.get(name) ?? 0) + 1);
      return names.push(name) - 1;
    },
    pop(name) {
      if ((counts.get(name) ?? 0) === 0) return;
      while (popOne() !== name);
    },
  };
}

const entityNames = new Map(
  Object.entries({
    amp: '&',
    lt: '<',
    gt: '>',
    quot: '"',
    apos: "'",
    nbsp: '\u00a0',
    shy: '',
    zwnj: '',
    zwj: '',
    ndash: '–',
    mdash: '—',
    hellip: '…',
    lsquo: '‘',
    rsquo: '’',
    sbquo: '‚',
    ldquo: '“',
    rdquo: '”',
    bdquo: '„',
    laquo: '«',
    raquo: '»',
    bull: '•',
    middot: '·',
    euro: '€',
    pound: '£',
    copy: '©',
    reg: '®',
    trade: '™',
    deg: '°',
    sect: '§',
    iexcl: '¡',
    iquest: '¿',
    szlig: 'ß',
    aelig: 'æ',
    AElig: 'Æ',
    oslash: 'ø',
    Oslash: 'Ø',
    aring: 'å',
    Aring: 'Å',
    oelig: 'œ',
    ccedil: 'ç',
    Ccedil: 'Ç',
  }),
);

/** Letters with marks: `&eacute;` is e and U+0301. */
const entityMarks = new Map([
  ['grave', '\u0300'],
  ['acute', '\u0301'],
  ['circ', '\u0302'],
  ['tilde', '\u0303'],
  ['uml', '\u0308'],
]);

/** Numeric references and the names that mail uses; others stay as written. */
export function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(#x[0-9a-f]{1,6}|#\d{1,7}|[a-z]{2,8}\d?);?/gi, (whole, name: string) => {
    if (name.startsWith('#')) {
      const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
      return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)
        ? String.fromCodePoint(code)
        : '\ufffd';
    }
    const mark = entityMarks.get(name.slice(1));
    if (mark !== undefined) return `${name.charAt(0)}${mark}`.normalize('NFC');
    return entityNames.get(name) ?? whole;
  });
}

/**
 * The value of an attribute, as browsers read it: a name without its semicolon before `=` is no reference, so that
 * `?a=1&copy=2` stays what it is (HTML, named character reference state).
 */
export function decodeAttribute(written: string): string {
  if (!written.includes('&')) return written;
  return written
    .split(/(&[a-z][a-z\d]*=)/i)
    .map((part, n) => (n % 2 === 1 ? part : decodeEntities(part)))
    .join('');
}

/** Handles the tag between `open` and `end` (its `>`), and says where to go on. */
function tag(html: string, open: number, end: number, handler: HtmlHandler): number {
  const closing = html.charCodeAt(open + 1) === 0x2f;
  const start = open + (closing ? 2 : 1);
  let at = start;
  while (at < end && at - start < 40 && !isNameEnd(html.charCodeAt(at))) at++;
  const name = html.slice(start, at).toLowerCase();
  if (closing) {
    handler.close(name, open);
    return end + 1;
  }
  if (hiddenElements.has(name)) {
    const close = new RegExp(`</${name}[\\s>/]`, 'gi');
    close.lastIndex = end + 1;
    const found = close.exec(html);
    if (found === null) return html.length;
    const after = html.indexOf('>', found.index);
    return after < 0 ? html.length : after + 1;
  }
  const attributes = () => attributesOf(html.slice(at, Math.min(end, at + attributesCharsMax)));
  handler.open(name, attributes, open, end + 1);
  return end + 1;
}

/** Attributes are read from this much of a tag: longer ones hold embedded pictures. */
const attributesCharsMax = 4000;

function attributesOf(written: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const { name, value } of attributesIn(written)) {
    if (!found.has(name)) found.set(name, decodeAttribute(value));
  }
  return found;
}

/** Attributes as they are written; `start` is where the value is, without its quotes. */
function* attributesIn(written: string): Generator<{ name: string; value: string; start: number }> {
  const each = /([^\s=/"'>]{1,60})(?:\s{0,20}=\s{0,20}(?:"([^"]*)"|'([^']*)'|([^\s"'>]*)))?/g;
  for (const match of written.matchAll(each)) {
    const quoted = match[2] ?? match[3];
    const value = quoted ?? match[4] ?? '';
    const end = match.index + match[0].length - (quoted === undefined ? 0 : 1);
    yield { name: (match[1] ?? '').toLowerCase(), value, start: end - value.length };
  }
}

/**
 * Where the value of an attribute is written in the start tag of `element` between `start` and `end` (as `open`
 * is told), the first of its name; undefined when it is not there. `name` and `element` in lower case.
 */
export function findAttribute(
  html: string,
  tag: { element: string; start: number; end: number },
  name: string,
): { written: string; start: number; end: number } | undefined {
  const from = tag.start + 1 + tag.element.length;
  for (const found of attributesIn(html.slice(from, tag.end - 1))) {
    if (found.name !== name) continue;
    const start = from + found.start;
    return { written: found.value, start, end: start + found.value.length };
  }
  return undefined;
}

/** The `>` that ends the tag at `open`, not one inside a quoted value; -1 when there is none. */
function tagEnd(html: string, open: number): number {
  let at = open + 1;
  while (at < html.length) {
    const code = html.charCodeAt(at);
    if (code === 0x3e) return at;
    // A quote counts only where a value may start, so that a stray one does not swallow the mail.
    if ((code === 0x22 || code === 0x27) && html.charCodeAt(lastInk(html, at)) === 0x3d) {
      const close = html.indexOf(code === 0x22 ? '"' : "'", at + 1);
      if (close < 0) return -1;
      at = close;
    }
    at++;
  }
  return -1;
}

/** The last character before `at` that is no blank, at most 20 back. */
function lastInk(html: string, at: number): number {
  let back = at - 1;
  while (back > at - 20 && /\s/.test(html.charAt(back))) back--;
  return back;
}

function declarationEnd(html: string, open: number): number {
  const comment = html.startsWith('<!--', open);
  const end = comment ? html.indexOf('-->', open + 4) : html.indexOf('>', open + 2);
  return end < 0 ? html.length : end + (comment ? 3 : 1);
}

function isNameEnd(code: number): boolean {
  return code <= 0x20 || code === 0x2f || code === 0x3e;
}

function isLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}
