import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { createSecureContext } from 'node:tls';
import { countRule, serveConnection, waitingSection, type Play } from './script-connection.ts';
import { changeMailbox, createMailbox } from './script-mailbox.ts';
import type { Taken } from './script-smtp.ts';
import { tokensOf } from './script-tokens.ts';
import type { Garble } from './script-wire.ts';
import { matchPattern, readScript, type Script } from './script-syntax.ts';

/** An IMAP or SMTP server whose behaviour is a transcript. */
export type ScriptPeer = {
  host: string;
  port: number;
  /** All that was said, connection by connection, in the syntax of the scripts. */
  transcript(): string;
  /** Lets an `@ wait name` of the script go on: one for each call, also one that comes later. */
  signal(name: string): void;
  /** Resolves at the script's `@ signal name`. Rejects as `finished` does. */
  waitFor(name: string): Promise<void>;
  /**
   * Resolves when every line was played and every counted rule used. Rejects with the line expected,
   * what came instead, and the transcript: when the client broke the script, when it is gone too
   * early, or when nothing has moved until the deadline.
   */
  finished(): Promise<void>;
  /** The lines the client sent, on any connection, that match a pattern. */
  sent(pattern: string): string[];
  /** SMTP: the messages that were taken, in order. */
  taken(): Taken[];
  /** IMAP: a message appears in a folder, for what only the test knows (the Sent copy of what it sent). */
  deliver(folder: string, raw: Buffer, fields?: string): void;
  /** IMAP: a change as a script names it after `@`, at the moment that the test chooses: `expunge INBOX 11`. */
  change(line: string): void;
  /** Closes everything. Rejects when the client broke the script and `finished` was not asked. */
  stop(): Promise<void>;
};

type PeerOptions = {
  /** Called by `@ advance` with milliseconds. */
  onAdvance?: (ms: number) => void | Promise<void>;
  /** The OAuth tokens and passwords that are let in; without it, the script's `auth:` says. */
  tokens?: readonly string[];
  /** Key and certificate, PEM. STARTTLS where the script offers that, else TLS from the first byte. */
  tls?: { key: string; cert: string };
  /** What becomes of each line of the server, literals included, on its way; with `end`, and of the connection after it. */
  garble?: Garble;
  /** How long nothing may move while something is waited for. Ten seconds. */
  deadlineMs?: number;
};

/**
 * Starts a peer on loopback. `source` is a transcript's text or its name under `test/fixtures`
 * (`imap/gmail-bad-token`); its syntax is told in `script-syntax.ts`.
 */
export async function startScriptPeer(source: string, options: PeerOptions = {}): Promise<ScriptPeer> {
  const changes = new Set<() => void>();
  const progress = () => changes.forEach((change) => change());
  const play = createPlay(readScript(source), options, progress);
  // Without noDelay each answer of two lines would wait 40 ms for the client's acknowledgement of the first.
  const server = createServer({ noDelay: true }, (socket) => serveConnection(play, socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  let failureTold = false;
  /** Waits until `isTrue`, for as long as something moves. */
  const until = async (isTrue: () => boolean, what: () => string) => {
    for (;;) {
      if (play.failure !== undefined) {
        failureTold = true;
        throw play.failure;
      }
      if (isTrue()) return;
      const stuck =
        lostSection(play) ?? ((await moved(changes, options.deadlineMs ?? 10_000)) ? undefined : what());
      if (stuck !== undefined) throw new Error(`${stuck}\n\nThe transcript so far:\n${transcriptOf(play)}`);
    }
  };
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    transcript: () => transcriptOf(play),
    signal: (name) => play.signal(name),
    async waitFor(name) {
      let reached = false;
      const reach = async () => {
        await play.wait(name);
        reached = true;
        progress();
      };
      void reach();
      await until(
        () => reached,
        () => [`"@ signal ${name}" was not reached`, ...unfinished(play)].join('\n'),
      );
    },
    finished: () =>
      until(
        () => unfinished(play).length === 0,
        () => unfinished(play).join('\n'),
      ),
    sent: (pattern) =>
      play.wires.flatMap(({ sent }) => sent.filter((line) => matchPattern(pattern, line, new Map()))),
    taken: () => play.taken,
    deliver: (folder, raw, fields = '') =>
      void changeMailbox(play.mailbox, 'deliver', [folder, ...tokensOf(fields)], raw),
    change: (line) => {
      const [verb, ...args] = tokensOf(line);
      if (!changeMailbox(play.mailbox, String(verb), args))
        throw new Error(`nothing in a mailbox changes by ${line}`);
    },
    async stop() {
      play.wires.forEach((wire) => wire.destroy());
      server.close();
      await once(server, 'close');
      if (play.failure !== undefined && !failureTold) throw play.failure;
    },
  };
}

function createPlay(script: Script, options: PeerOptions, progress: () => void): Play {
  const signals = createSignals();
  const play: Play = {
    script,
    mailbox: createMailbox(),
    taken: [],
    messagesSent: 0,
    sections: script.sections.map(waitingSection),
    rules: script.rules.map((rule) => countRule(rule)),
    wires: [],
    opened: new Map(),
    // One for all connections, as servers have it: a session may go on in the next one.
    tls: options.tls === undefined ? undefined : createSecureContext(options.tls),
    garble: options.garble,
    failure: undefined,
    mayEnter: (secret) => options.tokens?.includes(secret) ?? script.auth === 'accept',
    advance: async (ms) => options.onAdvance?.(ms),
    signal: (name) => signals.signal(name),
    wait: (name) => signals.wait(name),
    progress,
    fail(reason) {
      play.failure ??= new Error(`${reason}\n\nThe transcript so far:\n${transcriptOf(play)}`);
      play.wires.forEach((wire) => wire.destroy());
      progress();
    },
  };
  for (const { verb, args, content } of script.state) changeMailbox(play.mailbox, verb, args, content);
  return play;
}

/** What the script still waits for, one sentence each. */
function unfinished(play: Play): string[] {
  const rules = play.rules.filter(({ left }) => left !== undefined && left > 0);
  return [
    ...play.sections.filter(({ done }) => !done).map((playing) => waitingFor(play, playing)),
    ...rules.map(
      ({ rule, left }) => `${play.script.name}:${rule.line}: "on ${rule.pattern}:" is left ${left} times`,
    ),
  ];
}

function waitingFor(play: Play, playing: Play['sections'][number]): string {
  const { section, at, passed, wire } = playing;
  const label = `connection ${section.ordinal}${section.folder === undefined ? '' : `: ${section.folder}`}`;
  if (wire === undefined) return `${play.script.name}:${section.line}: ${label} did not come`;
  const step = section.steps[at];
  const where = `${play.script.name}:${step?.line ?? section.line}: ${label}`;
  if (step?.kind !== 'expect') return `${where}: the script is held up here`;
  const came = passed.length === 0 ? ['nothing'] : passed.map((line) => `C: ${line}`);
  return [
    `${where}: expected`,
    `  C: ${step.pattern}`,
    'but since the line before came',
    ...came.map((line) => `  ${line}`),
  ].join('\n');
}

/** A section that can never go on, since the client closed its connection. */
function lostSection(play: Play): string | undefined {
  const lost = play.sections.find(
    ({ done, wire, section, at }) =>
      !done && wire?.isClosed() === true && section.steps[at]?.kind === 'expect',
  );
  return lost === undefined ? undefined : `the connection is gone\n${waitingFor(play, lost)}`;
}

function transcriptOf(play: Play): string {
  return play.wires
    .map(({ ordinal, transcript }) => [`--- connection ${ordinal}`, ...transcript, ''].join('\n'))
    .join('\n');
}

/** True at the next change, false when there is none for too long. */
async function moved(changes: Set<() => void>, deadlineMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (result: boolean) => {
      clearTimeout(timer);
      changes.delete(change);
      resolve(result);
    };
    const change = () => end(true);
    const timer = setTimeout(() => end(false), deadlineMs);
    changes.add(change);
  });
}

/** Signals that are counted: each `wait` takes one, come or to come. */
function createSignals(): { signal(name: string): void; wait(name: string): Promise<void> } {
  const given = new Map<string, number>();
  const waiting = new Map<string, (() => void)[]>();
  return {
    signal(name) {
      const next = waiting.get(name)?.shift();
      if (next === undefined) given.set(name, (given.get(name) ?? 0) + 1);
      else next();
    },
    async wait(name) {
      const count = given.get(name) ?? 0;
      if (count > 0) given.set(name, count - 1);
      else await new Promise<void>((resolve) => waiting.set(name, [...(waiting.get(name) ?? []), resolve]));
    },
  };
}
