/** An element with what is in it. Names keep their prefix; text is that of the element itself, trimmed. */
export type XmlElement = {
  name: string;
  attributes: ReadonlyMap<string, string>;
  children: XmlElement[];
  text: string;
};

/** Of documents that strangers serve. */
const limits = { chars: 65_536, elements: 2_000, depth: 20 };

/** What has no place in plain data: a document type with its entities, above all, which could name files and grow without end. */
const token =
  /<!--(?:(?!--)[^])*-->|<!\[CDATA\[(?<cdata>(?:(?!\]\]>)[^])*)\]\]>|<\/(?<end>[\w:.-]+)\s*>|<(?<start>[\w:.-]+)(?<attributes>(?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(?<empty>\/?)>|(?<text>[^<]+)/y;

/**
 * The root element of a small XML document, read strictly: elements, attributes, text, comments and CDATA, the five
 * entities of XML itself and numeric ones. Null for everything else, and for what is too large or too deep. Pure.
 */
export function parseXml(source: string): XmlElement | null {
  if (source.length > limits.chars) return null;
  const document: XmlElement = { name: '', attributes: new Map(), children: [], text: '' };
  const open = [document];
  let elements = 0;
  token.lastIndex = /^\uFEFF?(?:<\?xml\s[^?<>]*\?>)?/.exec(source)?.[0].length ?? 0;
  while (token.lastIndex < source.length) {
    const groups = token.exec(source)?.groups;
    const current = open.at(-1);
    if (groups === undefined || current === undefined) return null;
    const { cdata, end, start, attributes = '', empty, text } = groups;
    if (start !== undefined) {
      const element = { name: start, attributes: attributesOf(attributes), children: [], text: '' };
      elements += 1;
      if (elements > limits.elements || open.length > limits.depth) return null;
      current.children.push(element);
      if (empty === '') open.push(element);
    } else if (end !== undefined) {
      if (current.name !== end || open.length === 1) return null;
      current.text = current.text.trim();
      open.pop();
    } else if (cdata !== undefined) current.text += cdata;
    else if (text !== undefined) current.text += decoded(text);
  }
  const [root, ...more] = document.children;
  const isWhole = open.length === 1 && more.length === 0 && document.text.trim() === '';
  return isWhole ? (root ?? null) : null;
}

function attributesOf(source: string): Map<string, string> {
  return new Map(
    [...source.matchAll(/([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)].map(([, name = '', one, other]) => [
      name,
      decoded(one ?? other ?? ''),
    ]),
  );
}

const entities = new Map(Object.entries({ lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }));

/** What is no entity of these stays as it is written: none is ever looked up. */
function decoded(text: string): string {
  return text.replaceAll(
    /&(?:(\w+)|#(\d{1,7})|#x([\da-f]{1,6}));/gi,
    (whole, name?: string, ten?: string, hex?: string) => {
      if (name !== undefined) return entities.get(name) ?? whole;
      const code = Number.parseInt(ten ?? hex ?? '', ten === undefined ? 16 : 10);
      return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)
        ? String.fromCodePoint(code)
        : whole;
    },
  );
}
