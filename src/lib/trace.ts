/**
 * Traces of what our IMAP and SMTP clients and a server say to each other, written in the syntax
 * of the tests' transcripts (`test/support/script-syntax.ts`): a trace that was saved becomes a
 * fixture by moving the file. Asked for by a person, for one mailbox, for a while.
 */

/**
 * How much a trace tells.
 *
 * - `plain`: commands and replies. Credentials, content of mail (bodies, header fields, envelopes,
 *   file names, search terms) and local parts of addresses are left out; sizes stay.
 * - `with_bodies`: content too. Credentials are left out all the same.
 */
export type TraceLevel = 'plain' | 'with_bodies';

/** One line of a protocol; the literals (RFC 3501 §4.3) inside it are Buffers, without their `{size}`. */
export type WireLine = (string | Buffer)[];

type TraceLog = Record<
  'trace' | 'debug' | 'info' | 'warn' | 'error',
  (entry: unknown, text?: unknown) => void
>;

/**
 * Options for imapflow that make it write one connection's trace, a line (or block of lines) at a
 * time: `new ImapFlow({ ...options, ...imapTrace('plain', write) })`. One call for each connection.
 */
export function imapTrace(
  level: TraceLevel,
  write: (text: string) => void,
): { logger: TraceLog; logRaw: true } {
  let lastCommand = '';
  const server = wireReader({ literals: true, onLine: (line) => write(serverText(line, level)) });
  const client = wireReader({ literals: true, onLine: (line) => write(clientText(line, level)) });
  write('--- connection 1');
  const take = (entry: unknown) => {
    const { src, msg, data, hidden } = entry as {
      src?: string;
      msg?: unknown;
      data?: string;
      hidden?: boolean;
    };
    if (data === undefined) {
      // imapflow logs each command in words before its bytes; the words are needed for the hidden ones.
      if (src === 'c') lastCommand = String(msg);
    } else if (hidden === true) write(`C: ${hiddenCommand(lastCommand)}`);
    else (src === 's' ? server : client)(Buffer.from(data, 'base64'));
  };
  const ignore = () => undefined;
  // The bytes come at `trace`; imapflow needs the other methods to be there.
  return { logger: { trace: take, debug: take, info: ignore, warn: ignore, error: ignore }, logRaw: true };
}

/** Options for a nodemailer transport that make it write the trace of its sessions, as `imapTrace` does. */
export function smtpTrace(
  level: TraceLevel,
  write: (text: string) => void,
): { logger: TraceLog; debug: true } {
  let challenged = false;
  let started = false;
  const take = (entry: unknown, text: unknown) => {
    const { tnx, outByteCount } = entry as { tnx?: string; outByteCount?: number };
    if (tnx !== 'client' && tnx !== 'server' && tnx !== 'message') return;
    if (!started) write('protocol: smtp\n\n--- connection 1');
    started = true;
    const plain = (line: string) => (level === 'plain' ? line.replace(ADDRESS, '*@$1') : line);
    if (tnx === 'message') {
      if (outByteCount !== undefined) write(`C: .\n# ${outByteCount} octets of message`);
      else if (level === 'with_bodies') write(commented(Buffer.from(String(text), 'latin1').toString()));
    } else if (tnx === 'server') {
      challenged = String(text).startsWith('334');
      for (const line of withoutNul(String(text)).split(/\r?\n/)) {
        write(`S: ${level === 'plain' ? line.replace(ADDRESS, 'hidden@$1') : line}`);
      }
    } else write(`C: ${challenged ? hiddenAnswer(String(text)) : plain(hiddenAuth(String(text)))}`);
  };
  const ignore = () => undefined;
  return { logger: { trace: ignore, debug: take, info: take, warn: ignore, error: ignore }, debug: true };
}

/** A reader of bytes that calls `onLine` for each whole line; `onLiteral` is told when a literal is about to come. */
export function wireReader(options: {
  literals: boolean;
  onLine: (line: WireLine) => void;
  onLiteral?: (literal: { synchronising: boolean }) => void;
}): (chunk: Buffer) => void {
  let held: Buffer[] = [];
  let line: WireLine = [];
  let literalSize: number | undefined;
  return (chunk) => {
    held.push(chunk);
    if (literalSize === undefined && !chunk.includes(0x0a)) return;
    let size = 0;
    for (const piece of held) size += piece.length;
    if (literalSize !== undefined && size < literalSize) return;
    let rest = Buffer.concat(held);
    held = [];
    for (;;) {
      if (literalSize !== undefined) {
        if (rest.length < literalSize) break;
        line.push(rest.subarray(0, literalSize));
        rest = rest.subarray(literalSize);
        literalSize = undefined;
      }
      const end = rest.indexOf(0x0a);
      if (end < 0) break;
      const text = rest.subarray(0, end).toString().replace(/\r$/, '');
      rest = rest.subarray(end + 1);
      const literal = options.literals ? /\{(\d+)(\+?)\}$/.exec(text) : null;
      if (literal === null) {
        const whole = [...line, text];
        line = [];
        options.onLine(whole);
      } else {
        line.push(text.slice(0, literal.index));
        literalSize = Number(literal[1]);
        options.onLiteral?.({ synchronising: literal[2] === '' });
      }
    }
    held = rest.length > 0 ? [rest] : [];
  };
}

/** A server's line as a transcript has it: a literal of whole lines as a block, any other one as base64. */
export function replyText(line: WireLine): string {
  const pieces = line.map((part) =>
    typeof part === 'string' ? part.replace(VARIABLE, '\\$&') : block(part),
  );
  return `S: ${pieces.join('')}`;
}

/** Something that would be read as a variable of a transcript, in a line that was really sent. */
const VARIABLE = /\$(?=[a-z])/g;
/**
 * An address, also one with a quoted local part, in a domain of any letters (RFC 6531) or at an address literal; its domain
 * is kept in a plain trace, since faults often belong to a domain.
 */
const ADDRESS =
  /(?:"(?:[^"\\]|\\.)*"|[^\s<>"@(),:;=]+)@(\[[\w.:-]+\]|[\p{L}\p{M}\p{N}_.-]*[\p{L}\p{M}\p{N}])/gu;

function block(literal: Buffer): string {
  const text = literal.toString();
  const wholeLines =
    text.endsWith('\r\n') && !/\r(?!\n)|(?<!\r)\n|^\s|\n\s*\}|\0/.test(text) && !text.startsWith('}');
  if (!wholeLines || !Buffer.from(text).equals(literal)) return `{base64 ${literal.toString('base64')}}`;
  return `{\n${text.replaceAll('\r\n', '\n')}}`;
}

/** PostgreSQL's text takes no U+0000, which a server may say all the same; its picture stands for it. */
function withoutNul(text: string): string {
  return text.replaceAll('\u0000', '\u2400');
}

function serverText(line: WireLine, level: TraceLevel): string {
  const written = line.map((part) => (typeof part === 'string' ? withoutNul(part) : part));
  const tagged = written.map((part, index) =>
    index === 0 && typeof part === 'string' ? part.replace(/^\w+(?= (OK|NO|BAD)\b)/, '\u0000$&') : part,
  );
  const isFetch = typeof line[0] === 'string' && /^\* \d+ FETCH /i.test(line[0]);
  const shown = tagged.map((part) => {
    if (level === 'with_bodies') return part;
    if (typeof part !== 'string') return `{${part.length} hidden}`;
    return isFetch
      ? part.replace(QUOTED, hiddenString).replace(LABELS, hiddenLabels)
      : part.replace(ADDRESS, 'hidden@$1');
  });
  // A tag is a variable, so that the trace still plays when the client numbers its commands otherwise.
  return replyText(shown).replace('\u0000', '$t');
}

const QUOTED = /(INTERNALDATE )?"((?:[^"\\]|\\.)*)"/gi;
/** What BODYSTRUCTURE is made of; any other string of it (file names, descriptions, ids) is content. */
const STRUCTURE_WORD =
  /^(text|plain|html|calendar|multipart|mixed|alternative|related|report|delivery-status|image|png|jpeg|gif|application|pdf|octet-stream|message|rfc822|charset|utf-8|us-ascii|iso-8859-\d+|windows-125\d|name|filename|boundary|format|flowed|delsp|[78]bit|binary|base64|quoted-printable|inline|attachment)$/i;

/** Gmail's own labels, `\Inbox`; the user's labels are words of theirs. */
const SYSTEM_LABEL = /^\\\\[A-Z][a-z]+$/;

function hiddenString(whole: string, dateName: string | undefined, value: string): string {
  const isKept = dateName !== undefined || STRUCTURE_WORD.test(value) || SYSTEM_LABEL.test(value);
  return isKept ? whole : `{${value.length} hidden}`;
}

/** Gmail quotes a label only where its name asks for it: `(\Inbox Work "Two words")`. After `QUOTED`. */
const LABELS = /(?<=X-GM-LABELS \()[^()]*/gi;

function hiddenLabels(labels: string): string {
  return labels.replace(/"[^"]*"|\{\d+ hidden\}|[^\s"{}]+/g, (label) =>
    /^["{\\]/.test(label) ? label : `{${label.length} hidden}`,
  );
}

function clientText(line: WireLine, level: TraceLevel): string {
  const bodies = line.filter((part) => typeof part !== 'string');
  let text = line.map((part) => (typeof part === 'string' ? part : `{${part.length}}`)).join('');
  text = text.replace(VARIABLE, '\\$&').replace(/^\w+ /, (tag) => (text === 'DONE' ? tag : `$t${tag}`));
  if (level === 'plain')
    text = /^\S+ (UID )?SEARCH /i.test(text) ? hiddenTerms(text) : text.replace(ADDRESS, '*@$1');
  if (level === 'plain' || bodies.length === 0) return `C: ${text}`;
  return [`C: ${text}`, ...bodies.map((body) => commented(body.toString()))].join('\n');
}

/** A SEARCH without what is searched for: keys, numbers, dates and sets stay, `*` stands for the rest. */
function hiddenTerms(text: string): string {
  const [tag = '', ...words] = text.split(/ (?=(?:[^"]*"[^"]*")*[^"]*$)/);
  const kept = words.map((word) => (SEARCH_WORD.test(word) ? word : '*'));
  return [tag, ...kept].join(' ');
}

const SEARCH_WORD =
  /^\(*(UID|SEARCH|RETURN|MIN|MAX|ALL|COUNT|CHARSET|UTF-8|OR|NOT|HEADER|MESSAGE-ID|REFERENCES|IN-REPLY-TO|FROM|TO|CC|BCC|SUBJECT|TEXT|BODY|SINCE|BEFORE|ON|SENTSINCE|SENTBEFORE|SENTON|LARGER|SMALLER|(?:UN)?(?:SEEN|DELETED|FLAGGED|ANSWERED|DRAFT)|MODSEQ|X-GM-(?:RAW|MSGID|THRID)|[\d:,*]+|\d+-[A-Z]{3}-\d{4})\)*$/i;

function hiddenCommand(words: string): string {
  const command = /^(\w+) (LOGIN|AUTHENTICATE)( \S+)( .*)?/i.exec(words);
  if (command === null) return hiddenAnswer(words);
  const [, tag = '', name = '', mechanism = '', response] = command;
  if (name.toUpperCase() === 'LOGIN') return `$t${tag} LOGIN * *`;
  return `$t${tag} ${name}${mechanism}${response === undefined ? '' : ' *'}`;
}

/** What a client says inside a SASL exchange: only the ways of giving up are no secret. */
function hiddenAnswer(words: string): string {
  return words === '' || words === 'AQ==' || words === '*' ? words : '*';
}

function hiddenAuth(line: string): string {
  return line.replace(/^(AUTH [\w-]+) .+$/i, '$1 *');
}

function commented(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => `# ${line}`)
    .join('\n');
}
