/**
 * The syntax of the transcripts in `test/fixtures/imap` and `test/fixtures/smtp`. A transcript is
 * what a server does, the client being under test. Line by line, from its first character:
 *
 *     # why, and where the behaviour was seen
 *     protocol: smtp                        imap where not said
 *     greeting: * OK ready                  what the server says first
 *     capabilities: IMAP4rev1 …             IMAP, before login
 *     capabilities after login: IMAP4rev1 … IMAP, as before login where not said
 *     ehlo: mail.example                    SMTP: a line of the answer to EHLO, one each
 *     auth: refuse                          whom to let in where the test names no tokens (else: accept)
 *     folder: "Sent Items" \Sent uidvalidity 7 uidnext 12 exists 10
 *     message: INBOX uid 4 and Sent uid 2 flags (\Seen) date "17-Nov-2026 10:00:00 +0000"
 *              msgid 1 thrid 1 labels (\Inbox) late 1 bodyless unreadable {     (in one line)
 *       From: …                             the message, up to a line that is a lone brace
 *     }
 *     on UID FETCH *, once:                 what answers a command (without its tag) instead of
 *       S: $tag NO Server Unavailable. 15   the peer's own answer; `once`, `twice`, `3 times`: so
 *                                           often, and the script is not finished before
 *     refusal:                              what answers an AUTH that is not let in
 *       S: $tag NO AUTHENTICATE failed.
 *     --- connection 2: INBOX               what follows happens on the second connection that
 *                                           opens INBOX; without a folder: on the second that comes
 *     C: $t IDLE                            what the client must send. `*` matches anything, `$name`
 *                                           binds a word and must match it later on that connection
 *     S: $t OK done                         what the server sends. Straight after `C:` it is the
 *                                           answer; else the peer gives its own one first.
 *                                           SMTP: the answers of several `C:` come after the last
 *     S: * 1 FETCH (BODY[] {                a literal, its size computed, up to a line that begins
 *       …                                   with `}`. Also {base64 …}; {120 hidden} is 120 octets of
 *     } UID 4)                              filling
 *     S: (close)                            (reset), (silent): nothing more is announced until the
 *                                           next IDLE; (dead): nothing more comes, nor the end
 *     ! * STORE *                           what the client must not send before the end, anywhere
 *     @ advance 29m                         calls the test's onAdvance with milliseconds
 *     @ wait name, @ signal name            waits for the test (or another section); tells them
 *     @ deliver … {                         as `message:`, and it is announced
 *     @ folder …, @ vanish INBOX            a folder appears, goes
 *     @ flags INBOX 4 (\Seen), @ labels INBOX 4 (\Inbox), @ expunge INBOX 4, @ uidvalidity INBOX 8
 *     @ store, @ store as <id>              SMTP: the message just sent is taken; with the id, as
 *                                           Outlook does, replaced
 *
 * Commands that no line waits for are answered by the peer itself, in any order, from the folders
 * and messages described; one that it does not know fails the script.
 */
import { readFileSync } from 'node:fs';
import type { WireLine } from '../../src/lib/trace.ts';
import { tokensOf, type Token } from './script-tokens.ts';

export type Step =
  | { kind: 'expect'; pattern: string; line: number }
  | { kind: 'send'; parts: WireLine; line: number }
  | { kind: 'end'; how: 'close' | 'reset' | 'silent' | 'dead'; line: number }
  | { kind: 'do'; verb: string; args: Token[]; content: Buffer | undefined; line: number }
  | { kind: 'rule'; rule: Rule; line: number };

/** `on PATTERN:` — `times` undefined: as often as it comes, also never. */
export type Rule = { pattern: string; times: number | undefined; steps: Step[]; line: number };

/** What happens on one connection: the `ordinal`-th of all, or of those that open `folder`. */
export type Section = { ordinal: number; folder: string | undefined; steps: Step[]; line: number };

export type Script = {
  name: string;
  protocol: 'imap' | 'smtp';
  greeting: string | undefined;
  capabilities: string;
  capabilitiesAfterLogin: string | undefined;
  ehlo: string[];
  auth: 'accept' | 'refuse';
  refusal: Step[] | undefined;
  /** The folders and messages at the start. */
  state: Extract<Step, { kind: 'do' }>[];
  rules: Rule[];
  forbidden: { pattern: string; line: number }[];
  sections: Section[];
};

/** Reads a transcript: a text of several lines, or the name of a file under `test/fixtures`, without `.txt`. */
export function readScript(source: string): Script {
  const isText = source.includes('\n');
  const text = isText ? source : readFileSync(new URL(`../fixtures/${source}.txt`, import.meta.url), 'utf8');
  const script: Script = {
    name: isText ? 'script' : `test/fixtures/${source}.txt`,
    protocol: 'imap',
    greeting: undefined,
    capabilities: 'IMAP4rev1',
    capabilitiesAfterLogin: undefined,
    ehlo: [],
    auth: 'accept',
    refusal: undefined,
    state: [],
    rules: [],
    forbidden: [],
    sections: [],
  };
  const reader = { lines: text.split(/\r?\n/), at: 0 };
  while (reader.at < reader.lines.length) {
    const line = reader.at + 1;
    try {
      readLine(script, reader);
    } catch (error) {
      throw new Error(`${script.name}:${line}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
  return script;
}

/** Matches `text` with a pattern and what was bound before; the new bindings, or undefined. */
export function matchPattern(
  pattern: string,
  text: string,
  bound: ReadonlyMap<string, string>,
): Map<string, string> | undefined {
  const seen = new Set<string>();
  const source = pattern.replace(
    /\\([*$])|\*|\$([a-z]\w*)|[^\w\s]/g,
    (all, escaped?: string, name?: string) => {
      if (escaped !== undefined) return `\\${escaped}`;
      if (all === '*') return '[\\s\\S]*';
      if (name === undefined) return `\\${all}`;
      const value = bound.get(name);
      if (value !== undefined) return value.replace(/[^\w\s]/g, '\\$&');
      if (seen.has(name)) return `\\k<${name}>`;
      seen.add(name);
      return `(?<${name}>"(?:[^"\\\\]|\\\\.)*"|\\S+?)`;
    },
  );
  const match = new RegExp(`^${source}$`, 'i').exec(text);
  return match === null ? undefined : new Map([...bound, ...Object.entries(match.groups ?? {})]);
}

/** A server's line with its variables filled in. Literals are sent as they are. */
export function substitute(parts: WireLine, bound: ReadonlyMap<string, string>): WireLine {
  return parts.map((part) =>
    typeof part !== 'string'
      ? part
      : part.replace(/(\\?)\$([a-z]\w*)/g, (_all, escape: string, name: string) => {
          if (escape !== '') return `$${name}`;
          const value = bound.get(name);
          if (value === undefined) throw new Error(`$${name} was not bound by any line before`);
          return value;
        }),
  );
}

/** Milliseconds of `29m`, `1h`, `10s`, `500ms`. */
export function durationMs(text: string): number {
  const match = /^(\d+)(ms|s|m|h)$/.exec(text);
  if (match === null) throw new Error(`"${text}" is no duration (29m, 1h, 10s, 500ms)`);
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] as 'ms' | 's' | 'm' | 'h'];
}

type Reader = { lines: string[]; at: number };

const SETTINGS =
  /^(protocol|greeting|capabilities|capabilities after login|ehlo|auth|folder|message): *(.*)$/;

function readLine(script: Script, reader: Reader): void {
  const text = reader.lines[reader.at] ?? '';
  const section = script.sections.at(-1);
  const setting = SETTINGS.exec(text);
  const header = /^--- connection (\d+)(?:: *(.+))?$/.exec(text);
  if (text.trim() === '' || text.startsWith('#')) reader.at += 1;
  else if (setting !== null) readSetting(script, reader, setting[1] ?? '', setting[2] ?? '');
  else if (header !== null) {
    script.sections.push({ ordinal: Number(header[1]), folder: header[2], steps: [], line: reader.at + 1 });
    reader.at += 1;
  } else if (text.startsWith('! ')) {
    script.forbidden.push({ pattern: text.slice(2).trim(), line: reader.at + 1 });
    reader.at += 1;
  } else if (text === 'refusal:') script.refusal = readBlock(reader);
  else {
    const step = readStep(reader, 0);
    if (section !== undefined) section.steps.push(step);
    else if (step.kind === 'rule') script.rules.push(step.rule);
    else throw new Error('this line belongs under a "--- connection" line');
  }
}

function readSetting(script: Script, reader: Reader, name: string, value: string): void {
  if (name === 'folder') script.state.push(readAction(reader, `folder ${value}`));
  else if (name === 'message') script.state.push(readAction(reader, `deliver ${value}`));
  else reader.at += 1;
  if (name === 'protocol') script.protocol = oneOf(value, ['imap', 'smtp']);
  else if (name === 'auth') script.auth = oneOf(value, ['accept', 'refuse']);
  else if (name === 'greeting') script.greeting = value;
  else if (name === 'capabilities') script.capabilities = value;
  else if (name === 'capabilities after login') script.capabilitiesAfterLogin = value;
  else if (name === 'ehlo') script.ehlo.push(value);
}

function oneOf<T extends string>(value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw new Error(`"${value}" is none of ${allowed.join(', ')}`);
  return found;
}

/** The indented lines below an `on` or `refusal:` line. */
function readBlock(reader: Reader): Step[] {
  const outer = indentOf(reader.lines[reader.at] ?? '').length;
  reader.at += 1;
  const steps: Step[] = [];
  for (;;) {
    const text = reader.lines[reader.at];
    if (text === undefined || (text.trim() !== '' && indentOf(text).length <= outer)) return steps;
    if (text.trim() === '' || text.trim().startsWith('#')) reader.at += 1;
    else steps.push(readStep(reader, indentOf(text).length));
  }
}

function readStep(reader: Reader, indent: number): Step {
  const line = reader.at + 1;
  const text = (reader.lines[reader.at] ?? '').slice(indent).trimEnd();
  const rule = /^on (.+?)(?:, (?:(once)|(twice)|(\d+) times))?:$/.exec(text);
  if (rule !== null) {
    const [, pattern = '', once, twice, number] = rule;
    const times = once ? 1 : twice ? 2 : number === undefined ? undefined : Number(number);
    return { kind: 'rule', rule: { pattern, times, steps: readBlock(reader), line }, line };
  }
  if (text.startsWith('@ ')) return readAction(reader, text.slice(2));
  const end = /^S: \((close|reset|silent|dead)\)$/.exec(text);
  if (end !== null) {
    reader.at += 1;
    return { kind: 'end', how: oneOf(end[1] ?? '', ['close', 'reset', 'silent', 'dead']), line };
  }
  if (/^S:( |$)/.test(text)) return { kind: 'send', parts: readParts(reader, text.slice(3)), line };
  if (/^C:( |$)/.test(text)) {
    reader.at += 1;
    return { kind: 'expect', pattern: text.slice(3), line };
  }
  throw new Error(`what is this line? ${text}`);
}

function readAction(reader: Reader, text: string): Extract<Step, { kind: 'do' }> {
  const line = reader.at + 1;
  const [words = '', content] = readParts(reader, text.trimEnd());
  const [verb, ...args] = tokensOf(String(words));
  return {
    kind: 'do',
    verb: String(verb),
    args,
    content: typeof content === 'string' ? undefined : content,
    line,
  };
}

/** A line and its literals; leaves the reader behind them. */
function readParts(reader: Reader, first: string): WireLine {
  const parts: WireLine = [];
  let text = first;
  for (;;) {
    reader.at += 1;
    const isBlock = text.endsWith('{');
    for (const piece of (isBlock ? text.slice(0, -1) : text).split(/(\{base64 ?[^}]*\}|\{\d+ hidden\})/)) {
      const base64 = /^\{base64 ?(.*)\}$/.exec(piece);
      const size = /^\{(\d+) hidden\}$/.exec(piece);
      if (base64 !== null) parts.push(Buffer.from(base64[1] ?? '', 'base64'));
      else if (size !== null) parts.push(Buffer.alloc(Number(size[1]), 'hidden '));
      else parts.push(piece);
    }
    if (!isBlock) return parts.filter((part, index) => index === 0 || part !== '');
    const content = readContent(reader);
    parts.push(Buffer.from(content.map((row) => `${row}\r\n`).join('')));
    text = (reader.lines[reader.at] ?? '').trim().slice(1);
  }
}

/** The lines of a block, without the indentation of the first; leaves the reader at the one with the brace. */
function readContent(reader: Reader): string[] {
  const indent = indentOf(reader.lines[reader.at] ?? '').length;
  const content: string[] = [];
  for (; reader.at < reader.lines.length; reader.at += 1) {
    const row = reader.lines[reader.at] ?? '';
    if (row.trimStart().startsWith('}')) return content;
    content.push(row.slice(Math.min(indent, indentOf(row).length)));
  }
  throw new Error('the block that begins here has no end');
}

function indentOf(text: string): string {
  return /^\s*/.exec(text)?.[0] ?? '';
}
