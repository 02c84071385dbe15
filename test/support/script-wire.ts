import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { replyText, wireReader, type WireLine } from '../../src/lib/trace.ts';
import type { ClientLine } from './script-session.ts';

/** One connection of a scripted peer, as lines. */
export type Wire = {
  ordinal: number;
  /** Everything said so far, in the syntax of the scripts. */
  transcript: string[];
  /** The client's lines alone. */
  sent: string[];
  isClosed(): boolean;
  /** The next line of the client, or undefined when there will be none. */
  next(): Promise<ClientLine | undefined>;
  send(line: WireLine): void;
  /** `dead`: neither reads nor writes any more, and does not close. */
  end(how: 'close' | 'reset' | 'dead'): void;
  isSecure(): boolean;
  startTls(): void;
  destroy(): void;
};

/** Changes what a line of the server is on the wire; `ordinal` is the connection's. */
export type Garble = (bytes: Buffer, ordinal: number) => { bytes: Buffer; end?: 'close' | 'reset' };

type WireOptions = {
  ordinal: number;
  protocol: 'imap' | 'smtp';
  tls: SecureContext | undefined;
  garble: Garble | undefined;
  /** Told of each line before anything answers it. */
  onLine(text: string): void;
  onClose(): void;
};

/** Puts lines on a socket that was just accepted. */
export function openWire(raw: Socket, options: WireOptions): Wire {
  const { protocol, tls } = options;
  const transcript: string[] = [];
  const sent: string[] = [];
  const lines = lineQueue();
  let socket: Socket = raw;
  let state: 'open' | 'dead' | 'closed' = 'open';
  const take = (text: string, literals: Buffer[]) => {
    if (state !== 'open') return;
    transcript.push(...requestText(text, literals));
    sent.push(text);
    options.onLine(text);
    lines.push({ text, literals });
  };
  const content = contentReader((message) => take('.', [message]));
  const send = (line: WireLine) => {
    if (state !== 'open') return;
    transcript.push(replyText(line));
    if (protocol === 'smtp' && String(line[0]).startsWith('354')) content.open();
    const garbled = options.garble?.(bytesOf(line), options.ordinal) ?? { bytes: bytesOf(line) };
    socket.write(garbled.bytes);
    if (garbled.end !== undefined) end(garbled.end);
  };
  const end = (how: 'close' | 'reset' | 'dead') => {
    if (state === 'open') transcript.push(`S: (${how})`);
    state = how === 'dead' ? 'dead' : 'closed';
    if (how === 'close') socket.end();
    else if (how === 'reset') raw.resetAndDestroy();
  };
  const read = wireReader({
    literals: protocol === 'imap',
    onLine: (line) =>
      take(
        textOf(line),
        line.filter((part) => typeof part !== 'string'),
      ),
    onLiteral: ({ synchronising }) => void (synchronising && send(['+ go on'])),
  });
  const listen = () => {
    socket.on('data', (chunk: Buffer) => {
      const rest = content.read(chunk);
      if (rest.length > 0) read(rest);
    });
    // What a client's abrupt end looks like on this side is of no interest; `close` follows.
    socket.on('error', () => socket.destroy());
  };
  listen();
  raw.once('close', () => {
    if (state === 'open') transcript.push('# the client is gone');
    state = 'closed';
    lines.end();
    options.onClose();
  });
  return {
    ordinal: options.ordinal,
    transcript,
    sent,
    isClosed: () => state === 'closed',
    next: () => lines.next(),
    send,
    end,
    isSecure: () => socket !== raw,
    startTls() {
      if (tls === undefined) throw new Error('this peer has no certificate');
      raw.removeAllListeners('data');
      socket = new TLSSocket(raw, { isServer: true, secureContext: tls });
      listen();
    },
    destroy: () => raw.destroy(),
  };
}

function requestText(text: string, [content]: Buffer[]): string[] {
  const shown = `C: ${text.replace(/\$(?=[a-z])/g, '\\$&')}`;
  return text === '.' && content !== undefined ? [shown, `# ${content.length} octets of message`] : [shown];
}

function lineQueue(): { push(line: ClientLine): void; end(): void; next(): Promise<ClientLine | undefined> } {
  const lines: ClientLine[] = [];
  let ended = false;
  let wake = () => {};
  return {
    push(line) {
      lines.push(line);
      wake();
    },
    end() {
      ended = true;
      wake();
    },
    async next() {
      if (lines.length === 0 && !ended) await new Promise<void>((resolve) => (wake = resolve));
      return lines.shift();
    },
  };
}

function bytesOf(line: WireLine): Buffer {
  const pieces = line.flatMap((part) =>
    typeof part === 'string' ? [Buffer.from(part)] : [Buffer.from(`{${part.length}}\r\n`), part],
  );
  return Buffer.concat([...pieces, Buffer.from('\r\n')]);
}

function textOf(line: WireLine): string {
  return line.map((part) => (typeof part === 'string' ? part : `{${part.length}}`)).join('');
}

/** Collects what follows a 354, up to the dot (RFC 5321 §4.1.1.4), and undoes the dots' doubling. */
function contentReader(onContent: (content: Buffer) => void): { open(): void; read(chunk: Buffer): Buffer } {
  let held: Buffer | undefined;
  return {
    open: () => (held = Buffer.from('\r\n')),
    read(chunk) {
      if (held === undefined) return chunk;
      held = Buffer.concat([held, chunk]);
      const end = held.indexOf('\r\n.\r\n');
      if (end < 0) return Buffer.alloc(0);
      const rest = held.subarray(end + 5);
      const text = held
        .subarray(2, Math.max(end, 0) + 2)
        .toString('latin1')
        .replace(/(^|\r\n)\.\./g, '$1.');
      held = undefined;
      onContent(Buffer.from(text, 'latin1'));
      return rest;
    },
  };
}
