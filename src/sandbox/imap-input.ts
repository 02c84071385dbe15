import type { Socket } from 'node:net';

/** A token of a command: an atom, the content of a string or literal (one character a byte), or a list. */
export type Token = string | Token[];

export type Command = { tag: string; name: string; args: Token[] };

/** What a client said that is not IMAP. The session ends with a BAD or a BYE. */
export class ImapSyntaxError extends Error {}

const limits = { lineBytesMax: 1024 * 1024, literalBytesMax: 40 * 1024 * 1024 };

export type ImapInput = {
  /** The next line without its end, or undefined when the client has gone. */
  line(): Promise<string | undefined>;
  /** The next command with its literals, or undefined when the client has gone. */
  command(): Promise<Command | undefined>;
};

/** Reads a client. Literals that wait for leave get it here (RFC 3501 §7.5); LITERAL+ ones need none. */
export function createImapInput(socket: Socket): ImapInput {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  let held: Buffer[] = [];
  const more = async () => {
    const next = await chunks.next();
    if (next.value) held.push(next.value);
    return next.done !== true;
  };
  const join = () => {
    const joined = held.length === 1 && held[0] ? held[0] : Buffer.concat(held);
    held = [joined];
    return joined;
  };
  const take = (bytes: number, skip: number) => {
    const all = join();
    held = [all.subarray(bytes + skip)];
    return all.subarray(0, bytes).toString('latin1');
  };
  const line = async () => {
    for (;;) {
      const end = join().indexOf('\r\n');
      if (end >= 0) return take(end, 2);
      if (join().length > limits.lineBytesMax) throw new ImapSyntaxError('line too long');
      if (!(await more())) return undefined;
    }
  };
  const literal = async (size: number) => {
    if (size > limits.literalBytesMax) throw new ImapSyntaxError('literal too large');
    while (held.reduce((sum, chunk) => sum + chunk.length, 0) < size) if (!(await more())) return undefined;
    return take(size, 0);
  };
  return {
    line,
    async command() {
      const text: string[] = [];
      const literals: string[] = [];
      for (;;) {
        const next = await line();
        if (next === undefined) return undefined;
        const announced = /\{(\d+)(\+?)\}$/.exec(next);
        if (!announced) return parseCommand([...text, next].join(''), literals);
        if (announced[2] === '') socket.write('+ go on\r\n');
        const content = await literal(Number(announced[1]));
        if (content === undefined) return undefined;
        // In the text of the command a NUL, which IMAP allows nowhere, stands for the literal.
        text.push(next.slice(0, announced.index), '\0');
        literals.push(content);
      }
    },
  };
}

function parseCommand(text: string, literals: string[]): Command {
  const [tag, name, ...args] = parseTokens(text, literals);
  if (typeof tag !== 'string' || typeof name !== 'string') throw new ImapSyntaxError('no command');
  const isUid = name.toUpperCase() === 'UID' && typeof args[0] === 'string';
  if (!isUid) return { tag, name: name.toUpperCase(), args };
  return { tag, name: `UID ${String(args[0]).toUpperCase()}`, args: args.slice(1) };
}

function parseTokens(text: string, literals: string[]): Token[] {
  const open: Token[][] = [[]];
  let literal = 0;
  // A bracket, a literal, a quoted string, or an atom, which takes a whole [section (WITH FIELDS)]<0.10> with it.
  const tokens = /[()]|\0|"(?:\\.|[^"\\])*"|(?:\[[^\]]*\]|[^\s()"\0[])+/g;
  for (const [token] of text.matchAll(tokens)) {
    const list = open.at(-1);
    if (token === '(') open.push([]);
    else if (token !== ')') list?.push(token === '\0' ? (literals[literal++] ?? '') : unquoted(token));
    else {
      open.pop();
      open.at(-1)?.push(list ?? []);
    }
  }
  const [top, ...unclosed] = open;
  if (top === undefined || unclosed.length > 0) throw new ImapSyntaxError('unbalanced brackets');
  return top;
}

function unquoted(token: string): string {
  return token.startsWith('"') ? token.slice(1, -1).replace(/\\(.)/g, '$1') : token;
}
