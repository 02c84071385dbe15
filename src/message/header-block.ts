import type { BodyLine } from './body-lines.ts';

/**
 * The block `From: … Sent: … To: … Subject: …` that mail programs write above an original message:
 * Outlook above answers and forwards, all of them above forwards, each in an order of its own.
 */

/** What a line of a block tells. `other` is what is known to stand there and is not read. */
export type BlockPart = 'from' | 'date' | 'to' | 'cc' | 'subject' | 'other';

/**
 * The names of the lines, in English, German, French, Spanish, Italian, Portuguese, Dutch, and what
 * the Scandinavians and Poles see. Gmail translates only the first and writes the rest in English.
 */
const blockNames: Readonly<Record<BlockPart, readonly string[]>> = {
  from: ['from', 'von', 'de', 'da', 'van', 'från', 'fra', 'od', 'expéditeur', 'mittente'],
  date: [
    'sent',
    'date',
    'gesendet',
    'datum',
    'envoyé',
    'enviado(?: el| em)?',
    'enviada(?: em)?',
    'fecha',
    'data',
    'inviato',
    'verzonden',
    'skickat',
    'sendt',
    'wysłano',
  ],
  to: ['to', 'an', 'à', 'a', 'para', 'aan', 'till', 'til', 'do', 'pour', 'destinataires?', 'destinatario'],
  cc: ['cc', 'kopie(?: \\(cc\\))?', 'copie(?: à)?', 'copia', 'cópia', 'con copia', 'kopia', 'kopi'],
  subject: [
    'subject',
    'betreff',
    'objet',
    'sujet',
    'asunto',
    'oggetto',
    'assunto',
    'onderwerp',
    'ämne',
    'emne',
    'temat',
  ],
  other: [
    'bcc|cci|cco|ccn',
    'reply-to|antwort an|répondre à|responder a|rispondi a|antwoord aan',
    'importance|priority|wichtigkeit|priorität|importancia|prioridad|importanza|priorità|importância|prioridade|urgentie|prioriteit',
    'attachments?|anlagen?|anhänge|pièces? jointes?|datos adjuntos|adjuntos|allegat[io]|anexos?|bijlagen?',
    'organi[sz]ation|organisatie|organización|organizzazione|organização',
    'resent-[a-z-]{2,10}|return-path|message-id|references',
  ],
};

/** Bold stars of converted HTML may stand around the name; the French have a blank before the colon. */
const labelled = new RegExp(
  `^[\\s*]{0,4}(?:${Object.entries(blockNames)
    .map(([part, names]) => `(?<${part}>${names.join('|')})`)
    .join('|')})[\\s*]{0,3}:[\\s*]{0,4}`,
  'iu',
);
const parts = Object.keys(blockNames) as BlockPart[];

/** Where the colon of a header line stands. */
const labelCharsMax = 60;

/** A line of a block: what it tells, its name as written, and where its value starts. */
type Label = { part: BlockPart; name: string; valueAt: number };

function labelOf(line: BodyLine | undefined): Label | null {
  const head = line?.text.slice(0, labelCharsMax) ?? '';
  // Every line of a mail may be asked, and nearly none has a colon here.
  if (!head.includes(':')) return null;
  const match = labelled.exec(head);
  if (match === null) return null;
  for (const part of parts) {
    const name = match.groups?.[part];
    if (name !== undefined) return { part, name, valueAt: match[0].length };
  }
  return null;
}

/** How many lines a block has at most where nothing else says that it is one: recipients may take several. */
const blockLinesMax = 12;

/**
 * Whether the block starts at `index`. People type such blocks as well, and write on below them:
 * it is a mail program's only where it stands together, with a date and a subject, and has an address
 * or the ruler of Outlook above it.
 */
export function isHeaderBlock(lines: readonly BodyLine[], index: number): boolean {
  const first = lines[index];
  const start = labelOf(first)?.part;
  if (start !== 'from' && start !== 'date') return false;
  const reach = lines.slice(index, index + blockLinesMax);
  const end = reach.findIndex((line) => line.text === '' || line.quoteDepth !== first?.quoteDepth);
  const block = end < 0 ? reach : reach.slice(0, end);
  const found = new Set(block.map((line) => labelOf(line)?.part));
  if (!found.has('from') || !found.has('date') || !found.has('subject')) return false;
  return block.some((line) => address.test(line.text.slice(0, lineCharsMax))) || isUnderRuler(lines, index);
}

/** Outlook writes a rule as 32 underscores. */
function isUnderRuler(lines: readonly BodyLine[], index: number): boolean {
  const above = lines[index - 1]?.text === '' ? lines[index - 2] : lines[index - 1];
  return above !== undefined && /^_{32}$/.test(above.text);
}

/** Of a line of a block: enough for a name and an address. */
const lineCharsMax = 500;
const address = /[^\s<>@]@[^\s<>@]/u;

/** A header line in a language that we do not know. */
const unknownLabel = /^[\s*]{0,4}[^\s:：][^:：]{0,24}[:：]/u;

/** How many lines are looked at for a block that cannot be read. */
const unreadLinesMax = 8;

/**
 * Whether a block may start at `index` that `readHeaderBlock` cannot read, so that the next one below is
 * not of the message above which it stands, but of an older one: an author's line with an address, or
 * three lines with names that we do not know, in them an address, a year and a time.
 */
export function mayBeUnreadBlock(lines: readonly BodyLine[], index: number): boolean {
  const first = lines[index];
  if (first === undefined) return false;
  if (labelOf(first)?.part === 'from' && address.test(first.text.slice(0, lineCharsMax))) return true;
  const reach = lines.slice(index, index + unreadLinesMax);
  const end = reach.findIndex(
    (line) => line.quoteDepth !== first.quoteDepth || !unknownLabel.test(line.text),
  );
  const block = (end < 0 ? reach : reach.slice(0, end)).map(({ text }) => text.slice(0, lineCharsMax));
  const isAddressed = block.some((text) => address.test(text));
  return block.length >= 3 && isAddressed && block.some((text) => yearAndTime.test(text));
}

const yearAndTime = /(?<!\d)20\d{2}(?!\d).{0,200}\d{1,2}[:.h]\d{2}/u;

/** One line of a block that was read. */
export type BlockField = {
  /** As written: `Von`, `Date`. */
  name: string;
  /** Unfolded, without the bold stars in front. */
  value: string;
  /** The line that it starts on. */
  line: number;
};

/** A block that was read. */
export type HeaderBlock = {
  fields: ReadonlyMap<BlockPart, BlockField>;
  /** The first and the last line. */
  start: number;
  end: number;
};

/** How far a block is read: long lists of recipients are wrapped. */
const readLinesMax = 60;
const valueCharsMax = 20_000;

/**
 * Reads the block that starts at line `index`; null where there is none. Under a forward's mark two
 * known lines make one, also beside lines in a language that we do not know; without a mark it takes
 * author, date and subject. Values that a program wrapped are joined. Looks at 60 lines at most.
 */
export function readHeaderBlock(
  lines: readonly BodyLine[],
  index: number,
  options: { marked: boolean },
): HeaderBlock | null {
  const depth = lines[index]?.quoteDepth;
  const reach = lines.slice(index, index + readLinesMax);
  const cut = reach.findIndex((line) => line.quoteDepth !== depth);
  const block = cut < 0 ? reach : reach.slice(0, cut);
  const labels = block.map(labelOf);
  const first = labels[0]?.part ?? null;
  if (!options.marked && first !== 'from' && first !== 'date') return null;
  const read = fieldsOf(block, labels, options.marked);
  const known = [...read.fields.keys()].filter((part) => part !== 'other');
  const isEnough = options.marked ? known.length >= 2 : isComplete(read.fields);
  if (!isEnough) return null;
  return {
    fields: new Map([...read.fields].map(([part, field]) => [part, { ...field, line: field.line + index }])),
    start: index,
    end: index + read.last,
  };
}

function fieldsOf(
  block: readonly BodyLine[],
  labels: readonly (Label | null)[],
  marked: boolean,
): { fields: Map<BlockPart, BlockField>; last: number } {
  const nextLabels = nextLabelOf(block, labels);
  const fields = new Map<BlockPart, BlockField>();
  const isNew = (label: Label | null | undefined): boolean =>
    label != null && (label.part === 'other' || !fields.has(label.part));
  let current: BlockPart | null = null;
  let last = 0;
  let isSpaced = false;
  for (const [at, line] of block.entries()) {
    const label = labels[at] ?? null;
    const text = line.text.trim();
    if (text === '') {
      const next = labels[at + 1];
      if (!isNew(next) || next?.part === 'other') break;
      // Converters of HTML may leave a blank line after each; others end the block with the first one.
      if (isComplete(fields) && !isSpaced) break;
      isSpaced = true;
    } else if (label !== null) {
      if (!isNew(label)) break;
      current = label.part;
      const value = line.text.slice(label.valueAt, label.valueAt + valueCharsMax).trim();
      if (!fields.has(current)) fields.set(current, { name: label.name, value, line: at });
      last = at;
    } else {
      const isInside = isNew(nextLabels[at]);
      if (isInside && marked && unknownLabel.test(text)) current = 'other';
      else if (!isInside && !continuesList(fields, current, text)) break;
      else append(fields, current, text);
      last = at;
    }
  }
  return { fields, last };
}

/** For each line, the label of the next line that has one before the block's next blank line. */
function nextLabelOf(block: readonly BodyLine[], labels: readonly (Label | null)[]): (Label | null)[] {
  const next: (Label | null)[] = [];
  for (let at = block.length - 1; at >= 0; at--) {
    const below = block[at + 1];
    next[at] =
      below === undefined || below.text.trim() === '' ? null : (labels[at + 1] ?? next[at + 1] ?? null);
  }
  return next;
}

function isComplete(fields: ReadonlyMap<BlockPart, BlockField>): boolean {
  return fields.has('from') && fields.has('date') && fields.has('subject');
}

/** Whether the line goes on with the recipients that ended the line above. */
function continuesList(
  fields: ReadonlyMap<BlockPart, BlockField>,
  current: BlockPart | null,
  text: string,
): boolean {
  if (current !== 'to' && current !== 'cc' && current !== 'from') return false;
  if (!text.slice(0, lineCharsMax).includes('@')) return false;
  return text.startsWith('<') || /[,;]$/.test(fields.get(current)?.value.slice(-1) ?? '');
}

function append(fields: Map<BlockPart, BlockField>, current: BlockPart | null, text: string): void {
  const field = current === null ? undefined : fields.get(current);
  if (current === null || field === undefined || field.value.length > valueCharsMax) return;
  fields.set(current, { ...field, value: `${field.value} ${text.slice(0, valueCharsMax)}`.trim() });
}
